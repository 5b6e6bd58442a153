"""Online softmax: keys in tiles, sums rescaled as the maximum grows."""

import numpy as np


def attention(q, k, v, mask=None, tile_size=4):
    """`mask` is True where a query may attend to a key."""
    scores_shape = (*q.shape[:-1], k.shape[-2])
    if mask is None:
        mask = np.ones(scores_shape, dtype=bool)
    mask = np.broadcast_to(mask, scores_shape)
    column = (*q.shape[:-1], 1)
    peak = np.full(column, -np.inf, dtype=q.dtype)
    total, context = np.zeros_like(peak), np.zeros_like(peak)
    for left in range(0, k.shape[-2], tile_size):
        tile = slice(left, left + tile_size)
        logits = q @ k[..., tile, :].swapaxes(-2, -1) / q.shape[-1] ** 0.5
        logits = np.where(mask[..., tile], logits, -np.inf)
        higher = np.maximum(peak, logits.max(axis=-1, keepdims=True))
        anchor = np.where(np.isfinite(higher), higher, 0)
        fade, part = np.exp(peak - anchor), np.exp(logits - anchor)
        total = fade * total + part.sum(axis=-1, keepdims=True)
        context = fade * context + part @ v[..., tile, :]
        peak = higher
    return context / np.where(total > 0, total, 1)
