"""`RotarySubject`: whatever turns tokens by their positions, as a subject.

A function of tokens and a table, of tokens and positions, a class, or what
only makes the table: `ways` finds how it is asked. Which features it turns
together, and by which base, are conventions, found by trial.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import numpy as np
from hypothesis import strategies as st

from parity_tests.bounds.rounding import FUNCTION_ROUNDINGS, Bounded
from parity_tests.exact.numbers import joined
from parity_tests.judge.attention.conventions import INSIDE_FLOAT32
from parity_tests.judge.mutants.steps.variants import (
    TABLE_MUTANTS,
    rotary_mutants,
)
from parity_tests.judge.steps.cases import StepCase
from parity_tests.judge.steps.property import Comparisons, identical, known
from parity_tests.judge.steps.variants import OF_POSITIONS
from parity_tests.judge.subject.rotary import (
    OF_AN_ANGLE,
    PAIRS,
    THETA,
    angles_at,
)
from parity_tests.judge.verdict.diagnosis import alike
from parity_tests.judge.verdict.property import Property, equals_exact
from parity_tests.judge.verdict.protocol import (
    FAILED_TRIAL,
    Broken,
    NotJudged,
    attempt,
)
from parity_tests.twins.strategies import LOG_SCALE, SEEDS

NAME = "rotary_embedding"
SINGLE = 2.0**-24  # the rounding of float32
# Which features are a pair; with the last, features change their order,
# which no product of queries and keys feels.
PAIRINGS = ("halves", "neighbours", "neighbours, put in halves")
TURNS = {
    "halves": "features i and i + d/2",
    "neighbours": "neighbours, features 2i and 2i + 1",
    "neighbours, put in halves": (
        "neighbours; the first of each pair come out first"
    ),
}


@dataclass(frozen=True)
class Rotation:
    """Which features are turned together, and by which base."""

    pairs: str
    base: float = THETA

    def exact(self, case: dict, table_u: float = 0.0) -> Bounded:
        """The tokens, turned: each cosine and sine is off by its own
        roundings, of its angle's and of itself."""
        array, positions = case["x"], case["positions"]
        x = Bounded.exactly(array, array.astype(np.float64))
        turns = angles_at(positions, array.shape[-1], self.base)
        off = (OF_AN_ANGLE * turns + FUNCTION_ROUNDINGS + 1) * max(
            x.rounding.u, table_u
        )
        cos, sin = (
            Bounded(f(turns), off, x.rounding) for f in (np.cos, np.sin)
        )
        kind, *moved = self.pairs.split(", ")
        first, second = PAIRS[kind](array.shape[-1])
        order = np.argsort([*first, *second])
        a, b = (
            x.moved(lambda v, at=at: v[..., at]) for at in (first, second)
        )
        both = joined([a * cos - b * sin, a * sin + b * cos])
        return both if moved else both.moved(lambda v: v[..., order])

    def value(self, case: dict) -> np.ndarray:
        return self.exact(case).value.astype(case["x"].dtype)


@st.composite
def rotary_cases(draw, dtypes: tuple[str, ...], heads: bool) -> StepCase:
    """Pairs of tokens to be turned, the first as queries and the second as
    keys: (2, batch, head, position, feature), and where they stand."""
    dtype = draw(st.sampled_from(dtypes))
    tokens, pairs, first = (
        draw(st.integers(*reach)) for reach in ((1, 4), (1, 4), (0, 40))
    )
    batch, head = (2, 3) if heads else (1, 1)
    random = np.random.default_rng(draw(SEEDS))
    whole = random.integers(-16, 17, (2, batch, head, tokens, 2 * pairs))
    x = (whole * np.exp(draw(LOG_SCALE))).astype(dtype)
    return rotary_case(x, first + np.arange(tokens))


def rotary_case(x: np.ndarray, positions: np.ndarray) -> StepCase:
    return StepCase(NAME, {"x": x, "positions": positions})


