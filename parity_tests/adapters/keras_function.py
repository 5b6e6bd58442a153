"""`keras.ops.dot_product_attention`, whose heads come after the tokens.

What it does depends on KERAS_BACKEND. `pip install keras jax`
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np


def scaled_dot_product_attention(
    query, key, value, mask=None, is_causal=False, scale=None
):
    arrays = [array.swapaxes(1, 2) for array in (query, key, value)]
    if mask is not None:
        shape = (*query.shape[:-1], key.shape[-2])
        mask = np.broadcast_to(mask, shape)
    context = keras.ops.dot_product_attention(
        *arrays, mask=mask, scale=scale, is_causal=is_causal
    )
    context = keras.ops.convert_to_numpy(context).astype(query.dtype)
    return context.swapaxes(1, 2)
