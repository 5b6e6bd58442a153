"""Decoding with a cache: a layer that is asked call by call."""

from dataclasses import replace

import numpy as np

from parity_tests.judge.attention.caches import Cache, cache_of
from parity_tests.judge.mutants.class_parts import apply, normed, split
from parity_tests.judge.subject.rotary import turned
from parity_tests.judge.subject.variants import Variant

from .calling import Way
from .cases import LayerCase
from .conventions import pairs_of
from .reading import ReadLayer


class DecodingLayer(ReadLayer):
    """A layer whose cache is asked as well, where it is understood.

    A case in parts is answered by a call for each, with what was kept of
    those before.
    """

    def __init__(self, way: Way, role: str, said: Variant | None = None):
        """Raises NotJudged where it cannot be read."""
        super().__init__(way, role, said)
        self.pairs = self.pairs or pairs_of(self)
        roles = self.body.roles.cache
        can_keep = roles.holders or self.thing.is_class
        self.cache = cache_of(self, roles) if roles and can_keep else None

    @property
    def left_alone(self) -> tuple[str, ...]:
        return self.body.roles.left_alone

    def of(self, case: LayerCase, **how) -> np.ndarray:
        if not case.parts:
            return super().of(case, **how)
        return np.concatenate(self.decoded(case, self.cache), axis=-2)

    def arranged_output(self, array: np.ndarray) -> np.ndarray:
        return self.arranged_back(array)

    def case_in_parts(
        self, parts: tuple[int, ...], built: int = 0
    ) -> LayerCase:
        dtype = "float64" if self.in_float64 else "float32"
        case = self.case(tokens=sum(parts), size=built, dtype=dtype)
        return replace(case, parts=parts)

    def with_other_start(self, case: LayerCase) -> LayerCase:
        x = case.x.copy()
        x[..., : case.parts[0], :] += 1
        return replace(case, x=x)

    def returned(self, part: LayerCase, more: dict, **how):
        return self.reply(part, more, **how)["value"]

    def decoded(self, case: LayerCase, cache: Cache) -> list[np.ndarray]:
        if not cache.kept:
            self.body.renew(self.sizes[case.built], case.x.dtype.name)
        value, past, outputs, cache = None, 0, [], cache.begun()
        for part in case.in_parts():
            more = cache.arguments(value, past)
            value = self.returned(part, more, **cache.follows(past))
            outputs.append(self.read(value, part, cache.result))
            past += part.x.shape[-2]
        return outputs

    def right_parts(self, case: LayerCase, causal=None) -> list[np.ndarray]:
        ends = np.cumsum(case.parts)[:-1]
        return np.split(self.plain(case, causal), ends, axis=-2)

    def keys_and_values(self, case: LayerCase) -> np.ndarray:
        read = self.weights(case)
        x = case.x
        if read.norm_is_before("key"):
            x = normed(read, x)
        key, value = (apply(layer, x) for layer in (read.key, read.value))
        key = turned(read.turn, split(key, read.key_heads))
        return np.concatenate([key.ravel(), value.ravel()])
