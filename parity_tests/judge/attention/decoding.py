"""A function of query, key and value, asked with a cache: call by call."""

from dataclasses import dataclass, replace

import numpy as np

from numpy_ref.masks import causal_mask
from parity_tests.judge.mutants.attention_parts import Probe, attention
from parity_tests.judge.subject.cases import AttentionCase, normal_arrays

from .caches import Cache
from .property import Comparisons, Property, equals_exact

D_HEAD, D_VALUE = 3, 2


@dataclass(frozen=True, eq=False)
class CachedCase(AttentionCase):
    """One input with as many queries as keys, of which so many are new,
    call by call; its mask is what a query then sees."""

    parts: tuple[int, ...] = ()
    causal: bool = False

    @property
    def probe(self) -> Probe:
        return Probe(*self.qkv, causal=self.causal, parts=self.parts)


def cached_case(parts: tuple[int, ...], causal: bool, limits, seed=0):
    """Normal numbers, in so many parts."""
    batch = (2, 3)[: limits.batch_axes[-1]]
    tokens, random = sum(parts), np.random.default_rng([seed, *parts])
    sizes = tokens, tokens, D_HEAD, D_HEAD if limits.one_width else D_VALUE
    arrays = normal_arrays(random, batch, sizes, limits.dtypes[-1])
    mask = causal_mask(tokens, tokens)
    for begin, end in spans(parts) if not causal else ():
        mask[begin:end, begin:end] = True
    return CachedCase(*arrays, mask, seed, parts, causal)


def spans(parts: tuple[int, ...]) -> list[tuple[int, int]]:
    """Where each part begins and ends."""
    ends = np.cumsum(parts).tolist()
    return list(zip([0, *ends], ends, strict=False))


class FunctionDecoder:
    """Asks a function of query, key and value as its cache wants it.

    A call is given what is new; a case is a `Probe`, in parts.
    """

    def __init__(self, subject):
        self.subject, self.caller = subject, subject.caller
        self.thing = subject.caller.thing
        self.left_alone = subject.caller.calling.roles.left_alone
        self.causal = subject.conventions.causal == "always"

    def case_in_parts(self, parts: tuple[int, ...]) -> Probe:
        limits = self.subject.conventions.limits
        return cached_case(parts, self.causal, limits).probe

    def of(self, part: Probe) -> np.ndarray:
        return self.subject.answer(part)

    def returned(self, part: Probe, more: dict, **how):
        new = np.s_[..., part.past :, :]
        arrays = (part.query, part.key[new], part.value[new])
        copies = [array.copy() for array in arrays]
        named = self.caller.arguments(*copies) | more
        return self.caller.answer(named, **how)["value"]

    def decoded(self, case: Probe, cache: Cache) -> list[np.ndarray]:
        value, outputs, cache = None, [], cache.begun()
        caller = self.caller.changed(result=cache.result)
        for part in case.in_parts():
            more = cache.arguments(value, part.past)
            value = self.returned(part, more, **cache.follows(part.past))
            output = caller.output(value, part.query)
            outputs.append(
                self.subject.valid(output, part.query, part.value)
            )
        return outputs

    def right_parts(self, case: Probe, causal=None) -> list[np.ndarray]:
        causal = case.causal if causal is None else causal
        parts = replace(case, causal=causal).in_parts()
        return [attention(part) for part in parts]

    def arranged_output(self, array: np.ndarray) -> np.ndarray:
        heads = (
            3 if self.subject.conventions.limits.batch_axes[-1] > 1 else 1
        )
        return self.caller.calling.arranged_back(array, heads)

    def keys_and_values(self, part: Probe) -> np.ndarray:
        return np.concatenate([part.key.ravel(), part.value.ravel()])


def cached_cases(subject) -> list[CachedCase]:
    """What is asked with a cache, where there is one."""
    if subject.cache is None:
        return []
    causal, limits = subject.decoder.causal, subject.conventions.limits
    return [
        cached_case(parts, causal, limits, seed)
        for seed, parts in enumerate(subject.cache.parts)
    ]


def decoding_with_its_cache_is_the_same_as_all_at_once(
    subject, case: CachedCase
) -> Comparisons:
    """Decoding token by token, or in parts, with its cache, gives what the
    whole text gives at once."""
    exact = subject.exact(case)
    outputs = subject.decoder.decoded(case.probe, subject.cache)
    for (begin, end), got in zip(spans(case.parts), outputs, strict=True):
        part = np.s_[..., begin:end, :]
        expected = exact.moved(lambda a, part=part: a[part])
        yield equals_exact(f"output from token {begin} on", got, expected)


PROPERTIES = (
    Property(
        decoding_with_its_cache_is_the_same_as_all_at_once,
        ("cache",),
        inputs=cached_cases,
    ),
)
