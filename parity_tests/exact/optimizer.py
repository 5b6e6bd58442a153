import numpy as np

from parity_tests.bounds.gradients import quotient
from parity_tests.bounds.layers import root
from parity_tests.bounds.rounding import Bounded, where

from .numbers import constant


def adamw_step(
    weight, gradient, mean, square, step, rate, betas, epsilon, decay
):
    first, second = betas
    new_mean = mean.times(first) + gradient.times(1 - first)
    squared = gradient * gradient
    new_square = square.times(second) + squared.times(1 - second)
    unbiased_mean = new_mean.over(1 - first**step)
    unbiased_square = new_square.over(1 - second**step)
    deviation = root(unbiased_square) + constant(square, epsilon)
    direction = quotient(unbiased_mean, deviation)
    decayed = weight.times(1 - rate * decay)
    new_weight = decayed - direction.times(rate)
    return locals()


def gradient_norm(gradients):
    columns = [flat(g * g).total() for g in gradients]
    squares = [column.moved(lambda a: a.reshape(())) for column in columns]
    joined = Bounded(
        np.concatenate([column.value for column in columns], -1),
        np.concatenate([column.error for column in columns], -1),
        columns[0].rounding,
    )
    norm = root(joined.total()).moved(lambda a: a.reshape(()))
    return locals()


def flat(a):
    return a.moved(lambda part: part.reshape(1, -1))


def clip_gradients(gradients, most):
    norm = gradient_norm(gradients)["norm"]
    row = norm.moved(lambda a: a.reshape(1)) + constant(norm, 1e-6)
    ratio = quotient(constant(row, most), row)
    factor = where(ratio.value < 1, ratio, 1)
    clipped = [gradient * factor for gradient in gradients]
    factor = factor.moved(lambda a: a.reshape(()))
    return locals()


def learning_rate(step, warm_up, steps, highest, lowest):
    """Plain numbers, which must be the same on both sides."""
    return {}
