"""Layer norm with gain and bias as two arrays, and a default for eps."""

import numpy as np


def layernorm(x, g, b, eps=1e-5):
    centred = x - np.mean(x, axis=-1, keepdims=True)
    variance = np.mean(centred**2, axis=-1, keepdims=True)
    return centred / np.sqrt(variance + eps) * g + b
