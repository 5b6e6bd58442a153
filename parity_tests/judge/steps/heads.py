"""What correct attention with layers around it does."""

from dataclasses import replace
from math import sqrt

import numpy as np

from parity_tests.bounds.rounding import Bounded, affine

from .property import (
    Found,
    Step,
    agree,
    alike,
    chance,
    exactly,
    judged,
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


@judged("split_heads")
def a_head_is_a_slice_of_the_features(step: Step, arguments: dict) -> Found:
    """Head h has the features from h times d_head on, of all tokens."""
    x, heads = arguments["x"], arguments["heads"]
    split = step(**arguments)
    slices = np.split(x, heads, axis=-1)
    yield alike("heads", split.shape[-3], heads)
    for head in range(heads):
        yield alike(f"head {head}", split[..., head, :, :], slices[head])


@judged("merge_heads")
def a_head_becomes_a_slice_of_the_features(
    step: Step, arguments: dict
) -> Found:
    """The features of the heads stand side by side, in their order."""
    x, merged = arguments["x"], step(**arguments)
    heads, positions, d_head = x.shape[-3:]
    shape = (*x.shape[:-3], positions, heads * d_head)
    yield alike("shape", merged.shape, shape)
    slices = np.split(merged, heads, axis=-1)
    for head in range(heads):
        yield alike(f"head {head}", slices[head], x[..., head, :, :])


# --- attention with layers around it -------------------------------------


@judged(*ORDERLESS)
def the_order_of_tokens_moves_with_them(
    step: Step, arguments: dict
) -> Found:
    """Tokens in another order, and masks with them: the same outputs, in
    that order. Attention knows no positions."""
    order = chance(arguments).permutation(arguments["x"].shape[-2])
    asked = arguments | {"x": arguments["x"][..., order, :]}
    for name in {"mask", "dropout_mask"} & arguments.keys():
        asked[name] = reordered(arguments[name], order)
    expected = step.known(arguments).moved(lambda a: a[..., order, :])
    yield agree("outputs", step.known(asked), expected)


def reordered(mask: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Queries and keys of a mask, where it tells them apart."""
    for axis in (-2, -1):
        if mask.shape[axis] > 1:
            mask = mask.take(order, axis=axis)
    return mask


@judged(*CAUSAL, *MULTI_HEAD)
def a_later_token_changes_no_earlier_output(
    step: Step, arguments: dict
) -> Found:
    """Under a causal mask, what comes later changes nothing before."""
    x = arguments["x"]
    tokens = x.shape[-2]
    begin = chance(arguments).integers(tokens + 1)
    if "mask" in arguments:
        arguments = arguments | {"mask": np.tri(tokens, dtype=bool)}
    later = np.arange(tokens)[:, None] >= begin
    other = arguments | {"x": np.where(later, 2 - 3 * x, x)}
    before, after = (
        step.known(asked).moved(lambda a: a[..., :begin, :])
        for asked in (arguments, other)
    )
    yield agree("earlier outputs", after, before)


@judged(*ORDERLESS, *CAUSAL)
def a_token_alone_hears_itself(step: Step, arguments: dict) -> Found:
    """Where there is one token, its weight is 1: what comes out is its
    own value, through the output layer, where there is one."""
    asked = nothing_dropped(arguments) | {"x": arguments["x"][..., :1, :]}
    if "dropout_mask" in asked:
        asked["dropout_mask"] = asked["dropout_mask"][..., :1, :1]
    if "mask" in asked:
        asked["mask"] = asked["mask"][..., :1, :1] | True
    expected = own_value(exactly(asked["x"]), asked.get("params"))
    yield agree("output", step.known(asked), expected)


def own_value(x: Bounded, params) -> Bounded:
    """What a token has to say: x itself, where nothing is learned."""
    if params is None:
        return x
    if hasattr(params, "heads"):
        parts = [own_value(x, head) for head in params.heads]
        said = Bounded(
            np.concatenate([part.value for part in parts], axis=-1),
            np.concatenate([part.error for part in parts], axis=-1),
            x.rounding,
        )
    elif isinstance(params.value, np.ndarray):
        zeros = exactly(np.zeros(params.value.shape[-1]))
        return affine(x, exactly(params.value.T), zeros)
    else:
        said = through(params.value, x)
    output = getattr(params, "output", None)
    return said if output is None else through(output, said)


@judged(*MULTI_HEAD)
def a_token_that_sees_nothing_gets_the_output_bias(
    step: Step, arguments: dict
) -> Found:
    """A token that may attend to nothing has a context of zeros: what is
    left is the bias of the output layer."""
    asked = arguments | {"mask": arguments["mask"] & False}
    got = step.known(asked)
    yield agree("outputs", got, exactly(asked["params"].output.bias))


@judged("multi_head_attention")
def heads_have_no_order(step: Step, arguments: dict) -> Found:
    """Heads in another order, with their columns of the output layer:
    the same output, as no head meets another."""
    params, heads = arguments["params"], arguments["heads"]
    order = chance(arguments).permutation(heads)
    features = np.arange(params.output.weight.shape[-1])
    features = features.reshape(heads, -1)[order].reshape(-1)
    inner = {
        name: replace(
            layer, weight=layer.weight[features], bias=layer.bias[features]
        )
        for name, layer in vars(params).items()
        if name != "output"
    }
    weight = params.output.weight[:, features]
    output = replace(params.output, weight=weight)
    other = replace(params, **inner, output=output)
    got = step.known(arguments | {"params": other})
    yield agree("outputs", got, step.known(arguments))


@judged("multi_head_attention")
def a_head_alone_is_attention_of_its_width(
    step: Step, arguments: dict
) -> Found:
    """One head, the others silent, is attention with a single head whose
    queries see those features alone, and are larger by the root of the
    number of heads: the scale is by the width of a head."""
    params, heads = arguments["params"], arguments["heads"]
    d_model = params.output.bias.size
    own = np.arange(d_model) // (d_model // heads)
    own = own == chance(arguments).integers(heads)
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


@judged("stacked_heads")
def stacked_heads_have_no_order(step: Step, arguments: dict) -> Found:
    """Heads in another order, with what they keep and their columns of
    the output layer: the same output."""
    params, heads = arguments["params"], len(arguments["params"].heads)
    order = chance(arguments).permutation(heads)
    features = np.arange(params.output.weight.shape[-1])
    features = features.reshape(heads, -1)[order].reshape(-1)
    weight = params.output.weight[:, features]
    other = replace(
        params,
        heads=tuple(params.heads[head] for head in order),
        output=replace(params.output, weight=weight),
    )
    dropout_mask = arguments["dropout_mask"][..., order, :, :]
    got = step.known(
        arguments | {"params": other, "dropout_mask": dropout_mask}
    )
    yield agree("outputs", got, step.known(arguments))
