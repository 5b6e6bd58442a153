"""Example: the failing input that tells most, and a script that shows it.

What fails on many inputs is shown on round numbers, integers and halves,
where it fails on those, too. The script runs without this project: it
makes the very call whose output was wrong.
"""

import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from math import prod

import numpy as np

from parity_tests.judge.candidate.wire import BFLOAT16
from parity_tests.twins.comparing import Comparison

from .protocol import Broken, NotAsked, Raised
from .report import Failure, Report

FEW_NUMBERS, MOST_NUMBERS = 60, 500  # that a script spells out
NO_FAILURE = (Broken, NotAsked, Raised, ValueError, IndexError)
PERIOD, HALF = 11, 5  # of the numbers in a large input


def with_example(subject, report: Report) -> Report:
    """The report, its first failure shown as plainly as it can be."""
    first = report.failed[0]
    judged = next(p for p in subject.properties() if p.name == first.name)
    failure = telling(subject, judged, first.failure)
    findings = tuple(
        replace(each, failure=failure) if each is first else each
        for each in report.findings
    )
    return replace(report, findings=findings)


def telling(subject, judged, failure: Failure) -> Failure:
    """The same failure on the roundest numbers that show it."""
    for case in [*rounder(failure.case), failure.case]:
        comparison, calls = failing(subject, judged, case)
        seed = getattr(case, "seed", None)
        if comparison is not None:
            script = shown(comparison, calls, seed)
            return Failure(case, comparison, str(comparison), script)
    if failure.comparison is None and calls:  # the last one is no answer
        script = calls[-1].script(seed)
        text = script and f"{script}\nprint(output)  # {failure.trouble}\n"
        return replace(failure, script=text or "")
    return failure


def failing(subject, judged, case) -> tuple[Comparison | None, list]:
    """The comparison that fails, and the calls that were made for it."""
    host = getattr(subject, "host", None)
    calls: list = []
    if hasattr(host, "log"):
        host.log = calls
    try:
        for comparison in judged.check(
            getattr(subject, "asked", subject), case
        ):
            if not comparison.holds:
                return comparison, calls
    except NO_FAILURE:
        pass
    finally:
        if hasattr(host, "log"):
            host.log = None
    return None, calls


# --- round numbers -------------------------------------------------------


def rounder(case) -> Iterator:
    """The case with other numbers, the roundest first."""
    if not is_dataclass(case):
        return
    floats = [
        each.name
        for each in fields(case)
        if getattr(getattr(case, each.name), "dtype", np.dtype(int)).kind
        == "f"
    ]
    if not floats:
        return
    count = sum(getattr(case, name).size for name in floats)
    ways = (whole, halves, patterned)
    for rounded in ways if count <= FEW_NUMBERS else reversed(ways):
        arrays = {
            name: rounded(getattr(case, name), place)
            for place, name in enumerate(floats)
        }
        yield replace(case, **arrays)


def whole(array: np.ndarray, place: int) -> np.ndarray:
    """Whole numbers from -2 to 2, without a -0."""
    return np.rint(stretched(array)).astype(array.dtype) + 0


def halves(array: np.ndarray, place: int) -> np.ndarray:
    """Multiples of a half."""
    return (np.rint(2 * stretched(array)) / 2).astype(array.dtype) + 0


def stretched(array: np.ndarray) -> np.ndarray:
    """In order of bytes, and with a largest entry of 2."""
    finite = np.nan_to_num(array, posinf=0, neginf=0).astype(float)
    return 2 * np.ascontiguousarray(finite) / max(abs(finite).max(), 1e-30)


def patterned(array: np.ndarray, place: int) -> np.ndarray:
    """Halves from -2.5 to 2.5, which a script can make."""
    return pattern(array.shape, place).astype(array.dtype)


def pattern(shape: tuple[int, ...], place: int) -> np.ndarray:
    steps = np.arange(prod(shape)) * (place + 2) % PERIOD - HALF
    return steps.reshape(shape) / 2


# --- a script ------------------------------------------------------------


def shown(comparison: Comparison, calls: list, seed=None) -> str:
    """A script that prints the wrong number, "" where there is none."""
    for call in reversed(calls):
        if call.gradients:
            line, script = slope_in(call, comparison), call.script(seed)
            if line and script:
                return f"{script}\n{line}\n"
            continue
        place = place_in(call.value, comparison)
        script = call.script(seed) if place else None
        if script is None:
            continue
        path, at = place
        index = "".join(f"[{step!r}]" for step in path)
        entry = f"[{', '.join(map(str, at))}]" if at else ""
        got, expected = numbers(comparison)
        return (
            f"{script}{index}\n"
            f"print(output{entry}.item())  # {got}, expected {expected}\n"
        )
    return ""


