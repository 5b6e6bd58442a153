import numpy as np

from ..bounds import (
    affine,
    distribution,
    product,
    scaled_scores,
    weighted_mean,
)
from ..gradient_bounds import over_tokens, softmax_gradient, transposed
from .attention import (
    attention_scores_backward,
    attention_with_dropout,
    attention_with_dropout_backward,
    gradient_of_values,
    gradient_of_weights,
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
)
from .layers import linear_backward
from .numbers import joined, parameters, stacked


def simple_attention(x):
    similarity = product("...qi,...ki->...qk", x, x)
    weights = distribution(similarity, np.True_)
    context = weighted_mean(weights, x)
    return locals()


def simple_attention_backward(d_context, x):
    similarity = product("...qi,...ki->...qk", x, x)
    weights = distribution(similarity, np.True_)
    d_weights = gradient_of_weights(d_context, x)
    steps = softmax_gradient(similarity, np.True_, d_weights)
    d_similarity = steps["d_scores"]
    as_value = gradient_of_values(weights, d_context)
    as_query = product("...qk,...ki->...qi", d_similarity, x)
    as_key = product("...kq,...qi->...ki", transposed(d_similarity), x)
    d_x = as_value + as_query + as_key
    return locals()


def matrix_attention(x, params):
    query = product("...i,io->...o", x, params.query)
    key = product("...i,io->...o", x, params.key)
    value = product("...i,io->...o", x, params.value)
    return locals() | unmasked_attention(query, key, value)


def matrix_attention_backward(d_context, x, params):
    query = product("...i,io->...o", x, params.query)
    key = product("...i,io->...o", x, params.key)
    value = product("...i,io->...o", x, params.value)
    steps = unmasked_attention_backward(d_context, query, key, value)
    as_query, as_key, as_value = (
        product("...o,io->...i", steps[f"d_{name}"], getattr(params, name))
        for name in ("query", "key", "value")
    )
    d_x = as_query + as_key + as_value
    d_params = parameters(
        query=over_tokens(x, steps["d_query"]),
        key=over_tokens(x, steps["d_key"]),
        value=over_tokens(x, steps["d_value"]),
    )
    return locals() | steps


def self_attention(x, params):
    query, key, value = query_key_value(x, params)
    return locals() | unmasked_attention(query, key, value)


def self_attention_backward(d_context, x, params):
    query, key, value = query_key_value(x, params)
    steps = unmasked_attention_backward(d_context, query, key, value)
    return locals() | steps | projections_backward(steps, x, params)


def causal_attention(x, params, keep, rate):
    query, key, value = query_key_value(x, params)
    mask = earlier(x.shape[-2])
    context = attention_with_dropout(query, key, value, mask, keep, rate)[
        "context"
    ]
    return locals()


def causal_attention_backward(d_context, x, params, keep, rate):
    mask = earlier(x.shape[-2])
    query, key, value = query_key_value(x, params)
    steps = attention_with_dropout_backward(
        d_context, query, key, value, mask, keep, rate
    )
    return locals() | steps | projections_backward(steps, x, params)


def stacked_heads(x, params, keep, rate):
    contexts = [
        causal_attention(x, head, keep[..., number, :, :], rate)["context"]
        for number, head in enumerate(params.heads)
    ]
    merged = joined(contexts)
    y = affine(merged, params.output.weight, params.output.bias)
    return locals()


def stacked_heads_backward(d_y, x, params, keep, rate):
    merged = stacked_heads(x, params, keep, rate)["merged"]
    outer = linear_backward(d_y, merged, params.output)
    d_merged, heads = outer["d_x"], len(params.heads)
    d_contexts = [head_slice(d_merged, heads, n) for n in range(heads)]
    parts = [
        causal_attention_backward(
            d_contexts[number], x, head, keep[..., number, :, :], rate
        )
        for number, head in enumerate(params.heads)
    ]
    d_x = parts[0]["d_x"]
    for part in parts[1:]:
        d_x = d_x + part["d_x"]
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
    slices = [head_slice(x, heads, number) for number in range(heads)]
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


def multi_head_attention(x, params, mask, heads):
    query, key, value = (
        split_heads(part, heads)["split"]
        for part in query_key_value(x, params)
    )
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


def multi_head_attention_with_dropout(x, params, mask, keep, rate, heads):
    query, key, value = (
        split_heads(part, heads)["split"]
        for part in query_key_value(x, params)
    )
    context = attention_with_dropout(
        query, key, value, mask[..., None, :, :], keep, rate
    )["context"]
    merged = merge_heads(context)["merged"]
    y = affine(merged, params.output.weight, params.output.bias)
    return locals()


def multi_head_attention_with_dropout_backward(
    d_y, x, params, mask, keep, rate, heads
):
    return heads_backward(
        (d_y, x, params, heads),
        attention_with_dropout,
        attention_with_dropout_backward,
        *(mask[..., None, :, :], keep, rate),
    )


def heads_backward(inputs, attention, attention_backward, *choices):
    """With either kind of attention; `choices` is what it takes besides."""
    d_y, x, params, heads = inputs
    query, key, value = (
        split_heads(part, heads)["split"]
        for part in query_key_value(x, params)
    )
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


def query_key_value(x, params):
    layers = (params.query, params.key, params.value)
    return [affine(x, layer.weight, layer.bias) for layer in layers]


def unmasked_attention(query, key, value):
    scores = scaled_scores(query, key)
    weights = distribution(scores, np.True_)
    context = weighted_mean(weights, value)
    return locals()


def unmasked_attention_backward(d_context, query, key, value):
    scores = scaled_scores(query, key)
    weights = distribution(scores, np.True_)
    d_value = gradient_of_values(weights, d_context)
    d_weights = gradient_of_weights(d_context, value)
    d_scores = softmax_gradient(scores, np.True_, d_weights)["d_scores"]
    return locals() | attention_scores_backward(d_scores, query, key)


def projections_backward(steps, x, params):
    """Of the three linear layers, from the gradients of their outputs."""
    parts = {
        name: linear_backward(steps[f"d_{name}"], x, getattr(params, name))
        for name in ("query", "key", "value")
    }
    d_x = (
        parts["query"]["d_x"] + parts["key"]["d_x"] + parts["value"]["d_x"]
    )
    d_params = parameters(
        **{name: part["d_params"] for name, part in parts.items()}
    )
    return {"d_x": d_x, "d_params": d_params}


def earlier(positions):
    """The causal mask, by an outer comparison."""
    return np.greater_equal.outer(
        np.arange(positions), np.arange(positions)
    )


def head_slice(x, heads, number):
    width = x.shape[-1] // heads
    start = number * width
    return x.moved(lambda a: a[..., start : start + width])
