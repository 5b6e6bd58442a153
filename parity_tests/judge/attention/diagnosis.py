"""Why an attention is wrong: it is compared with known wrong ones.

A cause is named when exactly one mistake gives the outputs that came, on
every question; "unknown" is a valid answer, a wrong cause is not.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import sqrt

import numpy as np

from parity_tests.judge.mutants.attention_parts import (
    WRONG,
    Question,
    attention,
    visible,
)
from parity_tests.judge.subject.conventions import LAST, blocked_row
from parity_tests.judge.subject.protocol import Broken, Conventions, Subject

KEYS, D_HEAD, D_VALUE = 5, 3, 2  # none is its own root


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
        return cause_of_blocked_row(subject)
    if digits := digits_kept(came, right, asked):
        return f"only about {digits} digits are kept, as in float16"
    matching = [
        name
        for name, wrong in possible(subject.conventions).items()
        if matches(wrong, asked, came)
    ]
    return matching[0] if len(matching) == 1 else None


def possible(conventions: Conventions) -> dict[str, Callable]:
    """Without those of two masks, where it does not take both."""
    both = conventions.causal_and_mask == "both at once"
    return {
        name: wrong
        for name, wrong in WRONG.items()
        if both or "another mask" not in name
    }


def cause_of_blocked_row(subject: Subject) -> str | None:
    """What a query that sees nothing gets, if zeros were promised."""
    conventions = subject.conventions
    if not conventions.takes_masks or conventions.blocked_row != "zeros":
        return None
    got = blocked_row(subject, conventions.limits)
    if got not in ("NaN", "mean of all values"):
        return None
    return f"a query that sees nothing gets no zeros, but: {got}"


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
