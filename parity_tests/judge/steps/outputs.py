"""The output of a step, checked before anything is done with it."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass

import numpy as np

from parity_tests.judge.candidate.wire import Record
from parity_tests.judge.verdict.protocol import (
    Broken,
    Lost,
    NotAsked,
    Raised,
)

from .cases import plain


def fitting(function: Callable, reference: Callable) -> Callable:
    """The function, raising Broken unless it returns what the reference
    does: the same kinds, shapes and precision."""

    def call(**arguments):
        expected = reference(**arguments)
        return as_expected(answer_of(function, arguments), expected)

    def inputs_after(arguments):
        return answer_of(function.inputs_after, {"arguments": arguments})

    call.inputs_after = inputs_after
    return call


def answer_of(function: Callable, arguments: dict):
    """A call of foreign code, whose errors are `Raised`."""
    try:
        with np.errstate(all="ignore"):
            return function(**arguments)
    except (Lost, NotAsked, Raised):
        raise
    except (Exception, SystemExit) as error:
        kind = type(error).__name__
        raise Raised({"type": kind, "text": str(error)}) from error


def as_expected(got, expected):
    """The output, if it is of the expected kind; raises Broken if not."""
    if isinstance(got, Record):
        got = of_our_class(got, expected)
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
        raise of_another_type(got, expected)
    if is_dataclass(expected):
        for field in fields(expected):
            name = field.name
            as_expected(getattr(got, name), getattr(expected, name))
    return got


def of_another_type(got, expected) -> Broken:
    name, expected_name = type(got).__name__, type(expected).__name__
    return Broken(f"returned {name}, expected {expected_name}")


def in_pairs(got, expected):
    """Part by part, if there are as many. Raises Broken if not."""
    if len(got) != len(expected):
        raise Broken(f"returned {len(got)} parts, expected {len(expected)}")
    return zip(got, expected, strict=True)


def of_our_class(got, expected):
    """Records in the classes that the reference returns, by their names;
    anything else as it is."""
    if isinstance(got, tuple | list) and isinstance(expected, tuple | list):
        pairs = in_pairs(got, expected)
        return type(got)(of_our_class(*pair) for pair in pairs)
    if not isinstance(got, Record):
        return got
    kind = type(expected)
    names = getattr(kind, "_fields", ())
    if is_dataclass(kind):
        names = [field.name for field in fields(kind)]
    if got.record_name != kind.__name__ or {*names} != {*got.members}:
        raise Broken(
            f"returned {got.record_name}, expected {kind.__name__}"
        )
    return kind(
        **{
            name: of_our_class(part, getattr(expected, name))
            for name, part in got.members.items()
        }
    )


def kind(value) -> str:
    """NumPy's letter for the kind of an array; "" for anything else."""
    return value.dtype.kind if isinstance(value, np.ndarray) else ""


def members(got, expected):
    """A tuple or a list, part by part."""
    if not isinstance(got, tuple | list):
        raise of_another_type(got, expected)
    pairs = in_pairs(got, expected)
    # A named tuple takes its members one by one.
    make = getattr(type(expected), "_make", type(expected))
    return make([as_expected(*pair) for pair in pairs])


def checked_output(
    context, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """The output, if it is a valid one; raises Broken if not."""
    if not isinstance(context, np.ndarray):
        raise Broken(
            f"returned {type(context).__name__}, expected an array"
        )
    if context.shape != shape:
        raise Broken(f"returned shape {context.shape}, expected {shape}")
    if context.dtype == np.float64 and dtype == np.float32:
        return context.astype(dtype)  # wider: reported, but not wrong
    if context.dtype != dtype:
        raise Broken(f"returned {context.dtype}, expected {dtype}")
    return context
