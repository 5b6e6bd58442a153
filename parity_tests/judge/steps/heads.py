"""Properties of self-attention and multi-head attention."""

from dataclasses import replace
from functools import partial
from math import sqrt

import numpy as np

from parity_tests.bounds.rounding import Bounded, affine

from .property import (
    Comparisons,
    Property,
    Step,
    agree,
    alike,
    as_one,
    exactly,
    generator_for,
    known,
    nothing_dropped,
    rounded,
    through,
)

MULTI_HEAD = ("multi_head_attention", "multi_head_attention_with_dropout")
ORDERLESS = (
    *("simple_attention", "matrix_attention", "self_attention"),
    *MULTI_HEAD,
)
CAUSAL = ("causal_attention", "stacked_heads")


# --- heads ---------------------------------------------------------------


def a_head_is_a_slice_of_the_features(
    step: Step, arguments: dict
) -> Comparisons:
    """Head h has d_head features of every token, from h · d_head on."""
    x, heads = arguments["x"], arguments["heads"]
    split = step(**arguments)
    slices = np.split(x, heads, axis=-1)
    yield alike("heads", split.shape[-3], heads)
    for head in range(heads):
        yield alike(f"head {head}", split[..., head, :, :], slices[head])


def a_head_becomes_a_slice_of_the_features(
    step: Step, arguments: dict
) -> Comparisons:
    """The features of the heads are joined side by side, in order."""
    x, merged = arguments["x"], step(**arguments)
    heads, positions, d_head = x.shape[-3:]
    shape = (*x.shape[:-3], positions, heads * d_head)
    yield alike("shape", merged.shape, shape)
    slices = np.split(merged, heads, axis=-1)
    for head in range(heads):
        yield alike(f"head {head}", slices[head], x[..., head, :, :])


# --- attention with layers around it -------------------------------------


def the_order_of_tokens_moves_with_them(
    step: Step, arguments: dict
) -> Comparisons:
    """Tokens and masks permuted alike give outputs permuted alike:
    attention knows no positions."""
    order = generator_for(arguments).permutation(arguments["x"].shape[-2])
    permuted = arguments | {"x": arguments["x"][..., order, :]}
    for name in {"mask", "dropout_mask"} & arguments.keys():
        permuted[name] = reordered(arguments[name], order)
    expected = step.known(arguments).moved(lambda a: a[..., order, :])
    yield agree("outputs", step.known(permuted), expected)


def reordered(mask: np.ndarray, order: np.ndarray) -> np.ndarray:
    """A mask with its queries and keys permuted, if it has these axes."""
    for axis in (-2, -1):
        if mask.shape[axis] > 1:
            mask = mask.take(order, axis=axis)
    return mask


def a_later_token_changes_no_earlier_output(
    step: Step, arguments: dict
) -> Comparisons:
    """Under a causal mask, a later token changes no earlier output."""
    x = arguments["x"]
    tokens = x.shape[-2]
    begin = generator_for(arguments).integers(tokens + 1)
    if "mask" in arguments:
        arguments = arguments | {"mask": np.tri(tokens, dtype=bool)}
    later = np.arange(tokens)[:, None] >= begin
    other = arguments | {"x": np.where(later, 2 - 3 * x, x)}
    before, after = (
        step.known(taken).moved(lambda a: a[..., :begin, :])
        for taken in (arguments, other)
    )
    yield agree("earlier outputs", after, before)


def a_single_token_gets_its_own_value(
    step: Step, arguments: dict
) -> Comparisons:
    """A single token has the weight 1: the output is its own value, sent
    through the output layer, if there is one."""
    single = nothing_dropped(arguments) | {"x": arguments["x"][..., :1, :]}
    if "dropout_mask" in single:
        single["dropout_mask"] = single["dropout_mask"][..., :1, :1]
    if "mask" in single:
        single["mask"] = single["mask"][..., :1, :1] | True
    expected = own_value(exactly(single["x"]), single.get("params"))
    yield agree("output", step.known(single), expected)


def own_value(x: Bounded, params) -> Bounded:
    """The value of a token: x itself, if there are no weights."""
    if params is None:
        return x
    if hasattr(params, "heads"):
        parts = [own_value(x, head) for head in params.heads]
        value = as_one(parts, partial(np.concatenate, axis=-1))
    elif isinstance(params.value, np.ndarray):
        zeros = exactly(np.zeros(params.value.shape[-1]))
        return affine(x, exactly(params.value.T), zeros)
    else:
        value = through(params.value, x)
    output = getattr(params, "output", None)
    return value if output is None else through(output, value)


