import numpy as np

from ..bounds import (
    affine,
    distribution,
    product,
    scaled_scores,
    weighted_mean,
)
from .attention import attention_with_dropout, scaled_dot_product_attention
from .numbers import joined, stacked


def simple_attention(x):
    similarity = product("...qi,...ki->...qk", x, x)
    weights = distribution(similarity, np.True_)
    context = weighted_mean(weights, x)
    return locals()


def matrix_attention(x, params):
    query = product("...i,io->...o", x, params.query)
    key = product("...i,io->...o", x, params.key)
    value = product("...i,io->...o", x, params.value)
    return locals() | unmasked_attention(query, key, value)


def self_attention(x, params):
    query, key, value = query_key_value(x, params)
    return locals() | unmasked_attention(query, key, value)


def causal_attention(x, params, keep, rate):
    query, key, value = query_key_value(x, params)
    mask = earlier(x.shape[-2])
    context = attention_with_dropout(query, key, value, mask, keep, rate)[
        "context"
    ]
    return locals()


def stacked_heads(x, params, keep, rate):
    contexts = [
        causal_attention(x, head, keep[..., number, :, :], rate)["context"]
        for number, head in enumerate(params.heads)
    ]
    merged = joined(contexts)
    y = affine(merged, params.output.weight, params.output.bias)
    return locals()


def split_heads(x, heads):
    slices = [head_slice(x, heads, number) for number in range(heads)]
    separate = stacked(slices, axis=-2)
    split = stacked(slices, axis=-3)
    return locals()


def merge_heads(x):
    heads = x.shape[-3]
    slices = [x.moved(lambda a, h=h: a[..., h, :, :]) for h in range(heads)]
    separate = stacked(slices, axis=-2)
    merged = joined(slices)
    return locals()


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


def query_key_value(x, params):
    layers = (params.query, params.key, params.value)
    return [affine(x, layer.weight, layer.bias) for layer in layers]


def unmasked_attention(query, key, value):
    scores = scaled_scores(query, key)
    weights = distribution(scores, np.True_)
    context = weighted_mean(weights, value)
    return locals()


def earlier(positions):
    """The causal mask, by an outer comparison."""
    return np.greater_equal.outer(
        np.arange(positions), np.arange(positions)
    )


def head_slice(x, heads, number):
    width = x.shape[-1] // heads
    start = number * width
    return x.moved(lambda a: a[..., start : start + width])
