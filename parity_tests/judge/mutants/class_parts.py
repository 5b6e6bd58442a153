"""Mutants of multi-head attention: parts, of which each replaces one.

Beside the parts of attention (`attention_parts.py`), a layer of heads has
four: how features are split into heads, how heads are merged, which
projection serves for what, and what is done at the end.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import sqrt

import numpy as np

from parity_tests.judge.subject.rotary import (
    Turn,
    turned,
    turned_by_the_other_layout,
)
from parity_tests.judge.subject.weights import (
    QKV,
    Weights,
    in_groups,
    norm_in_groups,
    out_of_groups,
)

from .attention_parts import (
    JOINED_MASKS,
    MUTANT_PARTS,
    Probe,
    attention,
    biased,
    joined,
    over_queries_and_keys,
    own_mask,
    root,
    triangle,
    weigh,
)
from .variant_parts import varied


@dataclass(frozen=True, eq=False)
class Tokens:
    """Tokens to attend from and to, masks of them, and whether causal.

    A mask has the axes (text, query, key), or the last two. With a cache,
    so many of the tokens attended to came in each of the `calls` before.
    """

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    masks: tuple[np.ndarray, ...] = ()
    causal: bool = False
    calls: tuple[int, ...] = ()

    @property
    def past(self) -> int:
        return sum(self.calls)

    @property
    def is_self(self) -> bool:
        return self.query is self.key is self.value


def split(x: np.ndarray, heads: int) -> np.ndarray:
    return np.stack(np.split(x, heads, axis=-1), axis=-3)


def merge(context: np.ndarray) -> np.ndarray:
    parts = np.split(context, context.shape[-3], axis=-3)
    return np.concatenate([part[..., 0, :, :] for part in parts], axis=-1)


def wired(query, key, value):
    return query, key, value


def sources(tokens: Tokens) -> tuple:
    return tokens.query, tokens.key, tokens.value


def turning(turn: Turn | None, calls: tuple, query, key, value) -> tuple:
    """Queries and keys, turned by their positions."""
    return turned(turn, query, sum(calls)), turned(turn, key), value


def turned_anew(turn: Turn | None, calls: tuple, query, key, value):
    """In each call new tokens are turned as if they were the first."""
    parts = np.split(key, np.cumsum(calls, dtype=int), axis=-2)
    keys = [turned(turn, part) for part in parts]
    return turned(turn, query), np.concatenate(keys, axis=-2), value


def finish(merged: np.ndarray, output, heads: int = 1) -> np.ndarray:
    return merged if output is None else apply(output, merged)


def residual(weights: Weights, tokens: Tokens) -> np.ndarray | float:
    """What is added to the attention's output, if anything."""
    return tokens.query if "residual" in weights.inside else 0.0


def projected_residual(weights: Weights, tokens: Tokens) -> np.ndarray:
    return apply(weights.query, tokens.query)


def apply(layer, x: np.ndarray) -> np.ndarray:
    weight, bias = layer
    return np.einsum("...i,oi->...o", x, weight) + bias


