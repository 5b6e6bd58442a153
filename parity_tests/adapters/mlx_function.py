"""`mlx.core.fast.scaled_dot_product_attention`, which wants a scale.

It takes a batch of heads, and makes float32 of float64.
`pip install mlx`, on Linux `pip install "mlx[cpu]"`
"""

import mlx.core as mx
import numpy as np


def scaled_dot_product_attention(
    query, key, value, mask=None, is_causal=False, scale=None
):
    if is_causal and mask is not None:
        raise TypeError('its mask is "causal" or an array, never both')
    if mask is not None:
        mask = mx.array(mask)
    context = mx.fast.scaled_dot_product_attention(
        *map(mx.array, (query, key, value)),
        scale=query.shape[-1] ** -0.5 if scale is None else scale,
        mask="causal" if is_causal else mask,
    )
    return np.array(context, query.dtype)


def without_scale(query, key, value):
    arrays = map(mx.array, (query, key, value))
    return np.array(mx.fast.scaled_dot_product_attention(*arrays))
