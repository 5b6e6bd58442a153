"""`jax.nn.dot_product_attention`, whose heads come after the tokens.

JAX computes in float32, unless it is told otherwise.
`pip install jax`
"""

import jax
import numpy as np


def scaled_dot_product_attention(
    query, key, value, mask=None, is_causal=False, scale=None
):
    arrays = [array.swapaxes(-3, -2) for array in (query, key, value)]
    if mask is not None:
        shape = (*query.shape[:-1], key.shape[-2])
        mask = jax.numpy.broadcast_to(mask, shape)
    context = jax.nn.dot_product_attention(
        *map(jax.numpy.asarray, arrays),
        mask=mask,
        scale=scale,
        is_causal=is_causal,
    )
    return np.asarray(context, query.dtype).swapaxes(-3, -2)
