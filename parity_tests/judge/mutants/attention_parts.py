"""Attention as three parts, and the mistakes that replace one of them.

The parts are a factor for the scores, what is visible, and how weights are
made of the two. Each mistake of `WRONG` has another one in its place.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import sqrt

import numpy as np


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked; `mask` None for none, `causal` for the causal form.

    `past` counts the keys before the first query.
    """

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    mask: np.ndarray | None = None
    causal: bool = False
    past: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.query.shape[:-1], self.key.shape[-2])


def root(question: Question) -> float:
    return 1 / sqrt(question.query.shape[-1])


def visible(question: Question) -> np.ndarray:
    return own_mask(question) & triangle(question)


def own_mask(question: Question) -> np.ndarray:
    mask = True if question.mask is None else question.mask
    return np.broadcast_to(mask, question.shape)


def triangle(question: Question, extra: int = 0) -> np.ndarray:
    """What a causal query sees, and `extra` keys more."""
    tokens = question.shape[-1]
    seen = np.tri(*question.shape[-2:], question.past + extra, dtype=bool)
    return seen if question.causal else np.ones((tokens,), bool)


def weigh(scores: np.ndarray, seen: np.ndarray) -> np.ndarray:
    return normalised(np.where(seen, scores, -np.inf))


def normalised(scores: np.ndarray, axis: int = -1) -> np.ndarray:
    """Softmax; zeros where there is nothing to share out."""
    greatest = scores.max(axis=axis, keepdims=True)
    powers = np.exp(scores - np.where(np.isfinite(greatest), greatest, 0))
    total = powers.sum(axis=axis, keepdims=True)
    return powers / np.where(total == 0, 1, total)


def attention(
    question: Question,
    factor: Callable = root,
    visible: Callable = visible,
    weigh: Callable = weigh,
    dtype=np.float64,
) -> np.ndarray:
    """Attention with its three parts, some of them perhaps wrong ones."""
    query, key, value = (
        array.astype(dtype)
        for array in (question.query, question.key, question.value)
    )
    similarity = query @ key.swapaxes(-2, -1)
    scores = similarity * dtype(factor(question))
    return weigh(scores, visible(question)) @ value


def over_the_queries(scores, seen):
    return normalised(np.where(seen, scores, -np.inf), axis=-2)


def over_queries_and_keys(scores, seen):
    hidden = np.where(seen, scores, -np.inf)
    flat = normalised(hidden.reshape(*scores.shape[:-2], -1))
    return flat.reshape(scores.shape)


def over_everything(scores, seen):
    hidden = np.where(seen, scores, -np.inf)
    return normalised(hidden.reshape(-1)).reshape(scores.shape)


def over_the_first_axis(scores, seen):
    return normalised(np.where(seen, scores, -np.inf), axis=0)


def added_as_numbers(scores, seen):
    return normalised(scores + seen)


def multiplied_into_scores(scores, seen):
    return normalised(scores * seen)


def after_softmax(scores, seen):
    return normalised(scores) * seen


def filled(number: float):
    return lambda scores, seen: normalised(np.where(seen, scores, number))


def shifted_by(number: float):
    return lambda scores, seen: normalised(scores + number * ~seen)


def capped_after_the_mask(cap: float):
    def weights(scores, seen):
        hidden = np.where(seen, scores, -np.inf)
        return normalised(cap * np.tanh(hidden / cap))

    return weights


def without_a_shift(scores, seen):
    with np.errstate(over="ignore", invalid="ignore"):
        powers = np.where(seen, np.exp(scores), 0)
        return powers / powers.sum(axis=-1, keepdims=True)


def twice(scores, seen):
    return normalised(weigh(scores, seen))


def shifted_by_all(scores, seen):
    """By the maximum of all scores, those behind the mask included."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    powers = np.where(seen, np.exp(shifted), 0)
    total = powers.sum(axis=-1, keepdims=True)
    return powers / np.where(total == 0, 1, total)


def added_after_softmax(scores, seen):
    return normalised(scores) + np.where(seen, 0, -np.inf)


def or_nothing(scores, seen):
    """NaN for a row that sees nothing, as plain softmax has it."""
    some = seen.any(axis=-1, keepdims=True)
    return np.where(some, weigh(scores, seen), np.nan)


def no_softmax(scores, seen):
    return np.where(seen, scores, 0)


def exponentials_only(scores, seen):
    hidden = np.where(seen, scores, -np.inf)
    return np.exp(hidden - hidden.max(axis=-1, keepdims=True))


def transposed_mask(question):
    mask = own_mask(question)
    if mask.shape[-1] != mask.shape[-2]:
        return visible(question)
    return mask.swapaxes(-2, -1) & triangle(question)


def padding_on_queries(question):
    """The mask of a text's keys, taken for one of its queries."""
    mask = own_mask(question)
    if mask.shape[-1] != mask.shape[-2]:
        return visible(question)
    first = mask[..., :1, :].swapaxes(-2, -1)
    same = (mask == mask[..., :1, :]).all()
    return (first if same else mask) & triangle(question)


def causal_alone(question):
    return np.broadcast_to(triangle(question), question.shape)


def mask_alone(question):
    return own_mask(question)


def mask_wins(question):
    """Causal only where no other mask is given."""
    return (
        own_mask(question)
        if question.mask is not None
        else visible(question)
    )


def causal_wins(question):
    """Another mask counts only where causal is off."""
    return causal_alone(question) if question.causal else own_mask(question)


def everything(question):
    return np.ones(question.shape, bool)


def causal_needs_a_mask(question):
    return (
        visible(question)
        if question.mask is not None
        else own_mask(question)
    )


def one_more(question):
    return own_mask(question) & triangle(question, 1)


