"""Sinusoidal positions as people have them: a table of so many, or a class.

`positional_encoding(n, d_model)` gives the rows of the first n positions;
`PositionalEncoding(d_model, max_len)` adds them to tokens, and is asked
with tokens of zeros. Which positions are wanted, the rows are picked by.
"""

import re
from collections.abc import Iterator
from functools import partial
from itertools import count, product

import numpy as np

from parity_tests.judge.candidate.things import Thing
from parity_tests.judge.classes.building import size_named
from parity_tests.judge.steps.cases import StepCase, in_float32
from parity_tests.judge.steps.spelling import (
    HostedStep,
    Spelling,
    likeliest,
    trials,
    tried,
)
from parity_tests.judge.subject.forms import libraries_to_try
from parity_tests.judge.verdict.protocol import (
    Broken,
    NotAsked,
    NotJudged,
    Raised,
    answered,
    attempt,
)

ROLE = "sinusoidal_positions"
NAMES = re.compile(
    r"\w*sinusoid\w*|(get_?)?(\w*_)?pos(ition(al)?)?_?(enc|emb)\w*"
)
ROOM = 1024  # positions for which a class has to have rows
LAYOUTS = {
    "texts, tokens, features": (
        lambda rows: rows[None],
        lambda whole: whole[0],
    ),
    "tokens, texts, features": (
        lambda rows: rows[:, None],
        lambda whole: whole[:, 0],
    ),
}
# Tables of others, as tensor2tensor's, by what would else be a mistake.
VARIANTS = ("sines come first", "cosines come first", "the exponent is i/(")
OTHER_TABLE = (
    "it has sines and cosines in halves, or wavelengths that end at the "
    "base itself, as some have: it may be meant; with --as, which says "
    "what it is, it gets a verdict"
)
NUMBERS = count(1)  # of instances
WAVES = ("sin", "cos")


def is_sinusoidal(thing: Thing, lowered: str) -> bool:
    """Whether it is called so, and computes sines and cosines."""
    source = f"{thing.source}{thing.helpers}"
    waves = all(re.search(rf"\b{name}\(", source) for name in WAVES)
    return NAMES.fullmatch(lowered) is not None and waves


def hosted_positions(host, thing: Thing, role: str, library) -> HostedStep:
    """The table, asked in the first way that gives the reference's rows;
    else in the likeliest. Raises NotJudged where none gives any."""
    accepted, trouble = [], None
    for step in ways_to_ask(host, thing, library):
        try:
            trial, right = tried(step, role)
        except (NotAsked, Raised, Broken) as error:
            trouble = trouble or error
            continue
        if right and takes_all(trial):
            return trial
        accepted.append(trial)
    if accepted:
        taking_all = [step for step in accepted if takes_all(step)]
        return likeliest(taking_all or accepted, role)
    raise NotJudged(f"it {trouble}" if trouble else f"it is no {role}")


def takes_all(step: HostedStep) -> bool:
    """Whether it gives rows for all plain cases, be they right or not."""
    cases = map(step.adapted, trials(ROLE))
    rows = [attempt(lambda case: step(**case), case) for case in cases]
    return all(each is not None for each in rows)


def ways_to_ask(host, thing: Thing, library) -> Iterator[HostedStep]:
    libraries = libraries_to_try(thing, library)
    if not thing.is_class:
        for own, spelling in product(libraries, tables(thing)):
            yield HostedStep(host, thing, own, spelling)
        return
    ways = product(libraries, (2, 1), LAYOUTS)
    for own, texts, layout in ways:
        yield AddedPositions(host, thing, own, texts, layout)


def tables(thing: Thing) -> Iterator[Spelling]:
    """`positional_encoding(n, d_model)`, in either order; or with
    positions in place of their number."""
    named = [each for each in thing.parameters if each.is_named]
    names = [each.name for each in named]
    required = [each.name for each in named if each.required]
    if len(names) < 2 or len(required) > 2:
        return
    widths = [n for n in names[:2] if size_named(n) in ("d_out", "d_in")]
    orders = [names[:2], names[1::-1]]
    if len(widths) == 1 and widths[0] == names[0]:
        orders.reverse()
    for first, width in orders:
        for is_count in (True, False):

            def make(arguments, first=first, width=width, counts=is_count):
                rows = room_for(arguments)
                asked = rows if counts else np.arange(rows, dtype=float)
                return {first: asked, width: arguments["d_model"]}

            yield Spelling({}, make=make, read=as_rows, adapt=as_asked)