def trial_cases(dtype: str, heads: bool) -> list[StepCase]:
    """Of several widths and places, none of them at 0 alone."""
    random, shape = np.random.default_rng(7), (2, 3) if heads else (1, 1)
    return [
        rotary_case(
            random.normal(size=(2, *shape, tokens, width)).astype(dtype),
            first + np.arange(tokens),
        )
        for tokens, width, first in ((5, 4, 0), (4, 8, 3), (1, 6, 11))
    ]


class RotaryStep:
    """What properties ask: the tokens, turned, and how far they may be
    off."""

    name = NAME

    def __init__(self, way, rotation: Rotation, table_u: float):
        self.way, self.rotation, self.table_u = way, rotation, table_u

    @property
    def keeps_order(self) -> bool:
        return "," not in self.rotation.pairs

    def __call__(self, **arguments) -> np.ndarray:
        got = self.way.turned(arguments["x"], arguments["positions"])
        if got.dtype != arguments["x"].dtype:
            if got.dtype != np.float64:
                wanted = arguments["x"].dtype
                raise Broken(f"returned {got.dtype}, expected {wanted}")
            got = got.astype(arguments["x"].dtype)
        return got

    def exact(self, arguments: dict) -> Bounded:
        return self.rotation.exact(arguments, self.table_u)

    def known(self, arguments: dict) -> Bounded:
        return known(self(**arguments), self.exact(arguments).error)


def it_turns_by_the_angles_of_positions(
    step: RotaryStep, arguments: dict
) -> Comparisons:
    """Each pair of features is turned by the angle of its position."""
    got = step(**arguments)
    yield equals_exact("turned", got, step.exact(arguments))


def it_leaves_its_inputs_as_they_were(
    step: RotaryStep, arguments: dict
) -> Comparisons:
    """The inputs are unchanged after the call."""
    before, after = step.way.inputs_after(arguments)
    yield identical("x", after, before)


