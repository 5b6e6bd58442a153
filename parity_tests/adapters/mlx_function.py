"""`mlx.core.fast.scaled_dot_product_attention`, which wants a scale.

It takes a batch of heads, and makes float32 of float64. NumPy's
bfloat16 comes from ml_dtypes, which MLX takes as bits.
`pip install mlx`, on Linux `pip install "mlx[cpu]"`
"""

import mlx.core as mx
import numpy as np


def to_mlx(array: np.ndarray) -> mx.array:
    if array.dtype.name == "bfloat16":
        return mx.array(array.view(np.uint16)).view(mx.bfloat16)
    return mx.array(array)


def to_numpy(array: mx.array, dtype: np.dtype) -> np.ndarray:
    if array.dtype == mx.bfloat16:
        return np.array(array.view(mx.uint16)).view(dtype)
    return np.array(array, dtype)


def scaled_dot_product_attention(
    query, key, value, mask=None, is_causal=False, scale=None
):
    if is_causal and mask is not None:
        raise TypeError('its mask is "causal" or an array, never both')
    if mask is not None:
        mask = mx.array(mask)
    context = mx.fast.scaled_dot_product_attention(
        *map(to_mlx, (query, key, value)),
        scale=query.shape[-1] ** -0.5 if scale is None else scale,
        mask="causal" if is_causal else mask,
    )
    return to_numpy(context, query.dtype)


def without_scale(query, key, value):
    arrays = map(mx.array, (query, key, value))
    return np.array(mx.fast.scaled_dot_product_attention(*arrays))
