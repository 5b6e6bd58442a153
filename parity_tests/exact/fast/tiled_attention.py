from math import inf

import numpy as np

from parity_tests.bounds.rounding import (
    Bounded,
    apply,
    exponential,
    like,
    product,
    scaled_scores,
    where,
)

from ..attention import (
    gradient_of_values,
    gradient_of_weights,
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
)
from .partial_attention import (
    PartialAttention,
    column,
    partial_attention_in_blocks,
    rows,
)

GRADIENTS = ("d_query", "d_key", "d_value")


def attention_delta(d_context, context):
    delta = product("...qv,...qv->...q", d_context, context)
    return locals()


def block_weights(query, key, mask, log_sum_exp):
    scores = scaled_scores(query, key)
    allowed = where(mask, scores, -inf)
    shift = where(log_sum_exp.value > -inf, log_sum_exp, 0)
    shifted = where(mask, scores - column(shift), 0)
    weights = where(mask, exponential(shifted), 0)
    return locals()


def block_gradient(d_context, query, key, value, mask, log_sum_exp, delta):
    weights = block_weights(query, key, mask, log_sum_exp)["weights"]
    d_value = gradient_of_values(weights, d_context)
    d_weights = gradient_of_weights(d_context, value)
    d_scores = weights * (d_weights - column(delta))
    root = apply("sqrt", like(query, query.shape[-1]))
    d_similarity = d_scores.over(root)
    d_query = product("...qk,...ki->...qi", d_similarity, key)
    d_key = product("...qk,...qi->...ki", d_similarity, query)
    return locals()


def add_block_gradients(
    d_query,
    d_context,
    query,
    key,
    value,
    mask,
    log_sum_exp,
    delta,
    past,
    block,
):
    d_keys, d_values = [], []
    visible = in_the_past(query, key, mask, past)
    for start in range(0, key.shape[-2], block):
        first, columns = max(start - past, 0), slice(start, start + block)
        below = [rows(a, slice(first, None)) for a in (d_context, query)]
        beside = [rows(a, columns) for a in (key, value)]
        numbers = [from_row(a, first) for a in (log_sum_exp, delta)]
        steps = block_gradient(
            *(*below, *beside, visible[..., first:, columns], *numbers)
        )
        part = steps["d_query"]
        before = rows(d_query, slice(first))
        behind = rows(d_query, slice(first, None)) + part
        d_query = below_each_other([before, behind])
        d_keys.append(steps["d_key"])
        d_values.append(steps["d_value"])
    return {
        "d_keys": d_keys,
        "d_values": d_values,
        "part": part,
        "d_key_block": d_keys[-1],
        "d_value_block": d_values[-1],
        "before": before,
        "behind": behind,
        "d_key": below_each_other(d_keys),
        "d_value": below_each_other(d_values),
        "summed_d_query": d_query,
    }


def in_the_past(query, key, mask, past):
    """What the mask allows, of the keys up to each query's position."""
    causal = np.tri(query.shape[-2], key.shape[-2], past, dtype=bool)
    return mask & causal


def from_row(a, first):
    return a.moved(lambda part: part[..., first:])


def below_each_other(parts, axis=-2):
    return Bounded(
        np.concatenate([part.value for part in parts], axis),
        np.concatenate([part.error for part in parts], axis),
        parts[0].rounding,
    )


def tiled_causal_attention(query, key, value, mask, past, block):
    visible = in_the_past(query, key, mask, past)
    context = scaled_dot_product_attention(query, key, value, visible)[
        "context"
    ]
    outputs, sums = [], []
    for start in range(0, query.shape[-2], block):
        some = slice(start, start + block)
        partial = partial_attention_in_blocks(
            rows(query, some), key, value, visible[..., some, :], block
        )["partial"]
        outputs.append(rows(context, some))
        sums.append(partial.log_sum_exp)
    log_sum_exp = below_each_other(sums, -1)
    return {
        "outputs": outputs,
        "sums": sums,
        "tile": PartialAttention(outputs[-1], sums[-1]),
        "context": context,
        "log_sum_exp": log_sum_exp,
        "partial": PartialAttention(context, log_sum_exp),
    }


def tiled_causal_attention_backward(
    d_context, partial, query, key, value, mask, past, block
):
    visible = in_the_past(query, key, mask, past)
    steps = scaled_dot_product_attention_backward(
        d_context, query, key, value, visible
    )
    delta = attention_delta(d_context, partial.output)["delta"]
    return {"delta": delta} | {n: steps[n] for n in GRADIENTS}


def tiled_attention(query, key, value, mask, block):
    steps = tiled_causal_attention(
        query, key, value, mask, key.shape[-2], block
    )
    return {"context": steps["context"], "_": steps["partial"]}


def tiled_attention_backward(d_context, query, key, value, mask, block):
    steps = scaled_dot_product_attention_backward(
        d_context, query, key, value, mask
    )
    return {name: steps[name] for name in GRADIENTS}