class RotarySubject:
    """Something that turns tokens, as a subject. Raises NotJudged where it
    gives no output in any way that is known."""

    kind = NAME
    when_random = "the output is random"
    mask_is_declared = True

    def __init__(self, thing, ways, bases: list[float], is_meant: bool):
        self.name, self.is_meant = thing.name, is_meant
        self.bases = bases
        self.way, rotation, self.is_right = self.best(ways)
        self.rotation = rotation
        self.dtypes, table_u, self.precision = self.precisions()
        self.asked = RotaryStep(self.way, rotation, table_u)

    @property
    def host(self):
        return self.way.host

    def best(self, ways: Iterator):
        """The first way in which it is right; else in which it is a known
        mutant; else the first that gives an output."""
        accepted, trouble, last = [], None, 0
        for rank, way in ways:
            if accepted and rank > last:
                break
            last = rank
            cases = trial_cases("float32", way.has_heads)
            try:
                outputs = [way.turned(*case.values()) for case in cases]
            except FAILED_TRIAL as error:
                trouble = trouble or error
                continue
            for rotation in self.rotations(way):
                if self.is_one(rotation.value, cases, outputs):
                    return way, rotation, True
            accepted.append((way, cases, outputs))
        for way, cases, outputs in accepted:
            for rotation in self.rotations(way):
                for _, mutant in mutants_of(rotation):
                    if self.is_one(mutant, cases, outputs):
                        return way, rotation, False
        if not accepted:
            raise NotJudged(f"it {trouble}" if trouble else NO_OUTPUT)
        way, *_ = accepted[0]
        return way, next(iter(self.rotations(way))), False

    def rotations(self, way) -> Iterator[Rotation]:
        bases = self.bases if way.makes_angles else [THETA]
        for base in bases:
            for pairs in way.pairings or PAIRINGS:
                yield Rotation(pairs, base)

    @staticmethod
    def is_one(turn, cases, outputs) -> bool:
        """Whether it gives these outputs."""
        for case, output in zip(cases, outputs, strict=True):
            with np.errstate(all="ignore"):
                expected = attempt(turn, case)
            if expected is None or not alike(output, expected):
                return False
        return True

    def precisions(self) -> tuple[tuple[str, ...], float, str]:
        """In which types it is asked, how its angles are rounded, and a
        word on either: it may compute them, or all, in float32."""
        both, single = ("float32", "float64"), ("float32",)
        case = trial_cases("float64", self.way.has_heads)[1]
        output = attempt(self.way.turned, *case.values())
        if output is None:
            return single, 0.0, "it raised an error for float64 inputs"
        if not self.is_right:
            return both, 0.0, ""
        x = case["x"].astype(np.float32).astype(np.float64)
        rounded = attempt(self.way.turned, x, case["positions"])
        if rounded is not None and np.array_equal(rounded, output):
            return single, 0.0, INSIDE_FLOAT32
        for table_u, word in ((0.0, ""), (SINGLE, ANGLES_IN_FLOAT32)):
            exact = self.rotation.exact(case, table_u)
            if (np.abs(output - exact.value) <= 2 * exact.error).all():
                return both, table_u, word
        return both, 0.0, ""

    def conventions(self) -> dict[str, str]:
        told = {}
        if self.is_right and len(self.way.pairings or PAIRINGS) > 1:
            told["its pairs"] = TURNS[self.rotation.pairs]
        if self.is_right and self.way.makes_angles:
            told["its base"] = f"{self.rotation.base:,.0f}"
        if self.precision:
            told["float64"] = self.precision
        return told | self.way.says

    # --- as a subject ----------------------------------------------------

    def properties(self) -> tuple[Property, ...]:
        own = (it_turns_by_the_angles_of_positions, *OF_POSITIONS)
        rest = (it_leaves_its_inputs_as_they_were,)
        every = own + (rest if self.way.takes_tokens else ())
        return tuple(map(Property, every))

    def cases(self):
        return rotary_cases(self.dtypes, self.way.has_heads)

    def not_asked(self) -> dict[str, str]:
        return {}

    def probes(self) -> list[list]:
        return [trial_cases(self.dtypes[-1], self.way.has_heads)]

    def answer(self, probe) -> np.ndarray:
        return self.asked(**deepcopy(dict(probe)))

    def right(self, probe) -> np.ndarray:
        return self.rotation.value(probe)

    def changes(self, probe) -> bool:
        if not self.way.takes_tokens:
            return False
        found = attempt(self.way.inputs_after, probe)
        return found is not None and not np.array_equal(*found)

    def mutants(self, probes) -> Iterator:
        for rotation in self.rotations(self.way):
            yield from mutants_of(rotation)

    def agree(self, output, expected, probe) -> bool:
        return isinstance(output, np.ndarray) and (
            alike(output.astype(np.float32), expected.astype(np.float32))
            if self.precision or probe["x"].dtype == np.float32
            else alike(output, expected)
        )

    def other_cause(self) -> None:
        return None


NO_OUTPUT = "it gave no output in any way that is known"
ANGLES_IN_FLOAT32 = "its angles are of float32 also for float64 inputs"


def mutants_of(rotation: Rotation) -> Iterator[tuple[str, object]]:
    """Causes, and what would give the outputs if each were it."""
    kind, *moved = rotation.pairs.split(", ")
    if moved:
        return

    def turned(case, mutant, angles=angles_at):
        x, positions = case["x"].astype(float), case["positions"]
        turns = angles(positions, x.shape[-1], rotation.base)
        got = mutant(x, np.cos(turns), np.sin(turns))
        return np.broadcast_to(got, x.shape).astype(case["x"].dtype)

    for cause, mutant in rotary_mutants(kind, in_order=False).items():
        yield cause, partial(turned, mutant=mutant)
    plain = Rotation(kind).pairs
    for cause, angles in TABLE_MUTANTS.items():
        yield (
            cause,
            partial(turned, mutant=of_pairs(plain), angles=angles),
        )


def of_pairs(pairs: str):
    """The right rotation of these pairs, by x, cosine and sine."""
    first_of = PAIRS[pairs]

    def turned(x, cosine, sine):
        first, second = first_of(x.shape[-1])
        order = np.argsort([*first, *second])
        a, b = x[..., first], x[..., second]
        both = a * cosine - b * sine, a * sine + b * cosine
        return np.concatenate(both, axis=-1)[..., order]

    return turned
