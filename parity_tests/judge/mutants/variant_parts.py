"""Mutants of variants: windows, caps, biases and sinks that went wrong.

Each has the output of attention with one mistake in what it does beside
plain attention. A mistake is of one part; one that gives the numbers of
the right attention, as a cap no score comes near, can not be told.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from parity_tests.judge.subject.cases import AttentionCase
from parity_tests.judge.subject.variants import Variant

from .attention_parts import weigh

Mutant = Callable[[Variant, AttentionCase], np.ndarray]


def plainly(
    variant: Variant,
    case: AttentionCase,
    before: Callable = lambda scores: scores,
    weigh: Callable = weigh,
) -> np.ndarray:
    """The context, in plain numbers, with something done `before` to the
    scores, or with other weights in the end."""
    query, key, value = (array.astype(np.float64) for array in case.qkv)
    scores = query @ key.swapaxes(-2, -1) / query.shape[-1] ** 0.5
    return variant.weights(before(scores), case.rows, weigh) @ value


def changed(**fields: Callable) -> Mutant:
    """Another variant in its place: how each of these parts is changed."""

    def mutant(variant, case):
        other = {n: f(getattr(variant, n)) for n, f in fields.items()}
        return plainly(replace(variant, **other), case)

    return mutant


def nothing(_):
    return None


def with_slopes(change: Callable) -> Mutant:
    """The same with other slopes, made of the right ones."""

    def mutant(variant, case):
        heads = case.query.shape[-3] if case.query.ndim > 2 else 1
        slopes = change(variant.slopes(heads)[:, 0, 0])
        alibi = tuple(slopes), variant.alibi[1]
        return plainly(replace(variant, alibi=alibi), case)

    return mutant


def capped_after_the_mask(variant, case):
    cap = variant.cap

    def weights(scores, visible):
        masked = np.where(visible, scores, -np.inf)
        return weigh(cap * np.tanh(masked / cap), True)

    return plainly(replace(variant, cap=None), case, weigh=weights)


def capped_before_the_scale(variant, case):
    root = case.query.shape[-1] ** 0.5
    cap = variant.cap
    return plainly(
        replace(variant, cap=None),
        case,
        before=lambda scores: cap * np.tanh(root * scores / cap) / root,
    )


def not_multiplied_back(variant, case):
    return plainly(
        replace(variant, cap=None),
        case,
        before=lambda scores: np.tanh(scores / variant.cap),
    )


def cut_off(variant, case):
    cap = variant.cap
    return plainly(
        replace(variant, cap=None),
        case,
        before=lambda scores: np.clip(scores, -cap, cap),
    )


def scaled_bias(variant, case):
    root = case.query.shape[-1] ** 0.5
    return with_slopes(lambda slopes: slopes / root)(variant, case)


WINDOW: dict[str, Mutant] = {
    # Origin: mobius 371.
    "the window is one key too long": changed(window=lambda w: w + 1),
    "the window is one key too short": changed(window=lambda w: w - 1),
    "there is no window": changed(window=nothing),
    "the window reaches to both sides": changed(sides=lambda _: "both"),
    "the window reaches back only": changed(sides=lambda _: "earlier"),
}
CAP: dict[str, Mutant] = {
    # Origin: onnxruntime 28370, undone by 28379; onnx 7865.
    "scores are capped after the mask": capped_after_the_mask,
    "scores are capped before they are scaled": capped_before_the_scale,
    "scores are not multiplied by the cap again": not_multiplied_back,
    "scores are cut off at the cap, with no tanh": cut_off,
    "the cap is left out": changed(cap=nothing),
}
ALIBI: dict[str, Mutant] = {
    "the bias rises with the distance: its sign is wrong": with_slopes(
        np.negative
    ),
    "the bias is scaled, too: it is added before the division": scaled_bias,
    "the slopes of heads are in the opposite order": with_slopes(
        lambda slopes: slopes[::-1]
    ),
    "all heads have the slope of the first": with_slopes(
        lambda slopes: np.full_like(slopes, slopes[0])
    ),
    "the bias is left out": changed(alibi=nothing),
}
SINKS: dict[str, Mutant] = {
    # Origin: ROCm 10519; vllm-metal 550; sglang 11634.
    "the sinks are left out": changed(sinks=lambda _: ()),
    "a sink's score is taken for its exponential": changed(
        sinks=lambda s: tuple(np.log(np.maximum(s, 1e-300)))
    ),
    "the sinks of heads are in the opposite order": changed(
        sinks=lambda s: s[::-1]
    ),
    "all heads have the sink of the first": changed(sinks=lambda s: s[:1]),
}


def mistakes_in(variant: Variant) -> Iterator[tuple[str, Mutant]]:
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
