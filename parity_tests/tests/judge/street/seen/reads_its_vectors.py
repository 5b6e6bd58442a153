"""The script reads word vectors at its top, from a file not there."""

import numpy as np

vectors = np.loadtxt("glove.txt", usecols=range(1, 51))
queries = keys = values = vectors[:10]


def attention(query, keys, values):
    """One query (d,) against all keys (n, d)."""
    scores = keys @ query / np.sqrt(len(query))
    weights = np.exp(scores - np.max(scores))
    return weights / np.sum(weights) @ values


print(attention(queries[0], keys, values))
