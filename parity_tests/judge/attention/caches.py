"""Decoding with a cache: how it is asked, found by trial.

What comes back with the first tokens is handed in with the next ones. A
cache is understood where that gives the right answers, or where it is
seen to hold the first tokens' keys and values; any other is left alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, pairwise
from typing import Protocol

import numpy as np

from parity_tests.judge.candidate.things import Thing
from parity_tests.judge.candidate.values import OBJECT
from parity_tests.judge.candidate.wire import Record
from parity_tests.judge.subject.caches import (
    CacheRoles,
    may_count,
    takes_one_token,
)
from parity_tests.judge.verdict.diagnosis import alike
from parity_tests.judge.verdict.protocol import attempt

from .calling import as_array, part_at, paths_of

NUMBERS = count(1)  # of objects that calls share
ONE_BY_ONE, TOGETHER = (2, 1, 1), (2, 2)  # new tokens of each call
ALL_PARTS = (ONE_BY_ONE, (1, 1, 1), TOGETHER, (1, 3))
SEE_EACH_OTHER = "of several new tokens, each sees the later ones, too"


@dataclass(frozen=True)
class Cache:
    """How a cache is asked.

    `result` is the path to the output, `kept` are those to what the
    holders take next; or all calls get one object, which is `made_by` a
    class of the file: that of this `number`. `parts` are the calls that it
    is asked with, and `only_one` tells why there are none with several new
    tokens.
    """

    roles: CacheRoles
    result: tuple = ()
    kept: tuple[tuple, ...] = ()
    parts: tuple[tuple[int, ...], ...] = ALL_PARTS
    only_one: str = ""
    made_by: str = ""
    number: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Its arguments, as a report has them."""
        if self.made_by:
            return tuple(f"{n}={self.made_by}()" for n in self.roles.names)
        return self.roles.names

    def begun(self) -> "Cache":
        """With nothing in it."""
        return replace(self, number=next(NUMBERS))

    def arguments(self, before=None, past: int = 0) -> dict:
        """Those of a call after `past` tokens, by what the call before
        has returned."""
        named: dict[str, object] = dict.fromkeys(self.roles.switches, True)
        if self.roles.position:
            named[self.roles.position] = past
        if self.made_by:
            (holder,) = self.roles.holders
            how = {"made_by": self.made_by, "number": self.number}
            named[holder] = Record(OBJECT, False, **how)
        elif past:
            parts = [part_at(before, path) for path in self.kept]
            named |= dict(zip(self.roles.holders, parts, strict=True))
        return named

    def follows(self, past: int) -> dict:
        """What a script says of a call after others: which arguments are
        what parts of the output before."""
        pairs = zip(self.roles.holders, self.kept, strict=False)
        return {"follows": dict(pairs)} if past else {}


class Decoder(Protocol):
    """What can be asked with a cache; a case may be one in `parts`."""

    thing: Thing
    left_alone: tuple[str, ...]  # arguments that keep their defaults

    def case_in_parts(self, parts: tuple[int, ...]):
        """A case of so many tokens, call by call."""

    def of(self, case) -> np.ndarray:
        """The output without a cache."""

    def returned(self, part, more: dict):
        """All that is returned for one part, with more arguments."""

    def decoded(self, case, cache: Cache) -> list[np.ndarray]:
        """The output of each part, with the cache of those before."""

    def right_parts(self, case, causal: bool | None = None) -> list:
        """The outputs that would be right."""

    def arranged_output(self, array: np.ndarray) -> np.ndarray:
        """An array as outputs are laid out here."""

    def with_other_start(self, case):
        """The case with other numbers for its first tokens."""

    def keys_and_values(self, case) -> np.ndarray:
        """All numbers of the keys and values of these tokens."""


def cache_of(subject: Decoder, roles: CacheRoles) -> Cache | None:
    """How its cache is asked; None where that is not understood."""
    case = subject.case_in_parts(ONE_BY_ONE)
    first = next(case.in_parts())
    value = attempt(subject.returned, first, Cache(roles).arguments())
    output = attempt(subject.of, first)
    if value is None or output is None:
        return None
    seen = None
    for cache in ways_to_ask(roles, value, output, subject):
        answered = with_parts(subject, cache)
        if not answered.parts:
            continue
        if is_right(subject, answered):
            return limited(subject, answered)
        if seen is None and is_seen(subject, answered, value):
            seen = answered
    return seen and limited(subject, seen)


def with_parts(subject: Decoder, cache: Cache) -> Cache:
    """The cache, with the calls that are answered."""
    answered = (
        parts
        for parts in cache.parts
        if decoded(subject, parts, cache) is not None
    )
    return replace(cache, parts=tuple(answered))