def layer_of_heads(
    weights: Weights,
    tokens: Tokens,
    split: Callable = split,
    merge: Callable = merge,
    wired: Callable = wired,
    sources: Callable = sources,
    joined: Callable = joined,
    finish: Callable = finish,
    residual: Callable = residual,
    turning: Callable = turning,
    varied: Callable = varied,
    not_normed: tuple[str, ...] = (),
    scale: Callable | None = None,
    one_for_all: bool = False,
    **parts,
) -> np.ndarray:
    """A layer of heads, any part of which may be a wrong one."""
    if scale is not None:
        parts = parts | {"factor": lambda probe: scale(weights)}
    if weights.unscaled:
        parts = {"factor": lambda probe: 1} | parts
    if weights.learned is not None:
        factor = parts.get("factor", root)
        parts |= {"factor": lambda p: weights.learned * factor(p)}
    layers = wired(weights.query, weights.key, weights.value)
    if one_for_all:
        layers = (weights.output,) * 3
    inputs = sources(tokens)
    inputs = [
        normed(weights, x) if weights.norm_is_before(name) else x
        for name, x in zip(QKV, inputs, strict=True)
    ]
    of_query, of_kv = weights.latents
    made_from = zip((of_query, of_kv, of_kv), inputs, strict=True)
    inputs = [
        latent.of(x, is_normed="latent" not in not_normed) if latent else x
        for latent, x in made_from
    ]
    heads = weights.heads, weights.key_heads, weights.key_heads
    projected = (
        apply(layer, x) for layer, x in zip(layers, inputs, strict=True)
    )
    query, key, value = split_with_norms(
        weights, projected, split, heads, not_normed
    )
    turn, calls = weights.turn, tokens.calls
    query, key, value = turning(turn, calls, query, key, value)
    mask = joined(tokens.masks)
    if mask is not None and mask.ndim > 2:
        mask = mask[..., None, :, :]  # the same for all heads
    if variant := weights.variant:
        d_head, own = query.shape[-1], parts.get("weigh", weigh)
        parts |= {"weigh": lambda s, v: varied(variant, s, v, d_head, own)}
    sinks = np.array(variant.sinks if variant else ())
    numbers = query, key, value, weights.learned, weights.bias, sinks
    if any(map(np.iscomplexobj, numbers)):  # for derivatives
        parts = {"dtype": np.complex128} | parts
    how = {n: getattr(tokens, n) for n in ("causal", "past", "calls")}
    probe = Probe(query, key, value, mask, **how)
    merged = merge(attention(probe, bias=weights.bias, **parts))
    output = finish(merged, weights.output, weights.heads)
    if weights.gate is not None:
        output = output * weights.gate
    output = output + residual(weights, tokens)
    if weights.inside.endswith("norm last"):
        output = normed(weights, output)
    return output


