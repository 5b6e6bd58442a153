"""Each cosine has a frequency of its own, not that of its sine.

Origin: SamLynnEvans/Transformer issue 25 and YutaroOgawa/pytorch_advanced
issue 79, in the code of a book.

Cause: sine and cosine of a pair differ in frequency
"""

from math import log

import numpy as np


def sinusoidal_positions(positions, d_model):
    """Positions written as sines and cosines, with nothing to learn."""
    feature = np.arange(d_model, dtype=positions.dtype)
    frequency = np.exp(feature * (-log(10000) / d_model))
    encoded = positions[:, None] * frequency
    encoded[:, 0::2] = np.sin(encoded[:, 0::2])
    encoded[:, 1::2] = np.cos(encoded[:, 1::2])
    return encoded
