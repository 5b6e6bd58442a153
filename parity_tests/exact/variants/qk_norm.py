from ..attention import (
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
)
from ..numbers import parameters
from .rms_norm import rms_norm, rms_norm_backward


def qk_norm_attention(query, key, value, params, mask, epsilon):
    normed_query = rms_norm(query, params.query, epsilon)["y"]
    normed_key = rms_norm(key, params.key, epsilon)["y"]
    context = scaled_dot_product_attention(
        normed_query, normed_key, value, mask
    )["context"]
    return locals()


def qk_norm_attention_backward(
    d_context, query, key, value, params, mask, epsilon
):
    steps = qk_norm_attention(query, key, value, params, mask, epsilon)
    back = scaled_dot_product_attention_backward(
        *(d_context, steps["normed_query"], steps["normed_key"]),
        *(value, mask),
    )
    d_normed_query, d_normed_key = back["d_query"], back["d_key"]
    d_value = back["d_value"]
    of_query = rms_norm_backward(
        d_normed_query, query, params.query, epsilon
    )
    of_key = rms_norm_backward(d_normed_key, key, params.key, epsilon)
    d_query, d_key = of_query["d_x"], of_key["d_x"]
    d_params_query, d_params_key = of_query["d_params"], of_key["d_params"]
    d_params = parameters(query=d_params_query, key=d_params_key)
    return locals()
