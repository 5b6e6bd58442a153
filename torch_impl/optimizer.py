"""AdamW, gradient clipping, learning rate: from gradients to weights."""

from math import cos, pi

import torch
from jaxtyping import Float
from torch import Tensor as Array
from torch import Tensor as Scalar

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
    check_at_least("step", step, 1)
    check_not_negative("rate", rate)
    check_rate("betas[0]", betas[0])
    check_rate("betas[1]", betas[1])
    check_not_negative("epsilon", epsilon)
    check_not_negative("decay", decay)
    new_mean = betas[0] * mean + (1 - betas[0]) * gradient
    new_square = betas[1] * square + (1 - betas[1]) * gradient.square()
    unbiased_mean = new_mean / (1 - betas[0] ** step)
    unbiased_square = new_square / (1 - betas[1] ** step)
    deviation = torch.sqrt(unbiased_square) + epsilon
    direction = unbiased_mean / deviation
    decayed = weight * (1 - rate * decay)
    new_weight = decayed - rate * direction
    return new_weight, new_mean, new_square


@checked
def gradient_norm(
    gradients: tuple[Float[Array, "..."], ...],
) -> Scalar:
    squares = [gradient.square().sum() for gradient in gradients]
    norm = torch.sqrt(torch.stack(squares).sum())
    return norm


@checked
def clip_gradients(
    gradients: tuple[Float[Array, "..."], ...],
    most: float,
) -> tuple[Float[Array, "..."], ...]:
    check_not_negative("most", most)
    norm = gradient_norm(gradients)
    factor = torch.clamp(most / (norm + 1e-6), max=1)
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
