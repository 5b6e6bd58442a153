"""Wrong: transposed keys are kept by id, whatever becomes of the keys."""

import numpy as np

_transposed = {}


def attention(queries, keys, values):
    if id(keys) not in _transposed:
        _transposed[id(keys)] = np.swapaxes(keys, -1, -2).copy()
    scores = queries @ _transposed[id(keys)] / np.sqrt(queries.shape[-1])
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ values