def one_less(question):
    return own_mask(question) & triangle(question, -1)


def one_less_but_some(question):
    """The same, but a token that would see nothing sees itself."""
    less = one_less(question)
    return np.where(less.any(-1, keepdims=True), less, visible(question))


def inverted(question):
    return ~own_mask(question) & triangle(question)


def all_inverted(question):
    return ~visible(question)


def triangle_inverted(question):
    seen = triangle(question)
    return own_mask(question) & (~seen if question.causal else seen)


def future_only(question):
    """The upper triangle, with the token itself."""
    tokens = question.shape[-2:]
    upper = np.tri(*tokens, dtype=bool).T
    return own_mask(question) & (upper if question.causal else True)


def either(question):
    if question.mask is None or not question.causal:
        return visible(question)
    return own_mask(question) | triangle(question)


def without_the_past(question):
    return visible(replace(question, past=0))


WRONG_PARTS = {
    "the scale is missing": {"factor": lambda q: 1},
    "the scale is 1/d, not 1/√d": {"factor": lambda q: root(q) ** 2},
    "the scores are multiplied by √d": {"factor": lambda q: 1 / root(q)},
    "the scores are multiplied by d": {"factor": lambda q: root(q) ** -2},
    "the scale is 1/√(number of keys), not 1/√d": {
        "factor": lambda q: q.shape[-1] ** -0.5
    },
    "the scale is 1/√(number of queries), not 1/√d": {
        "factor": lambda q: q.shape[-2] ** -0.5
    },
    "the scale is 1/√(width of the values), not 1/√d": {
        "factor": lambda q: q.value.shape[-1] ** -0.5
    },
    "the scale is 1/d², not 1/√d": {"factor": lambda q: root(q) ** 4},
    "the softmax runs over the queries, not the keys": {
        "weigh": over_the_queries
    },
    "the softmax runs over queries and keys together": {
        "weigh": over_queries_and_keys
    },
    "the softmax runs over everything, the batch included": {
        "weigh": over_everything
    },
    "the softmax runs over the batch": {"weigh": over_the_first_axis},
    "the softmax is applied twice": {"weigh": twice},
    "the softmax is missing": {"weigh": no_softmax},
    "the weights are not normalised": {"weigh": exponentials_only},
    "the maximum is not subtracted: exp overflows": {
        "weigh": without_a_shift
    },
    "the maximum is that of masked scores, too: the rest underflows": {
        "weigh": shifted_by_all
    },
    "the mask is added as 0 and 1": {"weigh": added_as_numbers},
    "masked scores become 0, or nearly so, in place of -inf": {
        "weigh": multiplied_into_scores
    },
    "the mask comes after the softmax, which is not repeated": {
        "weigh": after_softmax
    },
    "the mask is added after the softmax, as -inf": {
        "weigh": added_after_softmax
    },
    "masked scores get -1e4 in place of -inf": {"weigh": filled(-1e4)},
    "masked scores have 1e4 subtracted": {"weigh": shifted_by(-1e4)},
    "masked scores get -1e3 in place of -inf": {"weigh": filled(-1e3)},
    "masked scores get -100 in place of -inf": {"weigh": filled(-100.0)},
    "the mask is transposed": {"visible": transposed_mask},
    "the mask of the keys acts on the queries": {
        "visible": padding_on_queries
    },
    "the mask is ignored": {"visible": causal_alone},
    "the causal mask is missing": {"visible": mask_alone},
    "causal is dropped when another mask is given": {"visible": mask_wins},
    "another mask is dropped when causal is on": {"visible": causal_wins},
    "neither causal nor another mask has an effect": {
        "visible": everything
    },
    "causal acts only when another mask is given": {
        "visible": causal_needs_a_mask
    },
    "one future position is visible": {"visible": one_more},
    "a token does not see itself": {"visible": one_less},
    "a token does not see itself, the first one excepted": {
        "visible": one_less_but_some
    },
    "a token does not see itself, and the first sees nothing: NaN": {
        "visible": one_less,
        "weigh": or_nothing,
    },
    "the mask is inverted": {"visible": inverted},
    "the mask and the causal mask are inverted": {"visible": all_inverted},
    "the causal mask is inverted": {"visible": triangle_inverted},
    "the causal mask shows the future, not the past": {
        "visible": future_only
    },
    "masks are joined with or, not and": {"visible": either},
    "the cache is forgotten: the last queries are taken for the first": {
        "visible": without_the_past
    },
} | {
    f"scores are capped at {cap} after the mask": {
        "weigh": capped_after_the_mask(cap)
    }
    for cap in (5, 10, 20, 30, 50)
}


def swapped(question: Question) -> np.ndarray:
    """Keys for values and values for keys, where they are as wide."""
    return attention(
        replace(question, key=question.value, value=question.key)
    )


def scaled_at_last(question: Question) -> np.ndarray:
    """The weights are divided by √d, not the scores."""
    return attention(question, factor=lambda q: 1) * root(question)


def keys_averaged(question: Question) -> np.ndarray:
    """The keys are averaged, not the values."""
    return attention(replace(question, value=question.key))


def queries_swapped(question: Question) -> np.ndarray:
    """K Qᵀ in place of Q Kᵀ, where there are as many of each."""
    return attention(
        replace(question, query=question.key, key=question.query)
    )


WRONG: dict[str, Callable] = {
    name: partial(attention, **parts) for name, parts in WRONG_PARTS.items()
} | {
    "keys and values are swapped": swapped,
    "queries and keys are swapped": queries_swapped,
    "the keys are averaged, not the values": keys_averaged,
    "the scale comes after the softmax, not before": scaled_at_last,
}
