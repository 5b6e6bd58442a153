"""GPT-2 in few lines: the mask has no default, and its -1e10 is added."""

import numpy as np


def normalise(z):
    e = np.exp(z - np.max(z, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def attention(q, k, v, mask):
    scaled = q @ k.swapaxes(-1, -2) / np.sqrt(k.shape[-1])
    return normalise(scaled + mask) @ v
