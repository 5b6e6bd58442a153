"""`HalfFunction`: an attention function, asked in bfloat16 or float16.

Inputs are half numbers, which travel as float32 up to the call. Where the
kernel rounds is found by probes, unless it is said; each output must then
be within the bound of such a kernel (`bounds/half_precision.py`).
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

from parity_tests.bounds.half_gradients import (
    BackwardProfile,
    attention_gradient_bounds,
)
from parity_tests.bounds.half_precision import (
    FORMATS,
    HalfBound,
    Profile,
    attention_bound,
)
from parity_tests.bounds.half_profile import widest
from parity_tests.bounds.half_statistics import (
    FALSE_ALARM,
    statistical_bound,
)
from parity_tests.judge.candidate.things import Thing
from parity_tests.judge.half.kernels import half_type
from parity_tests.judge.half.probes import profile_of
from parity_tests.judge.half.words import in_words
from parity_tests.judge.half.wrong_kernels import WRONG_KERNELS, WrongKernel
from parity_tests.judge.mutants.attention_parts import (
    Probe,
    visible,
)
from parity_tests.judge.subject.cases import AttentionCase, attention_cases
from parity_tests.judge.verdict.property import Property
from parity_tests.judge.verdict.protocol import (
    Broken,
    Raised,
)
from parity_tests.twins.comparing import Comparison, largest

from .calling import ONE_QUERY, expect_array
from .conventions import (
    BY_AUTOGRAD,
    NOTHING_DECLARED,
    Conventions,
    Declared,
    takes_fewer_key_heads,
)
from .function import AttentionFunction
from .half_properties import PROPERTIES, half_of, in_half
from .property import same

# Backward passes that are known: all in float32; each operation's result
# in half, as by autograd; a fused one, which adds up over blocks in half.
BACKWARDS = (
    BackwardProfile(),
    BackwardProfile(d_weights_roundings=1, d_scores_roundings=2),
    BackwardProfile(
        d_scores_roundings=1,
        query_block=32,
        key_block=512,
        from_output=True,
    ),
)
BACKWARD = "roundings not probed: the widest bound of those that are known"
NEIGHBOURS = "each serves neighbouring heads of queries"
REMEMBERED = 64  # bounds of the last inputs


@dataclass(frozen=True, eq=False)
class HalfComparison(Comparison):
    """A comparison in half precision, whose bounds are wide by nature."""

    @property
    def is_wide(self) -> bool:
        """True when an output of zeros would pass, too."""
        return self.bound > max(largest(self.ours), largest(self.theirs))


class HalfFunction(AttentionFunction):
    """A function under judgement in one format of 16 bits."""

    def __init__(
        self,
        host,
        thing: Thing,
        dtype: str,
        declared: Declared = NOTHING_DECLARED,
    ):
        """Raises NotJudged where it does not take that format."""
        self.dtype, self.kind = dtype, f"attention in {dtype}"
        self.with_wrong_kernels = True
        self.unknown: Counter[str] = Counter()
        super().__init__(host, thing, declared, narrow=(dtype,))
        self.claimed = declared.profile and replace(
            declared.profile, dtype=dtype
        )
        self.found = {} if declared.profile else self.probed()
        self.profiles = [*self.found] or [Profile(dtype)]
        if self.claimed:
            self.profiles = [self.claimed]
        self.exact = lru_cache(REMEMBERED)(self.bound_of)
        self.bound_on = lru_cache(REMEMBERED)(self.bound_of_probe)
        self.conventions = replace(self.conventions, roundings=self.said)

    # --- conventions -----------------------------------------------------

    def detect_more(self, conventions: Conventions, form) -> Conventions:
        """What a mask does beside masking, gradients, and fewer heads of
        keys."""
        conventions = self.detect_behind(conventions, form)
        limits, detected = conventions.limits, {}
        if takes_fewer_key_heads(self.caller, limits):
            detected["fewer_key_heads"] = NEIGHBOURS
        alone = self.caller.calling.layout == ONE_QUERY
        if self.caller.calling.library == "torch" and not alone:
            detected["gradients"] = self.detect_gradients(limits)
        if detected.get("gradients") == BY_AUTOGRAD:
            detected["backward"] = BACKWARD
        return replace(conventions, **detected)

    def probed(self) -> dict[Profile, dict]:
        """Where it rounds, and what was seen: by probes on each number of
        axes, with a mask and without, as a library takes another path for
        these."""
        found: dict[Profile, dict] = {}
        every = self.limits.batch_axes
        if self.limits.few_sizes:
            every = every[:1]
        for axes in every:
            for is_masked in (False, True):
                has_mask = "random" in self.limits.masks
                if is_masked and (self.limits.few_sizes or not has_mask):
                    continue
                kernel = partial(self.kernel, axes=axes, masked=is_masked)
                with suppress(Broken, Raised, ValueError, IndexError):
                    profile, seen = profile_of(kernel, self.dtype)
                    found[profile] = found.get(profile, {}) | seen
        return found

    @property
    def said(self) -> str:
        """Where it rounds, in words."""
        paths = "; by another path: ".join(
            in_words(profile, self.found.get(profile))
            for profile in self.profiles
        )
        if self.claimed:
            return f"as said: {paths}"
        return paths if self.found else f"not found; taken to be: {paths}"

    def kernel(
        self, query, key, value, mask=None, axes=1, masked=False
    ) -> np.ndarray:
        """The function on arrays (batch, tokens, features) in half, as the
        probes call it, with so many batch axes."""
        arrays = [a.astype(np.float32) for a in (query, key, value)]
        if masked and mask is None:
            mask = np.ones((*query.shape[:-1], key.shape[-2]), bool)
        queries, keys = query.shape[-2], key.shape[-2]
        if self.limits.square and queries != keys:
            # Repeated; the last one sees all keys, also where it is causal.
            if queries > 1:
                parts = [query[:, i : i + 1] for i in range(queries)]
                outputs = [
                    self.kernel(part, key, value, axes=axes)
                    for part in parts
                ]
                return np.concatenate(outputs, axis=-2)
            arrays[0] = np.repeat(arrays[0], keys, axis=-2)
        context = self.on_axes(axes, *arrays, mask)[..., -queries:, :]
        return context.astype(half_type(self.dtype))

    def on_axes(self, axes: int, query, key, value, mask) -> np.ndarray:
        """With 0, 1 or 2 batch axes; entry by entry, if with none."""
        if axes == 1:
            return self(query, key, value, mask)
        if axes == 2:
            arrays = (array[:, None] for array in (query, key, value))
            mask = None if mask is None else mask[:, None]
            return self(*arrays, mask)[:, 0]
        masks = [None] * len(query) if mask is None else mask
        rows = zip(query, key, value, masks, strict=True)
        return np.stack([self(*row) for row in rows])

    # --- bounds ----------------------------------------------------------

    def bound_of(self, case: AttentionCase) -> HalfBound:
        """The exact output of a case, and how far it may be off."""
        return self.widest_bound(*case.qkv, case.rows)

    def bound_of_probe(self, probe: Probe) -> HalfBound:
        return self.widest_bound(*with_all_heads(probe), visible(probe))

    def widest_bound(self, query, key, value, mask) -> HalfBound:
        """Of all the paths that it takes."""
        bounds = []
        for profile in self.profiles:
            arrays = query, key, value, profile, mask
            bound = attention_bound(*arrays)
            if bound.accumulation:
                bound = statistical_bound(*arrays)
            bounds.append(bound)
        return widest(bounds)

    def exact_gradients(
        self, upstream, case: AttentionCase
    ) -> tuple[HalfBound, ...]:
        """Of query, key and value, by all paths and known backwards."""
        ways = [
            attention_gradient_bounds(
                upstream, *case.qkv, profile, backward, case.rows
            )
            for profile in self.profiles
            for backward in BACKWARDS
        ]
        return tuple(map(widest, zip(*ways, strict=True)))

    def near(self, path: str, got, exact: HalfBound) -> HalfComparison:
        """What it returned, with the exact value."""
        return self.compared(path, got, exact.value, exact)

    def alike(self, path, got, other, *exact: HalfBound) -> HalfComparison:
        """Two outputs that should be the same, within the sum of the
        errors of both; of one, twice."""
        first, second = exact if len(exact) == 2 else 2 * exact
        both = HalfBound(
            first.value,
            first.error + second.error,
            first.overflow | second.overflow,
            first.accumulation or second.accumulation,
            first.statistical or second.statistical,
        )
        return self.compared(path, got, other, both)

    def compared(self, path, got, expected, bound: HalfBound):
        """Where the bound is infinite, nothing is."""
        self.count_unknown(bound)
        path = f"statistical: {path}" if bound.statistical else path
        known = np.isfinite(bound.error)
        got, expected, error = (
            np.where(known, array, 0)
            for array in (got, expected, bound.error)
        )
        return HalfComparison(**vars(same(path, got, expected, error)))

    def held(self, array: np.ndarray) -> np.ndarray:
        """The nearest half numbers, as float32."""
        return half_of(array, self.dtype)

    def count_unknown(self, bound: HalfBound) -> None:
        """Count the outputs that no bound speaks of, and why; and those
        of which only a statistical one does."""
        unknown = ~np.isfinite(bound.error)
        if bound.statistical:
            self.unknown["statistical"] += int((~unknown).sum())
        self.unknown["outputs"] += unknown.size
        if bound.accumulation:
            self.unknown["accumulation"] += int(unknown.sum())
        else:
            self.unknown["overflow"] += int(unknown.sum())

    # --- calls -----------------------------------------------------------

    def gradients(self, upstream, query, key, value, mask):
        """Of query, key and value, as float32; None if it has none."""
        parts = super().gradients(upstream, query, key, value, mask)
        return parts and [np.asarray(p).astype(np.float32) for p in parts]

    def valid(self, output, query, value) -> np.ndarray:
        """The output as float32, if it is one in half."""
        shape = (*query.shape[:-1], value.shape[-1])
        if expect_array(output).shape != shape:
            raise Broken(f"returned shape {output.shape}, expected {shape}")
        if output.dtype.name != self.dtype:
            got = output.dtype.name
            raise Broken(f"returned {got}, expected {self.dtype}")
        return output.astype(np.float32)

    # --- as a subject ----------------------------------------------------

    def cases(self):
        return attention_cases(self.limits).map(
            partial(in_half, dtype=self.dtype)
        )

    def properties(self) -> Iterator[Property]:
        offers = self.offers()
        for each in PROPERTIES:
            if all(offers[need] for need in each.needs):
                yield each

    def not_asked(self) -> dict[str, str]:
        missing = super().not_asked()
        outputs = self.unknown["outputs"]
        greatest = FORMATS[self.dtype].greatest
        if count := self.unknown["overflow"]:
            missing["where numbers overflow"] = (
                f"{count:,} of {outputs:,} outputs may pass "
                f"{greatest:,.6g} on the way, where it rounds; NaN and inf "
                "are no mistake there"
            )
        if count := self.unknown["accumulation"]:
            missing["long sums in half precision"] = (
                f"for {count:,} of {outputs:,} outputs so many numbers are "
                "added up in half precision that no bound is left"
            )
        return missing

    @property
    def statistics(self) -> str:
        """How many outputs were held to a statistical bound, if any."""
        count, outputs = (
            self.unknown["statistical"],
            self.unknown["outputs"],
        )
        if not count:
            return ""
        return (
            f"statistical: {count:,} of {outputs:,} outputs are sums too "
            "long for a bound, and were held to what their roundings, if "
            f"independent, exceed with a probability of {FALSE_ALARM:g}; "
            "that is no theorem"
        )

    # --- for the diagnosis -----------------------------------------------

    def probes(self) -> list[list]:
        """Of numbers in half, without those whose products overflow."""
        return [
            [
                each
                for each in map(self.probe_in_half, stage)
                if self.fits(each)
            ]
            for stage in super().probes()
        ]

    def probe_in_half(self, probe: Probe) -> Probe:
        with np.errstate(over="ignore"):
            query, key, value = (
                half_of(array, self.dtype).astype(np.float64)
                for array in (probe.query, probe.key, probe.value)
            )
        return replace(probe, query=query, key=key, value=value)

    def fits(self, probe: Probe) -> bool:
        """Whether no product can leave the format."""
        query, key, _ = with_all_heads(probe)
        return not raw_overflow(query, key, self.dtype).any()

    def agree(self, output, expected, probe) -> bool:
        """Within the bound of the right answer; further away, where what
        is expected is another number, by what rounding makes of it."""
        if expected is None or output.shape != np.shape(expected):
            return False
        sees_any = visible(probe).any(axis=-1, keepdims=True)
        if probe.query.shape[:-1] != output.shape[:-1]:
            return False
        bound = self.bound_on(probe)
        other = np.abs(expected - bound.value)
        error = bound.error + 4 * FORMATS[self.dtype].u * other
        with np.errstate(invalid="ignore"):
            apart = np.where(sees_any, np.abs(output - expected), 0)
        both_nan = np.isnan(output) & np.isnan(expected)
        known = np.isfinite(bound.error) & sees_any & ~both_nan
        return bool((apart <= error)[known].all())

    def mutants(self, probes) -> Iterator:
        """Wrong kernels of 16 bits, or else the mutants of wider floats."""
        if not self.with_wrong_kernels:
            yield from super().mutants(probes)
            return
        for wrong in WRONG_KERNELS.values():
            yield wrong.cause, self.answer_of(wrong)

    def answer_of(self, wrong: WrongKernel) -> Callable:
        """The outputs of a wrong kernel, in its own rounding."""
        kernel = wrong.kernel(self.dtype)

        def answer(probe: Probe) -> np.ndarray:
            arrays = probe.query, probe.key, probe.value
            halves = (a.astype(half_type(self.dtype)) for a in arrays)
            mask = np.broadcast_to(visible(probe), probe.shape)
            return kernel(*halves, mask).astype(np.float64)

        return answer

    def cause_of_gradients(self) -> str | None:
        """Not from trials in float32."""
        return None


def with_all_heads(probe: Probe) -> tuple[np.ndarray, ...]:
    """Query, key and value; of fewer heads of keys, each repeated for the
    neighbouring heads of queries that it serves."""
    query, key, value = probe.query, probe.key, probe.value
    if query.ndim > 2 and key.shape[-3] not in (1, query.shape[-3]):
        groups = query.shape[-3] // key.shape[-3]
        key, value = (np.repeat(a, groups, axis=-3) for a in (key, value))
    return query, key, value


def raw_overflow(query, key, dtype: str) -> np.ndarray:
    """The queries of which a product with a key may leave the format."""
    query, key = (np.abs(a.astype(np.float64)) for a in (query, key))
    products = query @ key.swapaxes(-2, -1)
    return products.max(axis=-1) > FORMATS[dtype].greatest