def decoded(subject: Decoder, parts, cache: Cache) -> list | None:
    return attempt(subject.decoded, subject.case_in_parts(parts), cache)


def is_right(subject: Decoder, cache: Cache) -> bool:
    """Whether decoding in the first of its parts is."""
    first = cache.parts[0]
    right = subject.right_parts(subject.case_in_parts(first))
    return are_alike(decoded(subject, first, cache), right)


def ways_to_ask(
    roles: CacheRoles, value, output: np.ndarray, subject
) -> Iterator[Cache]:
    """Where the output is in what came back, and what is handed on."""
    places = [
        (path, as_array(part))
        for path, part in paths_of(value)
        if part is not None
    ]
    results = [
        path
        for path, part in places
        if isinstance(part, np.ndarray)
        and alike(subject.arranged_output(part), output)
    ]
    if not results:
        return
    result = results[0]
    others = [
        (path, part)
        for path, part in places
        if path != result[: len(path)] and path[: len(result)] != result
    ]
    if not roles.holders:
        yield Cache(roles, result)
    elif len(roles.holders) == 1:
        for path, _ in others:
            yield Cache(roles, result, (path,))
        for name in subject.thing.caches:
            yield Cache(roles, result, made_by=name)
    elif len(roles.holders) == 2:
        arrays = [p for p, a in others if isinstance(a, np.ndarray)]
        for pair in pairwise(arrays):
            yield Cache(roles, result, pair)


def is_seen(subject: Decoder, cache: Cache, value) -> bool:
    """Whether what is handed on are the first tokens' keys and values and
    nothing else; or, where the layer keeps them itself, whether they reach
    the next. Where another argument may say how many there are, neither
    tells what is wanted."""
    if any(map(may_count, subject.left_alone)):
        return False
    case = subject.case_in_parts(ONE_BY_ONE)
    if cache.kept:
        first = next(case.in_parts())
        kept = [part_at(value, path) for path in cache.kept]
        return are_the_numbers(kept, subject.keys_and_values(first))
    others = attempt(subject.decoded, subject.with_other_start(case), cache)
    outputs = attempt(subject.decoded, case, cache)
    if outputs is None or others is None:
        return False
    return not alike(outputs[-1], others[-1])


def are_the_numbers(kept, numbers: np.ndarray) -> bool:
    """Whether these numbers are what was kept, in any order, and as often
    as may be: fewer key heads may have been repeated."""
    arrays = [
        part.ravel()
        for _, part in paths_of(kept)
        if isinstance(part, np.ndarray) and part.dtype.kind == "f"
    ]
    held = np.concatenate([*arrays, np.zeros(0)])
    return are_among(held, numbers) and are_among(numbers, held)


def are_among(held: np.ndarray, numbers: np.ndarray) -> bool:
    """Whether each number is near to one of those that are held."""
    if held.size == 0:
        return False
    in_order = np.sort(held)
    at = np.searchsorted(in_order, numbers)
    apart = [
        np.abs(in_order[(at - step).clip(0, held.size - 1)] - numbers)
        for step in (0, 1)
    ]
    near = np.minimum(*apart) <= 1e-5 * np.abs(held).max()
    return bool(near.all())


def limited(subject: Decoder, cache: Cache) -> Cache:
    """The cache, asked with one new token at a time where that is all
    that it is for."""
    why = why_only_one(subject, cache)
    if not why:
        return cache
    single = (p for p in cache.parts if set(p[1:]) == {1})
    return replace(cache, parts=tuple(single), only_one=why)


def why_only_one(subject: Decoder, cache: Cache) -> str:
    """Why it is not asked with several new tokens; "" where it is."""
    if ONE_BY_ONE not in cache.parts:
        return ""
    case = subject.case_in_parts(TOGETHER)
    outputs = attempt(subject.decoded, case, cache)
    if outputs is None:
        return "it takes one at a time"
    if are_alike(outputs, subject.right_parts(case)):
        return ""
    open_parts = subject.right_parts(case, causal=False)
    if alike(outputs[-1], open_parts[-1]):
        return SEE_EACH_OTHER
    if takes_one_token(subject.thing.docs):
        return "it says that it takes one at a time"
    return ""


def cache_not_asked(
    roles: CacheRoles, cache: Cache | None, source: str
) -> dict[str, str]:
    """What of a cache was not asked, and why.

    Without its cache, half of what a decoder does was not asked; and
    where new tokens see later ones, that is no text at once.
    """
    if not roles:
        return {}
    if cache is None:
        return roles.left_alone_in(source)
    if not cache.only_one:
        return {}
    is_open = cache.only_one == SEE_EACH_OTHER
    what = "its cache" if is_open else "its cache with several new tokens"
    return {what: cache.only_one}


def are_alike(outputs: list, expected: list) -> bool:
    return all(map(alike, outputs, expected))
