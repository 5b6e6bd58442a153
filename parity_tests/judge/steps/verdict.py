"""The verdict on a function for one step, or for a gradient.

    >>> from parity_tests.judge.steps.verdict import step_judgements
    >>> list(step_judgements(my_softmax, "softmax"))  # doctest: +SKIP

It is compared with the exact value first; then each property that the
step must have is judged (`all_properties.py`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace

import numpy as np
from hypothesis import strategies as st

from parity_tests.judge.attention.verdict import (
    EXAMPLES,
    SHRUNK,
    Finding,
    Report,
    judgement,
)
from parity_tests.judge.subject.protocol import Broken, checked_output
from parity_tests.twins.comparing import largest
from parity_tests.twins.finding import Twin, find_twins
from parity_tests.twins.gradients import backward, result_names
from parity_tests.twins.strategies import SEEDS, cases

from .all_properties import STEP_PROPERTIES
from .diagnosis import BACKWARD, cause_of_step
from .property import (
    Comparisons,
    Gradient,
    Property,
    Step,
    description,
    equal,
    inputs,
    leaves,
    named_results,
    outputs,
    parts_of,
    same,
)

UPSTREAM = [-3, -2, -1, 1, 2, 3]


@dataclass(frozen=True, eq=False)
class StepCase:
    """One input of the function called `name`, all of it by name.

    As text it is a call that can be pasted into Python.
    """

    name: str
    arguments: dict

    def size(self) -> tuple[int, float]:
        """How large it is: what a reader sees should be small."""
        arrays = [
            *leaves(self.arguments).values(),
            *(a for a in self.arguments.values() if is_integral(a)),
        ]
        magnitude = sum(
            float(np.abs(a.astype(float)).sum()) for a in arrays
        )
        return sum(array.size for array in arrays), magnitude

    def __str__(self) -> str:
        sources = (f"{n}={as_source(v)}" for n, v in self.arguments.items())
        return f"{self.name}({', '.join(sources)})"


def is_integral(value) -> bool:
    """Whether it is an array of ids, or a mask."""
    return isinstance(value, np.ndarray) and value.dtype.kind != "f"


def as_source(value) -> str:
    """A value as Python source, to the last digit."""
    if isinstance(value, np.ndarray):
        numbers = np.array2string(
            value, separator=", ", floatmode="unique", threshold=value.size
        )
        dtype = "bool" if value.dtype == bool else f"np.{value.dtype}"
        return f"np.array({numbers}, dtype={dtype})"
    if isinstance(value, np.generic):
        return f"np.{value.dtype}({value})"
    if is_dataclass(value):
        sources = (f"{n}={as_source(v)}" for n, v in vars(value).items())
        return f"{type(value).__name__}({', '.join(sources)})"
    if isinstance(value, tuple) and any(map(is_dataclass, value)):
        return "(" + "".join(f"{as_source(part)}, " for part in value) + ")"
    return repr(value)


@st.composite
def step_cases(draw, name: str) -> StepCase:
    """Any input of a step, or of its gradient, in either precision."""
    twin = twin_of(name)
    dtype = draw(st.sampled_from(["float32", "float64"]))
    case = draw(cases(twin, dtype))
    arguments = {n: plain(v) for n, v in case.numpy_arguments().items()}
    if not name.endswith(BACKWARD):
        return StepCase(name, arguments)
    output = outputs()[twin.name]
    shape = description(twin.name, arguments)[output].shape
    upstream = np.random.default_rng(draw(SEEDS)).choice(UPSTREAM, shape)
    # A loss is a number; an array stays as it is.
    first = {f"d_{output}": np.array(upstream, dtype)[()]}
    return StepCase(name, first | arguments)


def plain(value):
    """A NumPy scalar as a Python number: else it would widen a float32."""
    return value.item() if isinstance(value, np.generic) else value


def twin_of(name: str) -> Twin:
    """The step of that name, or of which it is the gradient.

    Raises ValueError if there is none.
    """
    step = name.removesuffix(BACKWARD)
    for twin in find_twins():
        if twin.name == step and (step == name or backward(twin)):
            return twin
    raise ValueError(f"expected the name of a step, got {name!r}")


def judge_step(
    function: Callable, name: str, role: str, examples: int, seed: int
) -> Report:
    """Judge a function called `name` as the step `role`.

    The likely cause is sought if a property fails.
    """
    findings = tuple(step_judgements(function, role, examples, seed))
    report = Report(name, role, findings)
    if report.failed:
        return replace(report, cause=cause_of_step(function, role))
    return report


def step_judgements(
    function: Callable,
    name: str,
    examples: int = EXAMPLES,
    seed: int = 0,
    forward: Callable | None = None,
) -> Iterator[Finding]:
    """Judge each property that the step `name` must have.

    `function` takes NumPy values by the names that the step gives them.
    For a gradient, `forward` is the step that it belongs to; without,
    the project's own. `seed` is that of all inputs.
    """
    twin = twin_of(name)
    if name.endswith(BACKWARD):
        judged = Gradient(
            twin.name,
            fitting(forward, twin.reference) if forward else twin.reference,
            fitting(function, backward(twin)),
        )
        exact = gradients_equal_the_exact_ones
    else:
        judged = Step(name, fitting(function, twin.reference))
        exact = equals_the_reference
    failed = 0
    for each in (Property(exact), *STEP_PROPERTIES.get(name, ())):
        finding = judgement(
            each,
            lambda case, each=each: each.check(judged, case.arguments),
            step_cases(name),
            examples,
            seed,
            shrink=failed < SHRUNK,
        )
        failed += finding.verdict == "fails"
        yield finding


# --- the exact value -----------------------------------------------------


def equals_the_reference(step: Step, arguments: dict) -> Comparisons:
    """The result is that of the definition, within rounding; ids, masks
    and text are equal."""
    twin, got = twin_of(step.name), step(**arguments)
    names, reference = result_names(twin), twin.reference(**arguments)
    steps = description(step.name, arguments)
    if len(names) == 1:
        got, reference = (got,), (reference,)
    for name, *parts in zip(names, got, reference, strict=True):
        yield from equals_the_exact_one(name, *parts, steps.get(name))


def equals_the_exact_one(name: str, got, reference, exact) -> Comparisons:
    """One result, part by part where it is a tuple or a list."""
    if hasattr(exact, "error"):
        yield same(name, np.asarray(got), exact.value, exact.error)
    elif isinstance(exact, tuple | list) and len(exact) == len(got):
        for index, parts in enumerate(
            zip(got, reference, exact, strict=True)
        ):
            yield from equals_the_exact_one(f"{name}[{index}]", *parts)
    else:
        yield from equal(name, got, reference)


def gradients_equal_the_exact_ones(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """Each gradient is the derivative, within rounding."""
    result = gradient(**arguments)
    steps = description(
        f"{gradient.name}{BACKWARD}", gradient.with_kept(arguments)
    )
    exact = dict(parts_of(steps))
    scale = max(largest(part.value) for part in exact.values())
    for name, got in named_results(result, inputs(arguments)).items():
        expected = exact[name]
        comparison = same(f"d_{name}", got, expected.value, expected.error)
        # The largest of all: in others everything may have cancelled.
        yield replace(comparison, scale=scale)


# --- the output, checked before anything is done with it -----------------


def fitting(function: Callable, reference: Callable) -> Callable:
    """The function, raising Broken unless it returns what the reference
    does: the same kinds, shapes and precision."""

    def call(**arguments):
        expected = reference(**arguments)
        try:
            with np.errstate(all="ignore"):
                got = function(**arguments)
        except (Exception, SystemExit) as error:  # foreign code
            raise Broken(
                f"raised {type(error).__name__}: {error}"
            ) from error
        return as_expected(got, expected)

    return call


def as_expected(got, expected):
    """The output, if it is of the expected kind; raises Broken if not."""
    if isinstance(expected, np.floating):
        number = np.asarray(got) if isinstance(got, np.generic) else got
        return checked_output(number, (), expected.dtype)[()]
    if isinstance(expected, np.ndarray):
        same_kind = getattr(got, "dtype", None) == expected.dtype
        whole = expected.dtype.kind == "i" == kind(got)
        dtype = got.dtype if whole and not same_kind else expected.dtype
        return checked_output(got, expected.shape, dtype)
    if isinstance(expected, tuple | list):
        return members(got, expected)
    got = plain(got)
    if type(got).__name__ != type(expected).__name__:
        raise Broken(
            f"returned {type(got).__name__}, "
            f"expected {type(expected).__name__}"
        )
    if is_dataclass(expected):
        names = [field.name for field in fields(expected)]
        for name in names:
            as_expected(getattr(got, name), getattr(expected, name))
    return got


def kind(value) -> str:
    """NumPy's letter for the kind of an array; "" for anything else."""
    return value.dtype.kind if isinstance(value, np.ndarray) else ""


def members(got, expected):
    """A tuple or a list, part by part."""
    if not isinstance(got, tuple | list):
        raise Broken(
            f"returned {type(got).__name__}, "
            f"expected {type(expected).__name__}"
        )
    if len(got) != len(expected):
        raise Broken(f"returned {len(got)} parts, expected {len(expected)}")
    pairs = zip(got, expected, strict=True)
    # A named tuple takes its members one by one.
    make = getattr(type(expected), "_make", type(expected))
    return make([as_expected(*pair) for pair in pairs])
