import numpy as np

from parity_tests.bounds.gradients import (
    along_paths,
    over_tokens,
    softmax_gradient,
    transposed,
)
from parity_tests.bounds.rounding import (
    affine,
    distribution,
    product,
    scaled_scores,
    weighted_mean,
)

from .attention import (
    attention_scores_backward,
    attention_with_dropout,
    attention_with_dropout_backward,
    gradient_of_values,
    gradient_of_weights,
)
from .layers import linear_backward
from .numbers import parameters


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
    d_x = along_paths(as_value, as_query, as_key)
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
    d_x = along_paths(as_query, as_key, as_value)
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


def causal_attention(x, params, dropout_mask, rate):
    query, key, value = query_key_value(x, params)
    mask = earlier(x.shape[-2])
    context = attention_with_dropout(
        query, key, value, mask, dropout_mask, rate
    )["context"]
    return locals()


def causal_attention_backward(d_context, x, params, dropout_mask, rate):
    mask = earlier(x.shape[-2])
    query, key, value = query_key_value(x, params)
    steps = attention_with_dropout_backward(
        d_context, query, key, value, mask, dropout_mask, rate
    )
    return locals() | steps | projections_backward(steps, x, params)


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
    paths = tuple(part["d_x"] for part in parts.values())
    d_params = parameters(
        **{name: part["d_params"] for name, part in parts.items()}
    )
    d_x = along_paths(*paths)
    return {"paths": paths, "d_x": d_x, "d_params": d_params}


def earlier(positions):
    """The causal mask, by an outer comparison."""
    return np.greater_equal.outer(
        np.arange(positions), np.arange(positions)
    )