def as_asked(case: StepCase) -> StepCase:
    """The case with an even width, and in float32: nothing is passed that
    tells another precision."""
    width = case["d_model"] + case["d_model"] % 2
    return in_float32(StepCase(case.name, case | {"d_model": width}))


def room_for(arguments: dict) -> int:
    """How many rows have those that are wanted. Raises NotAsked."""
    positions = arguments["positions"]
    if not np.array_equal(positions, np.rint(abs(positions))):
        raise NotAsked("its positions are whole numbers from 0 on")
    rows = int(positions.max(initial=0)) + 1
    if rows > ROOM:
        raise NotAsked(f"it is asked for {ROOM} positions at most")
    return rows


def as_rows(value, arguments: dict) -> np.ndarray:
    """The rows of the positions that are wanted. Raises Broken, and
    NotAsked where a table of float32 is asked for digits of float64."""
    shape = room_for(arguments), arguments["d_model"]
    table = np.asarray(value)
    if np.promote_types(table.dtype, arguments["positions"].dtype) != (
        table.dtype
    ):
        raise NotAsked(f"its rows are of {table.dtype}")
    if table.dtype == object or table.size != shape[0] * shape[1]:
        raise Broken(f"returned shape {table.shape}, expected {shape}")
    positions = arguments["positions"].astype(int)
    table = table.reshape(shape).astype(arguments["positions"].dtype)
    return table[positions]


class AddedPositions(HostedStep):
    """A class that adds positions to tokens, asked with so many texts of
    zeros."""

    def __init__(self, host, thing, library, texts: int, layout: str):
        says = {"its layout": layout}
        if texts == 1:
            says["its texts"] = "one at a time"
        read = partial(as_rows_of_the_first, layout=layout)
        spelling = Spelling({}, read=read, adapt=as_asked, says=says)
        super().__init__(host, thing, library, spelling)
        self.texts, self.layout = texts, layout
        self.instances: dict[int, str] = {}

    def changed(self, **parts) -> HostedStep:
        """The same: there is nothing that could be changed."""
        return self

    def answer(self, arguments: dict, **how) -> dict:
        rows, width = room_for(arguments), arguments["d_model"]
        arrange, _ = LAYOUTS[self.layout]
        zeros = arrange(np.zeros((rows, width), np.float32))
        x = np.repeat(zeros, self.texts, axis_of_texts(self.layout))
        (name, *_) = [p.name for p in self.thing.call if p.is_named]
        how = {"library": self.library} | how
        called = self.host.call(self.instance(width), {name: x}, how)
        return answered(called)

    def instance(self, width: int) -> str:
        """An instance of that width. Raises NotJudged for one that has
        weights, and Raised."""
        if width not in self.instances:
            name = f"{self.thing.name}#positions{next(NUMBERS)}"
            given = constructor(self.thing, width)
            how = {"instance": name, "dtype": "float32"}
            made = answered(self.host.build(self.thing.name, given, how))
            if made["parameters"]:
                raise NotJudged("it has weights: its positions are learned")
            self.instances[width] = name
        return self.instances[width]


def axis_of_texts(layout: str) -> int:
    return 0 if layout.startswith("texts") else 1


def as_rows_of_the_first(value, arguments: dict, layout: str) -> np.ndarray:
    """The rows that were added to the first text, which all texts get."""
    whole, (_, first) = np.asarray(value), LAYOUTS[layout]
    if whole.ndim != 3:
        raise Broken(f"returned shape {whole.shape}, expected three axes")
    alone = whole.take([0], axis_of_texts(layout))
    if not (whole == alone).all():
        raise Broken("texts get different positions")
    return as_rows(first(whole), arguments)


def constructor(thing: Thing, width: int) -> dict:
    """The arguments of a constructor. Raises NotJudged for one that is
    needed and unknown."""
    arguments: dict = {}
    for each in thing.parameters:
        size = size_named(each.name)
        if not each.is_named:
            continue
        if size == "dropped":
            arguments[each.name] = 0.0
        elif size == "context":
            arguments[each.name] = ROOM
        elif size in ("d_out", "d_in") or (each.required and not arguments):
            arguments[each.name] = width
        elif each.required:
            raise NotJudged(
                f"{thing.name} is built from {each.name}, of which the "
                "judge does not know what it is"
            )
    return arguments
