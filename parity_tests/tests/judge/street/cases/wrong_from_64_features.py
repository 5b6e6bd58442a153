"""Wrong from 64 features on, where a fast path takes over."""

import numpy as np


def softmax(scores):
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def plain(query, key, value):
    scores = query @ key.swapaxes(-2, -1) / query.shape[-1] ** 0.5
    return softmax(scores) @ value


def wide(query, key, value):
    return 1.5 * plain(query, key, value)


def scaled_dot_product_attention(query, key, value):
    attend = wide if query.shape[-1] >= 64 else plain
    return attend(query, key, value)
