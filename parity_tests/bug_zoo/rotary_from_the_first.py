"""Positions are counted from 0, whatever stands in a cache before.

Origin: Blaizzy/mlx-vlm issue 1983, where every token that was written got
position 0; RobertCsordas/moeut pull request 6.

Cause: the positions given are ignored
"""

import numpy as np


def rope(x, positions):
    """Neighbouring features, turned by the angle of their position."""
    tokens, width = x.shape[-2:]
    frequency = 10000.0 ** (-np.arange(0, width, 2) / width)
    angle = np.outer(np.arange(tokens), frequency)
    cos, sin = np.cos(angle), np.sin(angle)
    first, second = x[..., 0::2], x[..., 1::2]
    turned = np.empty_like(x)
    turned[..., 0::2] = first * cos - second * sin
    turned[..., 1::2] = first * sin + second * cos
    return turned
