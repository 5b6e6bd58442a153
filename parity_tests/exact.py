"""What every named step should be, from its definition.

A third writing of the steps, in numbers that carry their error bound
(`bounds.Bounded`): in float64 where only the bound is wanted, in mpmath's
50 digits where the exact value is. It takes other ways than the twins
where there are any: sums by einsum, softmax without its intermediate
steps, heads by slicing, frequencies as powers.

Each function returns its locals by name. What is no float (ids, masks,
sizes) is left out: there, the twins must agree exactly.
"""

from dataclasses import fields, is_dataclass
from math import inf
from types import SimpleNamespace

import numpy as np

from .bounds import (
    Bounded,
    affine,
    distribution,
    exponential,
    product,
    scaled_scores,
    wave,
    weighted_mean,
    where,
)

DIGITS = 50


def exact_steps(
    name: str, arguments: dict, params=None, digits: bool = False
):
    """The floats among the locals of step `name`, by their names.

    `arguments` and `params` hold NumPy arrays. With `digits` the values
    are exact to DIGITS digits; without, float64. Raises LookupError for
    a step that is not described in this file.
    """
    if name not in globals():
        raise LookupError(f"expected {name} to be described in {__name__}")
    taken = {
        key: bounded(value, digits) for key, value in arguments.items()
    }
    if params is not None:
        taken["params"] = bounded(params, digits)
    if not digits:
        return _floats(globals()[name](**taken), arguments)
    import mpmath

    with mpmath.workdps(DIGITS):
        return _floats(globals()[name](**taken), arguments)


def bounded(value, digits: bool = False):
    """Float arrays as `Bounded`, in a dataclass too; all else as it is."""
    if is_dataclass(value):
        return SimpleNamespace(
            **{
                field.name: bounded(getattr(value, field.name), digits)
                for field in fields(value)
            }
        )
    if isinstance(value, tuple):
        return tuple(bounded(member, digits) for member in value)
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        wide = value.astype(np.float64)
        return Bounded.exactly(value, in_digits(wide) if digits else wide)
    return value


def in_digits(array: np.ndarray) -> np.ndarray:
    """Floats as mpmath's numbers, of the same value to the last bit."""
    import mpmath

    return np.asarray(np.frompyfunc(mpmath.mpf, 1, 1)(array), dtype=object)


def _floats(steps: dict, arguments: dict) -> dict:
    return {
        name: value
        for name, value in steps.items()
        if name not in arguments
        and isinstance(
            value[0] if isinstance(value, list) else value, Bounded
        )
    }


# layers.py


def linear(x, params):
    projected = product("...i,oi->...o", x, params.weight)
    y = affine(x, params.weight, params.bias)
    return locals()


def dropout(x, keep, rate):
    kept = where(keep, x, 0)
    y = kept / (_like(x, 1) - rate)
    return locals()


# attention.py


def attention_scores(query, key):
    similarity = product("...qi,...ki->...qk", query, key)
    scores = scaled_scores(query, key)
    return locals()


def softmax(scores):
    maximum = scores.greatest()
    shifted = scores - maximum
    exponentials = exponential(shifted)
    total = exponentials.total()
    weights = distribution(scores, np.True_)
    return locals()


def softmax_with_temperature(scores, temperature):
    tempered = scores / temperature
    weights = distribution(tempered, np.True_)
    return locals()


def masked_softmax(scores, mask):
    some = np.broadcast_to(mask, scores.shape).any(axis=-1, keepdims=True)
    allowed = where(mask, scores, -inf)
    maximum = allowed.greatest()
    shift = where(some, maximum, 0)
    shifted = where(mask, scores - shift, 0)
    exponentials = where(mask, exponential(shifted), 0)
    total = exponentials.total()
    divisor = where(some, total, 1)
    weights = distribution(scores, mask)
    return locals()


def scaled_dot_product_attention(query, key, value, mask):
    scores = scaled_scores(query, key)
    weights = distribution(scores, mask)
    context = weighted_mean(weights, value)
    return locals()


def attention_with_dropout(query, key, value, mask, keep, rate):
    scores = scaled_scores(query, key)
    weights = distribution(scores, mask)
    dropped = dropout(weights, keep, rate)["y"]
    context = weighted_mean(dropped, value)
    return locals()


# embeddings.py


def token_embedding(ids, params):
    embedded = params.weight.moved(lambda rows: rows.take(ids, axis=0))
    return locals()


def one_hot_embedding(ids, params):
    embedded = token_embedding(ids, params)["embedded"]
    known = np.arange(params.weight.shape[0])
    one_hot = known_exactly(np.equal.outer(ids, known), params.weight)
    return locals()


def position_embedding(positions, params):
    embedded = params.weight.moved(
        lambda rows: rows.take(positions, axis=0)
    )
    return locals()


def sinusoidal_positions(positions, d_model):
    number = np.arange(d_model)
    feature = known_exactly(number, positions)
    pair_start = known_exactly(number // 2 * 2, positions)
    base, size = _like(positions, 10000), _like(positions, d_model)
    power = base ** (-pair_start.value / size)
    slack = (3 * np.log(10000) + 8) * positions.rounding.u
    error = slack * power.astype(np.float64)
    frequency = Bounded(power, error, positions.rounding)
    column = [
        part.moved(lambda a: a[:, None]) for part in (positions, frequency)
    ]
    angle = product("pi,fi->pf", *column)
    even = number % 2 == 0
    sine, cosine = wave("sin", angle), wave("cos", angle)
    encoded = where(even, sine, 0) + where(~even, cosine, 0)
    return locals()


def input_embedding(ids, params):
    tokens = token_embedding(ids, params.token)["embedded"]
    places = params.position.weight.moved(
        lambda rows: rows[: ids.shape[-1]]
    )
    x = tokens + places
    return locals()


# multi_head.py


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
    heads = range(x.shape[-3])
    slices = [x.moved(lambda a, h=h: a[..., h, :, :]) for h in heads]
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


# What several of them share


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


def stacked(parts, axis):
    return Bounded(
        np.stack([part.value for part in parts], axis),
        np.stack([part.error for part in parts], axis),
        parts[0].rounding,
    )


def joined(parts):
    return Bounded(
        np.concatenate([part.value for part in parts], -1),
        np.concatenate([part.error for part in parts], -1),
        parts[0].rounding,
    )


def as_column(a):
    return a[:, None]


def known_exactly(number, a):
    """Numbers without an error, in the precision of `a`."""
    return Bounded(_like(a, number), np.zeros(number.shape), a.rounding)


def _like(a, number):
    """A number, or an array of them, of the kind that `a` holds."""
    if a.value.dtype != object:
        return np.asarray(number, dtype=np.float64)
    return in_digits(np.asarray(number, dtype=np.float64))
