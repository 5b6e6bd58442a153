import numpy as np

from parity_tests.bounds.gradients import along_paths
from parity_tests.bounds.rounding import (
    distribution,
    product,
    scaled_scores,
    weighted_mean,
)

from ..attention import (
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
)
from ..layers import linear, linear_backward
from ..multi_head import merge_heads, split_heads
from ..numbers import parameters
from .projection import projection, projection_backward
from .rotary import rotary_halves, rotary_halves_backward


def repeat_heads(x, repeats):
    group = np.arange(x.shape[-3] * repeats) // repeats
    repeated = x.moved(lambda a: a[..., group, :, :])
    return locals()


def repeat_heads_backward(d_repeated, x, repeats):
    groups = d_repeated.moved(
        lambda a: a.reshape(*a.shape[:-3], -1, repeats, *a.shape[-2:])
    )
    last = groups.moved(lambda a: np.moveaxis(a, -3, -1))
    d_x = last.total().moved(lambda a: a[..., 0])
    return {"d_x": d_x}


def grouped_attention(query, key, value, mask):
    repeats = query.shape[-3] // key.shape[-3]
    repeated_key = repeat_heads(key, repeats)["repeated"]
    repeated_value = repeat_heads(value, repeats)["repeated"]
    context = scaled_dot_product_attention(
        query, repeated_key, repeated_value, mask
    )["context"]
    heads, key_heads = query.shape[-3], key.shape[-3]
    return locals()


def grouped_attention_backward(d_context, query, key, value, mask):
    steps = grouped_attention(query, key, value, mask)
    repeats = steps["repeats"]
    back = scaled_dot_product_attention_backward(
        *(d_context, query, steps["repeated_key"]),
        *(steps["repeated_value"], mask),
    )
    d_query = back["d_query"]
    d_repeated_key, d_repeated_value = back["d_key"], back["d_value"]
    d_key = repeat_heads_backward(d_repeated_key, key, repeats)["d_x"]
    d_value = repeat_heads_backward(d_repeated_value, value, repeats)["d_x"]
    return locals()


def projected(x, params):
    """With a bias where the parameters have one."""
    layer = linear if hasattr(params, "bias") else projection
    return layer(x, params)["y"]


def turned_heads(x, params, cosine, sine, heads, key_heads):
    """Query, key and value in heads, before and after their rotation."""
    split_query = split_heads(projected(x, params.query), heads)["split"]
    split_key = split_heads(projected(x, params.key), key_heads)["split"]
    query = rotary_halves(split_query, cosine, sine)["turned"]
    key = rotary_halves(split_key, cosine, sine)["turned"]
    value = split_heads(projected(x, params.value), key_heads)["split"]
    return locals()


def open_grouped_heads(x, params, mask, cosine, sine, heads, key_heads):
    steps = turned_heads(x, params, cosine, sine, heads, key_heads)
    query, key, value = (steps[n] for n in ("query", "key", "value"))
    repeated_key = repeat_heads(key, heads // key_heads)["repeated"]
    repeated_value = repeat_heads(value, heads // key_heads)["repeated"]
    head_mask = mask[..., None, :, :]
    scores = scaled_scores(query, repeated_key)
    weights = distribution(scores, head_mask)
    context = weighted_mean(weights, repeated_value)
    attention = (query, key, value, weights, context)
    return steps | locals()


def grouped_query_attention(
    x, params, mask, cosine, sine, heads, key_heads
):
    steps = turned_heads(x, params, cosine, sine, heads, key_heads)
    head_mask = mask[..., None, :, :]
    context = grouped_attention(
        *(steps["query"], steps["key"], steps["value"], head_mask)
    )["context"]
    merged = merge_heads(context)["merged"]
    y = product("...i,oi->...o", merged, params.output.weight)
    return steps | locals()


def grouped_query_attention_backward(
    d_y, x, params, mask, cosine, sine, heads, key_heads
):
    steps = grouped_query_attention(
        x, params, mask, cosine, sine, heads, key_heads
    )
    outer = projection_backward(d_y, steps["merged"], params.output)
    d_merged = outer["d_x"]
    d_context = split_heads(d_merged, heads)["split"]
    back = grouped_attention_backward(
        *(d_context, steps["query"], steps["key"], steps["value"]),
        steps["head_mask"],
    )
    d_query, d_key, d_value = (
        back[name] for name in ("d_query", "d_key", "d_value")
    )
    d_split_query = rotary_halves_backward(
        d_query, steps["split_query"], cosine, sine
    )["d_x"]
    d_split_key = rotary_halves_backward(
        d_key, steps["split_key"], cosine, sine
    )["d_x"]
    together = {
        "query": d_split_query,
        "key": d_split_key,
        "value": d_value,
    }
    is_biased = hasattr(params.query, "bias")
    backward = linear_backward if is_biased else projection_backward
    parts = {
        name: backward(
            merge_heads(d_split)["merged"], x, getattr(params, name)
        )
        for name, d_split in together.items()
    }
    paths = tuple(part["d_x"] for part in parts.values())
    d_x = along_paths(*paths)
    d_params = parameters(
        **{name: part["d_params"] for name, part in parts.items()},
        output=outer["d_params"],
    )
    return locals()
