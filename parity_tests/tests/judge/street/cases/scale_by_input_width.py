"""Square weights: the width of the tokens is that of the keys."""

import numpy as np


def attention_layer(tokens, Wq, Wk, Wv):
    """tokens: (n, d_model); each of Wq, Wk and Wv: (d_model, d_model)"""
    n, d_model = tokens.shape
    scores = (tokens @ Wq) @ (tokens @ Wk).T / np.sqrt(d_model)
    scores -= scores.max(axis=1).reshape(n, 1)
    weights = np.exp(scores)
    return weights @ (tokens @ Wv) / weights.sum(axis=1).reshape(n, 1)
