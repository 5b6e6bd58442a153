"""Why an attention is wrong: it is compared with known wrong ones.

Attention is made of three parts here: a factor for the scores, what is
visible, and how weights are made of the two. A known mistake replaces one
part. A cause is named when exactly one mistake gives the outputs that
came, on every question; "unknown" is a valid answer, a wrong cause is not.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import sqrt

import numpy as np

from .conventions import LAST
from .subject import Broken, Conventions, Subject

KEYS, D_HEAD, D_VALUE = 5, 3, 2  # none is its own root


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


# --- the three parts, as they should be ----------------------------------


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


# --- wrong parts ---------------------------------------------------------


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


def after_softmax_then_shared(scores, seen):
    weights = normalised(scores) * seen
    total = weights.sum(axis=-1, keepdims=True)
    return weights / np.where(total == 0, 1, total)


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
    "the softmax is missing": {"weigh": no_softmax},
    "the weights are not normalised": {"weigh": exponentials_only},
    "the maximum is not subtracted: exp overflows": {
        "weigh": without_a_shift
    },
    "the mask is added as 0 and 1": {"weigh": added_as_numbers},
    "masked scores become 0, or nearly so, in place of -inf": {
        "weigh": multiplied_into_scores
    },
    "the mask comes after the softmax, which is not repeated": {
        "weigh": after_softmax
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
    "causal acts only when another mask is given": {
        "visible": causal_needs_a_mask
    },
    "one future position is visible": {"visible": one_more},
    "a token does not see itself": {"visible": one_less},
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
}


def questions(conventions: Conventions) -> Iterator[Question]:
    """Plain ones, such with a mask, causal ones, and large scores."""
    limits, random = conventions.limits, np.random.default_rng(7)
    batch = (2, 3)[: limits.batch_axes[-1]]
    width = D_HEAD if limits.one_width else D_VALUE
    for size, queries in ((1.5, 4), (30.0, KEYS), (3e3, KEYS)):
        shapes = (
            (KEYS if limits.square else queries, D_HEAD),
            (KEYS, D_HEAD),
            (KEYS, width),
        )
        query, key, value = (
            random.normal(size=(*batch, *shape)).astype(limits.dtypes[-1])
            for shape in shapes
        )
        yield from variations((query * size, key, value), conventions)
    for level in (5e2, 5e3, 5e4):
        low = query.copy(), key.copy(), value
        low[0][..., 0], low[1][..., 0] = level / 10, -10 * sqrt(D_HEAD)
        yield from masked(low, conventions)
        high = low[0], key.copy(), value
        high[1][..., 1, 0] = 10 * sqrt(D_HEAD)
        yield from masked(high, conventions)


def variations(arrays, conventions: Conventions) -> Iterator[Question]:
    """One set of numbers without a mask, with some, and causally."""
    if conventions.causal == "always":
        yield Question(*arrays, causal=True)
        return
    yield Question(*arrays)
    holes = list(masked(arrays, conventions))
    yield from holes
    if conventions.causal == "none":
        return
    if arrays[0].shape[-2] == KEYS:
        yield Question(*arrays, causal=True)
        if conventions.causal_and_mask == "both at once":
            yield from (replace(one, causal=True) for one in holes)
    elif conventions.alignment == LAST:
        past = KEYS - arrays[0].shape[-2]
        yield Question(*arrays, causal=True, past=past)


def masked(arrays, conventions: Conventions) -> Iterator[Question]:
    """The same with a mask that has holes, and with padded keys."""
    if not conventions.takes_masks:
        return
    holes = np.ones((arrays[0].shape[-2], KEYS), bool)
    holes[0, 1:3] = holes[1, 0] = holes[-1, 1] = False
    yield Question(*arrays, holes)
    padding = np.arange(KEYS) != 1
    yield Question(*arrays, np.broadcast_to(padding, holes.shape).copy())


def cause_of(subject: Subject) -> str | None:
    """The one known mistake that gives what the subject gives, or None."""
    asked = list(questions(subject.conventions))
    try:
        came = [answer_to(subject, question) for question in asked]
        again = [answer_to(subject, question) for question in asked]
    except Broken:
        return None
    if any(changes(subject, question) for question in asked):
        return "it changes what it was given"
    if not all(map(alike, came, again)):
        return "the answer is left to chance, as with dropout"
    right = list(map(attention, asked))
    if all(map(agrees, came, right, asked)):
        return None
    if digits := digits_kept(came, right, asked):
        return f"only about {digits} digits are kept, as in float16"
    matching = [
        name for name, wrong in WRONG.items() if matches(wrong, asked, came)
    ]
    return matching[0] if len(matching) == 1 else None


def answer_to(subject: Subject, question: Question) -> np.ndarray:
    """On copies, so that the next one is asked the same."""
    arrays = question.query, question.key, question.value
    copies = [array.copy() for array in arrays]
    if question.causal and subject.causal is not None:
        return subject.causally(*copies, question.mask)
    return subject(*copies, question.mask)


def changes(subject: Subject, question: Question) -> bool:
    """Whether the arrays are others after the question."""
    arrays = question.query, question.key, question.value
    copies = [array.copy() for array in arrays]
    subject(*copies, question.mask)
    return not all(map(np.array_equal, arrays, copies))


def digits_kept(came, right, asked) -> int:
    """2 to 4 where so many are right of every entry, else 0.

    That is precision lost, and no other formula: on scores of any size
    the errors are small, and to both sides.
    """
    small = [
        (answer - exact)[np.isfinite(answer)]
        for answer, exact in zip(came, right, strict=True)
    ]
    errors = np.concatenate([part.ravel() for part in small])
    worst = np.abs(errors).max(initial=0)
    everywhere = all(np.isfinite(answer).all() for answer in came)
    both_ways = abs(errors.sum()) < 0.5 * np.abs(errors).sum()
    if everywhere and both_ways and 1e-5 < worst < 1e-2:
        return int(-np.log10(worst))
    return 0


def matches(wrong: Callable, asked: list, came: list) -> bool:
    """Whether a known mistake gives all that came."""
    for question, answer in zip(asked, came, strict=True):
        try:
            with np.errstate(all="ignore"):
                expected = wrong(question)
        except ValueError:  # a mistake that needs other shapes
            return False
        if not agrees(answer, expected, question):
            return False
    return True


def agrees(came, expected, question) -> bool:
    """Equal, but for rounding and for rows that see nothing.

    A NaN equals a NaN: an overflow is an answer, too.
    """
    sees = visible(question).any(axis=-1, keepdims=True)
    if came.shape != expected.shape:
        return False
    return alike(np.where(sees, came, 0), np.where(sees, expected, 0))


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    """To the digits that tell one mistake from another."""
    tolerance = 1e-3 if np.float32 in (a.dtype, b.dtype) else 1e-6
    return np.allclose(a, b, tolerance, tolerance, equal_nan=True)
