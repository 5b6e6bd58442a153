"""Mutants of variants: windows, caps, biases and sinks that went wrong.

Each has weights with one mistake in what is done beside plain attention.
One that gives the right numbers, as where no score comes near a cap, can
not be told.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from parity_tests.judge.subject.cases import AttentionCase
from parity_tests.judge.subject.variants import (
    Variant,
    heads_in,
    of_the_paper,
)

from .attention_parts import weigh

# Weights of a variant: of plain scores, of what a mask allows, and of the
# width of a head.
Varied = Callable[[Variant, np.ndarray, np.ndarray, int], np.ndarray]


def varied(variant: Variant, scores, visible, d_head: int, weigh=weigh):
    """The right weights, in plain numbers."""
    return variant.weights(scores, visible, weigh)


def changed(**fields: Callable) -> Varied:
    """Another variant in its place: how each of these parts is changed."""

    def mutant(variant, scores, visible, d_head, weigh=weigh):
        other = {n: f(getattr(variant, n)) for n, f in fields.items()}
        return replace(variant, **other).weights(scores, visible, weigh)

    return mutant


def nothing(_):
    return None


def with_slopes(change: Callable) -> Varied:
    """The same with other slopes, made of the right ones."""

    def mutant(variant, scores, visible, d_head, weigh=weigh):
        heads = heads_in(scores.shape)
        slopes = change(variant.slopes(heads)[:, 0, 0], d_head)
        other = replace(variant, alibi=(tuple(slopes), variant.alibi[1]))
        return other.weights(scores, visible, weigh)

    return mutant


def with_scores(change: Callable) -> Varied:
    """The same with something else in place of the cap."""

    def mutant(variant, scores, visible, d_head, weigh=weigh):
        scores = change(scores, variant.cap, d_head**0.5)
        other = replace(variant, cap=None)
        return other.weights(scores, visible, weigh)

    return mutant


def capped_after_the_mask(variant, scores, visible, d_head, weigh=weigh):
    cap = variant.cap

    def weights(scores, visible):
        masked = np.where(visible, scores, -np.inf)
        return weigh(cap * np.tanh(masked / cap), np.ones_like(visible))

    return replace(variant, cap=None).weights(scores, visible, weights)


def attention_as(
    variant: Variant, case: AttentionCase, varied: Varied = varied
) -> np.ndarray:
    """The context of attention as a variant, right or with a mistake."""
    query, key, value = (array.astype(np.float64) for array in case.qkv)
    d_head = query.shape[-1]
    scores = query @ key.swapaxes(-2, -1) / d_head**0.5
    return varied(variant, scores, case.rows, d_head) @ value


def scaled_sinks(variant, scores, visible, d_head, weigh=weigh):
    sinks = tuple(np.array(variant.sinks) / d_head**0.5)
    other = replace(variant, sinks=sinks)
    return other.weights(scores, visible, weigh)


def first_key_dropped(variant, scores, visible, d_head, weigh=weigh):
    """The sink is joined behind the keys, and cut off before them."""
    scores = variant.of_scores(scores)
    visible = visible & variant.seen(scores.shape)
    return variant.beside_sinks(scores, visible, weigh)[..., 1:]


def first_of_more_slopes(slopes: np.ndarray, d_head: int) -> np.ndarray:
    """Those of a power of two that has room for all heads, cut off."""
    heads = len(slopes)
    return of_the_paper(2 ** (heads - 1).bit_length())[:heads]


WINDOW: dict[str, Varied] = {
    # Origin: mobius 371.
    "the window is one key too long": changed(window=lambda w: w + 1),
    "the window is one key too short": changed(
        window=lambda w: max(1, w - 1)
    ),
    "there is no window": changed(window=nothing),
    "the window reaches to both sides": changed(sides=lambda _: "both"),
    "the window reaches back only": changed(sides=lambda _: "earlier"),
}
CAP: dict[str, Varied] = {
    # Origin: onnxruntime 28370, undone by 28379; onnx 7865.
    "scores are capped after the mask": capped_after_the_mask,
    "scores are capped before they are scaled": with_scores(
        lambda scores, cap, root: cap * np.tanh(root * scores / cap) / root
    ),
    "scores are not multiplied by the cap again": with_scores(
        lambda scores, cap, root: np.tanh(scores / cap)
    ),
    "scores are cut off at the cap, with no tanh": with_scores(
        lambda scores, cap, root: np.clip(scores.real, -cap, cap)
    ),
    "the cap is left out": changed(cap=nothing),
}
ALIBI: dict[str, Varied] = {
    "the bias rises with the distance: its sign is wrong": with_slopes(
        lambda slopes, d_head: -slopes
    ),
    "the bias is scaled, too: it is added before the division": (
        with_slopes(lambda slopes, d_head: slopes / d_head**0.5)
    ),
    "the slopes of heads are in the opposite order": with_slopes(
        lambda slopes, d_head: slopes[::-1]
    ),
    "slopes are the first of a larger power of two": with_slopes(
        first_of_more_slopes
    ),
    "the slopes begin at 1: heads are counted from 0": with_slopes(
        lambda slopes, d_head: slopes / slopes[0]
    ),
    "all heads have the slope of the first": with_slopes(
        lambda slopes, d_head: np.full_like(slopes, slopes[0])
    ),
    "the bias is left out": changed(alibi=nothing),
}
SINKS: dict[str, Varied] = {
    # Origin: ROCm 10519; vllm-metal 550; sglang 11634.
    "the sinks are left out": changed(sinks=lambda _: ()),
    "the first key's weight is cut off, not the sink's": first_key_dropped,
    "a sink's score is scaled, too": scaled_sinks,
    "a sink's score is taken for its exponential": changed(
        sinks=lambda s: tuple(np.log(np.maximum(s, 1e-300)))
    ),
    "the sinks of heads are in the opposite order": changed(
        sinks=lambda s: s[::-1]
    ),
    "all heads have the sink of the first": changed(sinks=lambda s: s[:1]),
}


def mistakes_in(variant: Variant) -> Iterator[tuple[str, Varied]]:
    """Those of what a variant has."""
    parts = (
        (variant.window, WINDOW),
        (variant.cap, CAP),
        (variant.alibi, ALIBI),
        (variant.sinks, SINKS),
    )
    for is_there, mistakes in parts:
        if is_there:
            yield from mistakes.items()
