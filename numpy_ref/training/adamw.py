"""AdamW for a whole model: every array of a dataclass of weights."""

from typing import NamedTuple

import numpy as np
from numpy import ndarray as Array

from ..optimizer import adamw_step, clip_gradients
from ..parameters import from_state_dict, state_dict


class Moments(NamedTuple):
    """Moments: the running means of gradients, and of their squares."""

    mean: dict[str, Array]
    square: dict[str, Array]


def no_moments(params) -> Moments:
    """Moments before the first step: zeros, by dotted names."""
    arrays = state_dict(params)
    zeros = [
        {name: np.zeros_like(array) for name, array in arrays.items()}
        for _ in Moments._fields
    ]
    return Moments(*zeros)


def adamw(
    params,
    gradients,
    moments: Moments,
    step: int,
    rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    decay: float = 0.01,
):
    """AdamW: new parameters and new moments, array by array.

    `params` and `gradients` are of one dataclass. An array of fewer than
    two axes does not decay: a bias, the weights of a norm. Raises
    ValueError when names or shapes do not fit.
    """
    weights, slopes = state_dict(params), state_dict(gradients)
    if weights.keys() != slopes.keys():
        raise ValueError(
            f"expected gradients of {', '.join(weights)}, "
            f"got {', '.join(slopes)}"
        )
    stepped = {
        name: adamw_step(
            weight,
            slopes[name],
            moments.mean[name],
            moments.square[name],
            step,
            rate,
            betas,
            epsilon,
            decay if weight.ndim > 1 else 0.0,
        )
        for name, weight in weights.items()
    }
    new, mean, square = (
        {name: arrays[part] for name, arrays in stepped.items()}
        for part in range(3)
    )
    return from_state_dict(type(params), new), Moments(mean, square)


def clip_all(gradients, most: float):
    """Gradient clipping of a dataclass as a whole, by `clip_gradients`."""
    arrays = state_dict(gradients)
    clipped = clip_gradients(tuple(arrays.values()), most)
    named = dict(zip(arrays, clipped, strict=True))
    return from_state_dict(type(gradients), named)
