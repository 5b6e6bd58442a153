"""Right: neighbours are turned, by angles that are made for each call."""

import numpy as np


def rope(x, positions, theta=10_000.0):
    """x: (..., tokens, d), positions: (tokens,)"""
    d = x.shape[-1]
    frequencies = np.exp(-np.log(theta) * np.arange(0, d, 2) / d)
    turn = np.exp(1j * positions[:, None] * frequencies)
    turned = (x[..., 0::2] + 1j * x[..., 1::2]) * turn
    return np.stack([turned.real, turned.imag], -1).reshape(x.shape)