def a_fully_masked_token_gets_the_output_bias(
    step: Step, arguments: dict
) -> Comparisons:
    """A fully masked token has a context of zeros, so its output is the
    bias of the output layer."""
    masked = arguments | {"mask": arguments["mask"] & False}
    got = step.known(masked)
    yield agree("outputs", got, exactly(masked["params"].output.bias))


def heads_have_no_order(step: Step, arguments: dict) -> Comparisons:
    """Heads permuted together with their columns of the output layer give
    the same output."""
    params = arguments["params"]
    order = generator_for(arguments).permutation(arguments["heads"])
    output, features = with_columns(params.output, order)
    inner = {
        name: replace(
            layer, weight=layer.weight[features], bias=layer.bias[features]
        )
        for name, layer in vars(params).items()
        if name != "output"
    }
    other = replace(params, **inner, output=output)
    got = step.known(arguments | {"params": other})
    yield agree("outputs", got, step.known(arguments))


def with_columns(layer, order: np.ndarray):
    """An output layer for heads in another order, and their features."""
    features = np.arange(layer.weight.shape[-1])
    features = features.reshape(len(order), -1)[order].reshape(-1)
    return replace(layer, weight=layer.weight[:, features]), features


def a_head_alone_is_attention_of_its_width(
    step: Step, arguments: dict
) -> Comparisons:
    """With the values of the other heads at 0, one head is single-head
    attention of its features, its queries times the root of the number of
    heads: the scale is by the width of a head."""
    params, heads = arguments["params"], arguments["heads"]
    d_model = params.output.bias.size
    own = np.arange(d_model) // (d_model // heads)
    own = own == generator_for(arguments).integers(heads)
    silent = replace(params, value=only(params.value, own))
    query = only(params.query, own)
    root = query.bias.dtype.type(sqrt(heads))
    weight, bias = query.weight * root, query.bias * root
    louder = replace(silent, query=replace(query, weight=weight, bias=bias))
    # The root was rounded, and so was each product with it.
    inexact = {
        "params.query.weight": 2 * rounded(weight),
        "params.query.bias": 2 * rounded(bias),
    }
    one = arguments | {"params": louder, "heads": 1}
    got = known(step(**one), step.error(one, inexact))
    expected = step.known(arguments | {"params": silent})
    yield agree("outputs", got, expected)


def only(layer, features: np.ndarray):
    """A linear layer that leaves the other features at 0."""
    return replace(
        layer,
        weight=np.where(features[:, None], layer.weight, 0),
        bias=np.where(features, layer.bias, 0),
    )


def stacked_heads_have_no_order(step: Step, arguments: dict) -> Comparisons:
    """Heads permuted together with their dropout masks and their columns
    of the output layer give the same output."""
    params = arguments["params"]
    order = generator_for(arguments).permutation(len(params.heads))
    heads = tuple(params.heads[head] for head in order)
    output, _ = with_columns(params.output, order)
    other = replace(params, heads=heads, output=output)
    dropout_mask = arguments["dropout_mask"][..., order, :, :]
    got = step.known(
        arguments | {"params": other, "dropout_mask": dropout_mask}
    )
    yield agree("outputs", got, step.known(arguments))


PROPERTIES = (
    Property(a_head_is_a_slice_of_the_features, of=("split_heads",)),
    Property(a_head_becomes_a_slice_of_the_features, of=("merge_heads",)),
    Property(the_order_of_tokens_moves_with_them, of=ORDERLESS),
    Property(
        a_later_token_changes_no_earlier_output,
        of=(*CAUSAL, *MULTI_HEAD),
    ),
    Property(a_single_token_gets_its_own_value, of=(*ORDERLESS, *CAUSAL)),
    Property(
        a_fully_masked_token_gets_the_output_bias,
        of=(*MULTI_HEAD, "cross_attention"),
    ),
    Property(
        heads_have_no_order, of=("multi_head_attention", "cross_attention")
    ),
    Property(
        a_head_alone_is_attention_of_its_width,
        of=("multi_head_attention", "cross_attention"),
    ),
    Property(stacked_heads_have_no_order, of=("stacked_heads",)),
)
