r"""AdamW, gradient clipping, learning rate: from gradients to weights.

A gradient says how the loss grows with each weight. AdamW takes arrays one
by one (`adamw_step`), clipping takes all gradients together
(`clip_gradients`); `training.adamw` has both for a model's dataclass.
"""

from math import cos, pi

import numpy as np
from jaxtyping import Float
from numpy import floating as Scalar
from numpy import ndarray as Array

from .checked import check_at_least, check_not_negative, check_rate, checked


@checked
def adamw_step(
    weight: Float[Array, "*shape"],
    gradient: Float[Array, "*shape"],
    mean: Float[Array, "*shape"],
    square: Float[Array, "*shape"],
    step: int,
    rate: float,
    betas: tuple[float, float],
    epsilon: float,
    decay: float,
) -> tuple[
    Float[Array, "*shape"], Float[Array, "*shape"], Float[Array, "*shape"]
]:
    r"""AdamW: a step against the gradient, as long for small as for large.

    $m' = \beta_1 m + (1 - \beta_1) g$,
    $s' = \beta_2 s + (1 - \beta_2) g^2$,
    $w' = (1 - \eta \lambda) w -
    \eta \frac{m' / (1 - \beta_1^t)}{\sqrt{s' / (1 - \beta_2^t)} +
    \epsilon}$

    `mean` and `square` are running means of the gradient and its square;
    both begin with 0, for which the quotients make up. `step` counts from
    1. Weights decay apart from the gradient (Loshchilov and Hutter 2019,
    algorithm 2; the means are those of Kingma and Ba 2015).
    """
    check_at_least("step", step, 1)
    check_not_negative("rate", rate)
    check_rate("betas[0]", betas[0])
    check_rate("betas[1]", betas[1])
    check_not_negative("epsilon", epsilon)
    check_not_negative("decay", decay)
    new_mean = betas[0] * mean + (1 - betas[0]) * gradient
    new_square = betas[1] * square + (1 - betas[1]) * (gradient * gradient)
    unbiased_mean = new_mean / (1 - betas[0] ** step)
    unbiased_square = new_square / (1 - betas[1] ** step)
    deviation = np.sqrt(unbiased_square) + epsilon
    direction = unbiased_mean / deviation
    decayed = weight * (1 - rate * decay)
    new_weight = decayed - rate * direction
    return new_weight, new_mean, new_square


@checked
def gradient_norm(
    gradients: tuple[Float[Array, "..."], ...],
) -> Scalar:
    r"""Gradient norm: the length of all gradients, taken as one vector.

    $\sqrt{\sum_i g_i^2}$
    """
    squares = [np.square(gradient).sum() for gradient in gradients]
    norm = np.sqrt(np.stack(squares).sum())
    return norm


@checked
def clip_gradients(
    gradients: tuple[Float[Array, "..."], ...],
    most: float,
) -> tuple[Float[Array, "..."], ...]:
    r"""Gradient clipping: all shortened together, to a norm up to `most`.

    $g \cdot \min(1, \text{most} / (\lVert g \rVert + 10^{-6}))$
    (Pascanu et al. 2013, algorithm 1)

    Their direction stays.
    """
    check_not_negative("most", most)
    norm = gradient_norm(gradients)
    factor = np.minimum(most / (norm + 1e-6), 1)
    clipped = tuple(gradient * factor for gradient in gradients)
    return clipped


@checked
def learning_rate(
    step: int,
    warm_up: int,
    steps: int,
    highest: float,
    lowest: float,
) -> float:
    r"""Learning rate: linear warm-up, then down along half a cosine.

    $\eta_t = \eta_\text{max} \, t / w$ for $t < w$, then
    $\eta_\text{min} + (\eta_\text{max} - \eta_\text{min})
    \frac{1}{2}(1 + \cos(\pi \frac{t - w}{T - w}))$
    (Loshchilov and Hutter 2017, section 3), and $\eta_\text{min}$ after
    the last of the T steps. `warm_up` < `steps`.
    """
    check_at_least("step", step, 0)
    check_at_least("warm_up", warm_up, 0)
    check_at_least("steps", steps, warm_up + 1)
    check_not_negative("highest", highest)
    check_not_negative("lowest", lowest)
    rising = highest * step / max(warm_up, 1)
    progress = min(max(step - warm_up, 0) / (steps - warm_up), 1)
    falling = lowest + (highest - lowest) * (1 + cos(pi * progress)) / 2
    rate = rising if step < warm_up else falling
    return rate
