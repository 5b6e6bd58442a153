"""Generating text: sampled tokens, as text that comes piece by piece."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array

from numpy_ref.generation import (
    Decoding,
    choose,
    generate,
    greedy,
    repetition_penalty,
)
from numpy_ref.tokenizers.text_stream import stream_text


@dataclass(frozen=True)
class SamplingSettings:
    """How a token is chosen; a temperature of 0 is greedy."""

    temperature: float = 0.8
    k: int = 50
    p: float = 0.95
    seed: int = 0
    min_p: float = 0.0
    penalty: float = 1.0


class Sampler:
    """Sampler: the next token, and which there were before it."""

    def __init__(self, settings: SamplingSettings, seen: Iterable[int]):
        self.settings, self.seen = settings, [*seen]
        self.generator = np.random.default_rng(settings.seed)

    def __call__(self, logits: Array) -> Array:
        settings, row = self.settings, logits.reshape(-1)
        if settings.penalty != 1:
            marks = np.zeros(row.shape, bool)
            marks[self.seen] = True
            row = repetition_penalty(row, marks, settings.penalty)
        token = self.chosen(row)
        self.seen.append(int(token))
        return token

    def chosen(self, row: Array) -> Array:
        settings = self.settings
        if not settings.temperature:
            return greedy(row)
        return choose(
            row,
            np.asarray(self.generator.uniform(), row.dtype),
            settings.temperature,
            min(settings.k, len(row)),
            settings.p,
            settings.min_p,
        )


def write(
    ids: Array,
    decoding: Decoding,
    tokens: Sequence[bytes],
    length: int,
    sampling: SamplingSettings,
    ends: Iterable[int],
    stops: Sequence[str] = (),
) -> Iterator[str]:
    """Generate up to `length` tokens after `ids`, as text.

    `tokens` are the bytes of each id. After one of the ids in `ends`, or
    where one of the texts `stops` begins, the text is over. A penalty
    for repetition is for all that `decoding` has read, too.
    Raises ValueError as `generate` does, before the first piece.
    """
    sampler = Sampler(sampling, [*decoding.ids, *ids.tolist()])
    new = generate(ids, decoding, length, sampler, {*ends})
    return until(stream_text(new, tokens), stops)


def until(pieces: Iterable[str], stops: Sequence[str]) -> Iterator[str]:
    """The text up to the first of `stops`, which may begin in any piece.

    What may still become a stop is held back until it is known.

    >>> "".join(until(["on", "e t", "wo three"], ["two", "e three"]))
    'one '
    """
    held = ""
    for piece in pieces:
        held += piece
        places = [held.find(stop) for stop in stops if stop in held]
        if places:
            yield from filter(None, [held[: min(places)]])
            return
        end = len(held) - longest_beginning(held, stops)
        yield from filter(None, [held[:end]])
        held = held[end:]
    yield from filter(None, [held])


def longest_beginning(text: str, stops: Sequence[str]) -> int:
    """How many characters at the end of `text` may begin a stop."""
    lengths = (
        size
        for stop in stops
        for size in range(1, len(stop))
        if text.endswith(stop[:size])
    )
    return max(lengths, default=0)