def slope_in(call, comparison: Comparison) -> str:
    """A line that prints the wrong gradient, or its slope along what a
    comparison says; "" where it is another call's."""
    label = comparison.path.removeprefix("slope along ")
    names = dict(
        zip(("d_query", "d_key", "d_value"), call.gradients, strict=False)
    )
    label = names.get(label, label)
    if label not in call.gradients:
        return ""
    got, expected = numbers(comparison)
    owner = label.removeprefix("parameter ")
    gradient = f"{owner}.grad"
    if owner != label:
        gradient = f"module.get_parameter({owner!r}).grad"
    if call.gradients[label] is None:
        return f"print({gradient})  # None, expected {expected}"
    said = f"  # {got}, expected {expected}"
    if not hasattr(comparison, "along"):
        _, at = place_in(call.gradients[label], comparison) or ((), ())
        return f"print({gradient}{list(at)}.item()){said}"
    along = written("along", comparison.along, "torch", "")
    slope = f"print(({gradient} * along).sum().item())"
    return along and f"{along}\n{slope}{said}"


def numbers(comparison: Comparison) -> tuple:
    """What was returned at the worst entry, and what was expected."""
    return tuple(
        np.asarray(side)[comparison.at].item()
        for side in (comparison.ours, comparison.theirs)
    )


def place_in(value, comparison: Comparison) -> tuple | None:
    """Where in a result the wrong number stands: a path and an index."""
    ours = np.asarray(comparison.ours)
    for path, array in arrays_in(value, ()):
        is_float = array.dtype.kind == "f" or array.dtype.name == BFLOAT16
        if array.size != ours.size or not is_float:
            continue
        narrowed = array.astype(ours.dtype)
        if np.array_equal(narrowed, ours, equal_nan=True):
            return path, comparison.at
        places = np.argwhere(narrowed == ours[comparison.at])
        if len(places) == 1:
            return path, tuple(places[0].tolist())
    return None


def arrays_in(value, path: tuple) -> Iterator[tuple[tuple, np.ndarray]]:
    """The arrays in a result, each with its path."""
    if isinstance(value, np.ndarray):
        yield path, value
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value[:8]):
            yield from arrays_in(part, (*path, index))
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from arrays_in(part, (*path, name))


def written(name: str, value, library: str, narrow: str) -> str | None:
    """`name = …` in Python, None for what cannot be written."""
    indent = len(name) + len(" = ")
    text = expression(value, library, narrow, indent)
    return None if text is None else f"{name} = {text}"


def expression(
    value, library: str, narrow: str = "", indent: int = 0
) -> str | None:
    """A value in Python, None for what cannot be written."""
    if isinstance(value, np.ndarray):
        return array_written(value, library, narrow, indent)
    if value is None or isinstance(value, bool | int | str):
        return repr(value)
    if isinstance(value, float):
        return finite_in_numpy(repr(value))
    if isinstance(value, tuple) and all(type(n) is int for n in value):
        return repr(value)
    if isinstance(value, dict):
        parts = [
            f"{key!r}: {expression(part, library, narrow, indent)}"
            for key, part in value.items()
        ]
        is_written = not any(part.endswith(": None") for part in parts)
        return f"{{{', '.join(parts)}}}" if is_written else None
    return None


def array_written(
    array: np.ndarray, library: str, narrow: str, indent: int
) -> str | None:
    """An array or a tensor in Python, None for what is too large."""
    if not array.flags.c_contiguous:
        return None
    dtype = narrow if narrow and array.dtype.kind == "f" else array.dtype
    made = pattern_written(array)
    if made is not None:
        is_torch = library == "torch"
        return (
            f"torch.from_numpy({made}).to(torch.{dtype})"
            if is_torch
            else f"({made}).astype({str(dtype)!r})"
        )
    if array.size > MOST_NUMBERS:
        return None
    if library == "jax":
        made = array_written(
            array, "numpy", narrow, indent + len("jnp.asarray(")
        )
        return made and f"jnp.asarray({made})"
    if library == "torch":
        numbers = nested(array, indent + len("torch.tensor("))
        return f"torch.tensor({numbers}, dtype=torch.{dtype})"
    numbers = nested(array, indent + len("np.array("))
    return f"np.array({numbers}, dtype={str(dtype)!r})"


def pattern_written(array: np.ndarray) -> str | None:
    """An expression for an array that has many numbers, or none."""
    if not array.size:
        return f"np.zeros({array.shape})"
    if array.size <= FEW_NUMBERS:
        return None
    if array.dtype == bool and array.all():
        return f"np.ones({array.shape}, bool)"
    for place in range(8):
        if np.array_equal(array, pattern(array.shape, place)):
            return (
                f"(np.arange({array.size}) * {place + 2} % {PERIOD} - "
                f"{HALF}).reshape{array.shape} / 2"
            )
    return None


def nested(array: np.ndarray, indent: int) -> str:
    """The numbers as nested lists, every digit of them."""
    with np.printoptions(
        threshold=sys.maxsize, floatmode="unique", linewidth=72
    ):
        text = np.array2string(array, separator=", ", prefix=" " * indent)
    return finite_in_numpy(text)


def finite_in_numpy(text: str) -> str:
    return text.replace("nan", "np.nan").replace("inf", "np.inf")
