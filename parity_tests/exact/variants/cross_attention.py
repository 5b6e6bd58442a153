from parity_tests.bounds.gradients import along_paths
from parity_tests.bounds.rounding import (
    affine,
    distribution,
    scaled_scores,
    weighted_mean,
)

from ..attention import (
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
)
from ..layers import linear_backward
from ..multi_head import merge_heads, split_heads
from ..numbers import parameters


def query_key_value_of_two(x, source, params, heads):
    parts = (
        (x, params.query),
        (source, params.key),
        (source, params.value),
    )
    return [
        split_heads(affine(tokens, part.weight, part.bias), heads)["split"]
        for tokens, part in parts
    ]


def open_cross_heads(x, source, params, mask, heads):
    query, key, value = query_key_value_of_two(x, source, params, heads)
    head_mask = mask[..., None, :, :]
    weights = distribution(scaled_scores(query, key), head_mask)
    context = weighted_mean(weights, value)
    attention = (query, key, value, weights, context)
    return locals()


def cross_attention(x, source, params, mask, heads):
    query, key, value = query_key_value_of_two(x, source, params, heads)
    head_mask = mask[..., None, :, :]
    context = scaled_dot_product_attention(query, key, value, head_mask)[
        "context"
    ]
    merged = merge_heads(context)["merged"]
    y = affine(merged, params.output.weight, params.output.bias)
    return locals()


def cross_attention_backward(d_y, x, source, params, mask, heads):
    steps = cross_attention(x, source, params, mask, heads)
    outer = linear_backward(d_y, steps["merged"], params.output)
    d_merged = outer["d_x"]
    d_context = split_heads(d_merged, heads)["split"]
    back = scaled_dot_product_attention_backward(
        *(d_context, steps["query"], steps["key"], steps["value"]),
        mask[..., None, :, :],
    )
    d_query, d_key, d_value = (
        back[name] for name in ("d_query", "d_key", "d_value")
    )
    as_query, as_key, as_value = (
        linear_backward(merge_heads(part)["merged"], tokens, layer)
        for part, tokens, layer in (
            (d_query, x, params.query),
            (d_key, source, params.key),
            (d_value, source, params.value),
        )
    )
    d_x = as_query["d_x"]
    paths = (as_key["d_x"], as_value["d_x"])
    d_source = along_paths(*paths)
    d_params = parameters(
        query=as_query["d_params"],
        key=as_key["d_params"],
        value=as_value["d_params"],
        output=outer["d_params"],
    )
    return locals()
