from parity_tests.bounds.gradients import along_paths
from parity_tests.bounds.rounding import (
    affine,
    distribution,
    scaled_scores,
    weighted_mean,
)

from .attention import (
    attention_with_dropout,
    attention_with_dropout_backward,
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
)
from .layers import linear_backward
from .numbers import joined, parameters, stacked
from .self_attention import (
    causal_attention,
    causal_attention_backward,
    projections_backward,
    query_key_value,
)


def stacked_heads(x, params, dropout_mask, rate):
    contexts = [
        causal_attention(x, head, dropout_mask[..., index, :, :], rate)[
            "context"
        ]
        for index, head in enumerate(params.heads)
    ]
    merged = joined(contexts)
    y = affine(merged, params.output.weight, params.output.bias)
    return locals()


def stacked_heads_backward(d_y, x, params, dropout_mask, rate):
    merged = stacked_heads(x, params, dropout_mask, rate)["merged"]
    outer = linear_backward(d_y, merged, params.output)
    d_merged, heads = outer["d_x"], len(params.heads)
    d_contexts = [head_slice(d_merged, heads, i) for i in range(heads)]
    parts = [
        causal_attention_backward(
            d_contexts[index],
            x,
            head,
            dropout_mask[..., index, :, :],
            rate,
        )
        for index, head in enumerate(params.heads)
    ]
    d_x = along_paths(*(path for part in parts for path in part["paths"]))
    d_params = parameters(
        heads=tuple(part["d_params"] for part in parts),
        output=outer["d_params"],
    )
    return {
        "d_merged": d_merged,
        "d_contexts": d_contexts,
        "d_x": d_x,
        "d_params": d_params,
    }


def split_heads(x, heads):
    slices = [head_slice(x, heads, index) for index in range(heads)]
    separate = stacked(slices, axis=-2)
    split = stacked(slices, axis=-3)
    return locals()


def split_heads_backward(d_split, x, heads):
    return {"d_x": merge_heads(d_split)["merged"]}


def merge_heads(x):
    heads = x.shape[-3]
    slices = [x.moved(lambda a, h=h: a[..., h, :, :]) for h in range(heads)]
    separate = stacked(slices, axis=-2)
    merged = joined(slices)
    return locals()


def merge_heads_backward(d_merged, x):
    return {"d_x": split_heads(d_merged, x.shape[-3])["split"]}


def open_heads(x, params, mask, heads):
    query, key, value = split_query_key_value(x, params, heads)
    head_mask = mask[..., None, :, :]
    weights = distribution(scaled_scores(query, key), head_mask)
    context = weighted_mean(weights, value)
    attention = (query, key, value, weights, context)
    return locals()


def split_query_key_value(x, params, heads):
    return [
        split_heads(part, heads)["split"]
        for part in query_key_value(x, params)
    ]


def multi_head_attention(x, params, mask, heads):
    query, key, value = split_query_key_value(x, params, heads)
    context = scaled_dot_product_attention(
        query, key, value, mask[..., None, :, :]
    )["context"]
    merged = merge_heads(context)["merged"]
    y = affine(merged, params.output.weight, params.output.bias)
    return locals()


def multi_head_attention_backward(d_y, x, params, mask, heads):
    return heads_backward(
        (d_y, x, params, heads),
        scaled_dot_product_attention,
        scaled_dot_product_attention_backward,
        mask[..., None, :, :],
    )


def multi_head_attention_with_dropout(
    x, params, mask, dropout_mask, rate, heads
):
    query, key, value = split_query_key_value(x, params, heads)
    context = attention_with_dropout(
        query, key, value, mask[..., None, :, :], dropout_mask, rate
    )["context"]
    merged = merge_heads(context)["merged"]
    y = affine(merged, params.output.weight, params.output.bias)
    return locals()


def multi_head_attention_with_dropout_backward(
    d_y, x, params, mask, dropout_mask, rate, heads
):
    return heads_backward(
        (d_y, x, params, heads),
        attention_with_dropout,
        attention_with_dropout_backward,
        *(mask[..., None, :, :], dropout_mask, rate),
    )


def heads_backward(inputs, attention, attention_backward, *choices):
    """With either kind of attention; `choices` is what it takes besides."""
    d_y, x, params, heads = inputs
    query, key, value = split_query_key_value(x, params, heads)
    context = attention(query, key, value, *choices)["context"]
    merged = merge_heads(context)["merged"]
    outer = linear_backward(d_y, merged, params.output)
    d_merged = outer["d_x"]
    d_context = split_heads(d_merged, heads)["split"]
    steps = attention_backward(d_context, query, key, value, *choices)
    d_query, d_key, d_value = (
        steps[name] for name in ("d_query", "d_key", "d_value")
    )
    together = {
        name: merge_heads(steps[name])["merged"]
        for name in ("d_query", "d_key", "d_value")
    }
    inner = projections_backward(together, x, params)
    d_x = inner["d_x"]
    inner["d_params"].output = outer["d_params"]
    d_params = inner["d_params"]
    return locals()


def head_slice(x, heads, index):
    width = x.shape[-1] // heads
    start = index * width
    return x.moved(lambda a: a[..., start : start + width])