def split_with_norms(
    weights: Weights,
    projected,
    split: Callable,
    heads: tuple,
    not_normed: tuple[str, ...],
) -> list[np.ndarray]:
    """Queries, keys and values in heads; the first two of one size, where
    they have norms: after the split or, of all heads together, before."""
    norms, parts, skipped = weights.qk_norm, [], ("value", *not_normed)
    for name, x, count in zip(QKV, projected, heads, strict=True):
        has_norm = norms is not None and name not in skipped
        of_heads = has_norm and norms.are_of_heads(x.shape[-1] // count)
        if has_norm and not of_heads:
            x = norms.of(x, name)
        x = split(x, count)
        parts.append(norms.of(x, name) if of_heads else x)
    return parts


def normed(weights: Weights, x: np.ndarray) -> np.ndarray:
    """Layer norm, or group norm, with the layer's own gain and bias."""
    if weights.groups:
        tokens = x.shape[-2]
        norm = norm_in_groups(weights, tokens)
        alike = replace(weights, norm=norm, groups=0)
        y = normed(alike, in_groups(x, weights.groups))
        return out_of_groups(y, tokens)
    gain, bias = weights.norm
    mean = x.mean(axis=-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
    return (x - mean) / (variance + weights.epsilon) ** 0.5 * gain + bias


# --- wrong parts ---------------------------------------------------------


def split_by_reshape(x: np.ndarray, heads: int) -> np.ndarray:
    *batch, tokens, width = x.shape
    return x.reshape(*batch, heads, tokens, width // heads)


def split_interleaved(x: np.ndarray, heads: int) -> np.ndarray:
    return np.stack([x[..., head::heads] for head in range(heads)], axis=-3)


def split_within_tokens(x: np.ndarray, heads: int) -> np.ndarray:
    *batch, tokens, width = x.shape
    return x.reshape(*batch, tokens, heads, width // heads)


def merge_within_tokens(context: np.ndarray) -> np.ndarray:
    return context.reshape(*context.shape[:-2], -1)


def merge_by_reshape(context: np.ndarray) -> np.ndarray:
    *batch, heads, tokens, width = context.shape
    return context.reshape(*batch, tokens, heads * width)


def merge_interleaved(context: np.ndarray) -> np.ndarray:
    moved = np.moveaxis(context, -3, -1)
    return moved.reshape(*moved.shape[:-2], -1)


def over_heads_and_keys(scores, visible):
    visible = np.broadcast_to(visible, scores.shape)
    turned = (a.swapaxes(-3, -2) for a in (scores, visible))
    return over_queries_and_keys(*turned).swapaxes(-3, -2)


def along_the_batch(x: np.ndarray, heads: int) -> np.ndarray:
    return split(np.swapaxes(x, 0, 1), heads)


def back_from_the_batch(context: np.ndarray) -> np.ndarray:
    return np.swapaxes(merge(context), 0, 1)


def masks_of_other_texts(masks: tuple) -> np.ndarray | None:
    """Each text has the mask of the text before."""
    mask = joined(masks)
    return mask if mask is None or mask.ndim < 3 else np.roll(mask, 1, 0)


def masks_in_order(of_each: Callable) -> Callable:
    """Masks of texts, repeated for heads in the one order, and heads that
    stand in the batch in the other; `of_each(texts, heads)` tells which
    text's mask each head of each text gets."""

    def seen(probe: Probe) -> np.ndarray:
        mask = own_mask(probe)
        texts, heads = mask.shape[:2]
        return mask[of_each(texts, heads), 0] & triangle(probe)

    return seen


def text_by_text(texts: int, heads: int) -> np.ndarray:
    """Heads stand text by text, and masks are repeated all in turn."""
    return np.arange(texts * heads).reshape(texts, heads) % texts


def head_by_head(texts: int, heads: int) -> np.ndarray:
    """Heads stand head by head, and each mask is repeated at once."""
    return np.arange(texts * heads).reshape(heads, texts).T // heads


def last_rows(table: int) -> Callable:
    """The last rows of a causal mask for so many tokens, in place of the
    first."""
    return lambda probe: (
        own_mask(probe) & triangle(probe, table - probe.query.shape[-2])
    )


def joined_along_the_batch(tokens: Tokens) -> tuple:
    """What is new joins what was kept along the batch, and what comes of
    it is read as texts again."""
    if tokens.past:
        halves = np.split(tokens.key, [tokens.past], axis=-2)
        rows = np.concatenate([half.reshape(-1) for half in halves])
        key = rows.reshape(tokens.key.shape)
        return tokens.query, key, key
    return sources(tokens)


def root_of_all_heads(probe: Probe) -> float:
    return 1 / sqrt(probe.query.shape[-1] * probe.query.shape[-3])


def wired_as(letters: str) -> Callable:
    """The projections that serve for queries, keys and values."""
    return lambda *layers: [layers["qkv".index(each)] for each in letters]


def with_output_bias(times: Callable) -> Callable:
    """The output bias is added so many times."""
    return lambda merged, output, heads: (
        finish(merged, output) + (times(heads) - 1) * output[1]
    )


BIASES = {
    "the bias of distances is added after the softmax": (
        lambda weigh, bias, factor: (
            lambda scores, visible: weigh(scores, visible) + bias
        )
    ),
    "the bias of distances is added before the scale": (
        lambda weigh, bias, factor: biased(weigh, bias * factor, factor)
    ),
    "the bias of distances is subtracted": (
        lambda weigh, bias, factor: biased(weigh, -bias, factor)
    ),
    "the bias of distances is that of the opposite ones: its sign": (
        lambda weigh, bias, factor: biased(
            weigh, bias.swapaxes(-2, -1), factor
        )
    ),
    "the bias of distances multiplies the scores": (
        lambda weigh, bias, factor: (
            lambda scores, visible: weigh(scores * bias, visible)
        )
    ),
    "the bias of distances has no effect": lambda weigh, *_: weigh,
    "one head's bias of distances serves for all": (
        lambda weigh, bias, factor: biased(weigh, bias[:1], factor)
    ),
}
WIRINGS = {
    "the values go through the key's projection": "qkk",
    "the values go through the query's projection": "qkq",
    "the keys go through the query's projection": "qqv",
    "the queries go through the key's projection": "kkv",
    "the keys go through the value's projection": "qvv",
    "the projections of queries and keys are swapped": "kqv",
    "the projections of keys and values are swapped": "qvk",
    "one projection serves for queries, keys and values": "qqq",
}
FINISHES = {
    "the output projection is left out": lambda merged, *_: merged,
    "the output projection is applied twice": (
        lambda merged, output, heads: finish(finish(merged, output), output)
    ),
    "the output bias is left out": with_output_bias(lambda heads: 0),
    "the output bias is added once for each head": with_output_bias(
        lambda heads: heads
    ),
    "the output bias is added 2 times": with_output_bias(lambda heads: 2),
    "the output bias is added 3 times": with_output_bias(lambda heads: 3),
    "the output is added to itself": (
        lambda merged, output, heads: 2 * finish(merged, output)
    ),
}
OTHER_LAYOUT = (
    "the cosines and sines are laid out for other pairs of features than "
    "are turned"
)
TURNINGS = {
    "the keys are not turned by their positions": (
        lambda turn, calls, q, k, v: (turned(turn, q, sum(calls)), k, v)
    ),
    "the queries are not turned by their positions": (
        lambda turn, calls, q, k, v: (q, turned(turn, k), v)
    ),
    "the values are turned by their positions, too": (
        lambda turn, calls, q, k, v: (
            *turning(turn, calls, q, k, v)[:2],
            turned(turn, v),
        )
    ),
    "the queries and keys are turned twice by their positions": (
        lambda turn, calls, q, k, v: turning(
            turn, calls, *turning(turn, calls, q, k, v)
        )
    ),
    "new tokens are turned as if their positions were the first, whatever "
    "is in the cache": turned_anew,
    OTHER_LAYOUT: (
        lambda turn, calls, q, k, v: (
            turned_by_the_other_layout(turn, q, sum(calls)),
            turned_by_the_other_layout(turn, k),
            v,
        )
    ),
}
MASKS_IN_ORDER = (
    "masks are repeated for heads in another order than heads stand in the "
    "batch"
)
MUTANT_LAYERS = {
    "the scale is 1/√d_model, not 1/√d_head": {"factor": root_of_all_heads},
    "the scale is 1/√d_in, not 1/√d_head": {
        "scale": lambda weights: weights.width_in**-0.5
    },
    "the scale is 1/√d_latent, not 1/√d_head": {
        "scale": lambda weights: weights.key[0].shape[1] ** -0.5
    },
    "the norm of the keys is left out": {"not_normed": ("key",)},
    "the norm of the queries is left out": {"not_normed": ("query",)},
    "the norms of queries and keys are left out": {
        "not_normed": ("query", "key")
    },
    "the norm of the latents is left out": {"not_normed": ("latent",)},
    "the scale is 1/√heads, not 1/√d_head": {
        "factor": lambda probe: probe.query.shape[-3] ** -0.5
    },
    "the heads are split by reshape, without a transpose": {
        "split": split_by_reshape
    },
    "the heads are merged without transposing back": {
        "merge": merge_by_reshape
    },
    "the heads are split and merged without a transpose": {
        "split": split_by_reshape,
        "merge": merge_by_reshape,
    },
    "the heads of a token attend to each other: there is no transpose": {
        "split": split_within_tokens,
        "merge": merge_within_tokens,
    },
    "the heads take every other feature": {"split": split_interleaved},
    "the heads are merged feature by feature": {"merge": merge_interleaved},
    "the softmax runs over heads and keys together": {
        "weigh": over_heads_and_keys
    },
    "the softmax runs over the heads": {"weigh": partial(weigh, axis=-3)},
    "one layer serves for queries, keys, values and the output": {
        "one_for_all": True
    },
    "keys and values are made from the query's tokens": {
        "sources": lambda t: (t.query, t.query, t.query)
    },
    "keys are made from the query's tokens": {
        "sources": lambda t: (t.query, t.query, t.value)
    },
    "values are made from the key's tokens": {
        "sources": lambda t: (t.query, t.key, t.key)
    },
    **{name: {"joined": part} for name, part in JOINED_MASKS.items()},
    "the mask of another text is used": {"joined": masks_of_other_texts},
    MASKS_IN_ORDER: {"visible": masks_in_order(text_by_text)},
    f"{MASKS_IN_ORDER} [head by head]": {
        "visible": masks_in_order(head_by_head)
    },
    "new keys and values join the cache along the batch, not the tokens": {
        "sources": joined_along_the_batch
    },
    "the residual is the projected query": {"residual": projected_residual},
    "attention runs along the batch, not the tokens": {
        "split": along_the_batch,
        "merge": back_from_the_batch,
    },
    **{name: {"wired": wired_as(part)} for name, part in WIRINGS.items()},
    **{name: {"finish": part} for name, part in FINISHES.items()},
    **{name: {"turning": part} for name, part in TURNINGS.items()},
    **{name: {"biased": part} for name, part in BIASES.items()},
}

MUTANTS: dict[str, Callable] = {
    name: partial(layer_of_heads, **parts)
    for name, parts in (MUTANT_PARTS | MUTANT_LAYERS).items()
}
SCALES = {
    name: mutant
    for name, mutant in MUTANTS.items()
    if {"factor", "scale"} & mutant.keywords.keys()
}
