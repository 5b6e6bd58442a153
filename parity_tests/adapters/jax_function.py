"""`jax.nn.dot_product_attention`, whose heads come after the tokens.

`pip install jax`
"""

import jax


def scaled_dot_product_attention(
    query, key, value, mask=None, is_causal=False
):
    arrays = [array.swapaxes(-3, -2) for array in (query, key, value)]
    if mask is not None:
        shape = (*query.shape[:-1], key.shape[-2])
        mask = jax.numpy.broadcast_to(mask, shape)
    context = jax.nn.dot_product_attention(
        *map(jax.numpy.asarray, arrays), mask=mask, is_causal=is_causal
    )
    return context.swapaxes(-3, -2)
