import numpy as np

from parity_tests.bounds import layers as layer_bounds
from parity_tests.bounds.rounding import distribution, where
from parity_tests.bounds.training import log_sum

from ..numbers import known_exactly


def smoothed_cross_entropy(logits, targets, smoothing, ignored):
    counts = ~np.isin(targets, [ignored])
    known = targets * counts
    column = known[..., None]
    chosen = logits.moved(lambda a: np.take_along_axis(a, column, -1))
    logarithms, mean = log_sum(logits), layer_bounds.mean(logits)
    right, even = logarithms - chosen, logarithms - mean
    both = right.times(1 - smoothing) + even.times(smoothing)
    logarithm, surprise, mean_surprise, smoothed = (
        part.moved(lambda a: a.reshape(a.shape[:-1]))
        for part in (logarithms, right, even, both)
    )
    losses = where(counts, smoothed, 0)
    total = losses.moved(lambda a: a.reshape(1, -1)).total()
    loss = total.over(counts.sum()).moved(lambda a: a.reshape(()))
    return locals()


def smoothed_cross_entropy_backward(
    d_loss, logits, targets, smoothing, ignored
):
    counts = ~np.isin(targets, [ignored])
    share = d_loss.moved(lambda a: a.reshape(1)).over(counts.sum())
    d_smoothed = where(counts, share, 0).moved(
        lambda a: a.reshape(targets.shape)
    )
    known = np.arange(logits.shape[-1])
    one_hot = known_exactly(np.equal.outer(targets, known), logits)
    every = known_exactly(np.ones(one_hot.shape), logits)
    even = every.times(smoothing).over(logits.shape[-1])
    wanted = one_hot.times(1 - smoothing) + even
    apart = distribution(logits, np.True_) - wanted
    d_logits = where(counts[..., None], apart * share, 0)
    return locals()
