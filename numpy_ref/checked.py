"""Checks of shape and dtype, by a function's own annotations.

`@checked` checks the outermost call only; the steps inside it, when one
fails. By value no array is checked, except indices and lengths, which would
be misread in silence. A number's range is checked by the step that uses it.
"""

import inspect
import operator
from contextvars import ContextVar
from dataclasses import is_dataclass
from functools import wraps
from math import inf
from typing import get_args, get_origin

from jaxtyping import AbstractArray, AbstractDtype, Float, jaxtyped
from numpy import ndarray as Array

_inside = ContextVar("inside", default=False)
IN_HALF = "numpy_ref.variants.half_precision computes in half"


class Half(AbstractDtype):
    """A float of 16 bits: bfloat16 (of ml_dtypes) or float16."""

    dtypes = ("bfloat16", "float16")


def checked(function):
    """Check shapes and dtypes: ValueError for an array that does not fit.

    Arrays fit when their dtype and their axes are as annotated, a name
    meaning the same size throughout, and all floats have one dtype: a
    `Float` is float32 or float64, since a half would be widened on the
    way, in silence. A class is checked when it is made, by its fields.
    """
    if inspect.isclass(function):
        function.__init__ = checked(function.__init__)
        return function
    signature = inspect.signature(function)

    @wraps(function)
    def call(*args, **kwargs):
        if _inside.get():
            try:
                return function(*args, **kwargs)
            except Exception:
                _check(signature.bind(*args, **kwargs), function)
                raise
        bound = signature.bind(*args, **kwargs)
        _check(bound, function)
        token = _inside.set(True)
        try:
            return function(*bound.args, **bound.kwargs)
        finally:
            _inside.reset(token)

    return call


def check_indices(name: str, indices: Array, count: int) -> None:
    """Raise ValueError for an index that is not one of 0 ... count - 1."""
    outside = indices[(indices < 0) | (indices >= count)]
    if outside.size:
        raise ValueError(
            f"expected {name} from 0 to {count - 1}, got {outside.flat[0]}"
        )


def check_at_least(name: str, number: int, least: int) -> None:
    """Raise ValueError when `number` is below `least`."""
    if number < least:
        raise ValueError(
            f"expected {name} to be at least {least}, got {number}"
        )


def check_all_at_least(name: str, numbers: Array, least: int) -> None:
    """Raise ValueError when one of `numbers` is below `least`."""
    below = numbers[numbers < least]
    if below.size:
        raise ValueError(
            f"expected {name} to be at least {least}, got {below.flat[0]}"
        )


def check_between(name: str, number: int, least: int, most: int) -> None:
    """Raise ValueError unless `number` is from `least` to `most`."""
    if not least <= number <= most:
        raise ValueError(
            f"expected {name} to be from {least} to {most}, got {number}"
        )


def check_not_negative(name: str, number: float) -> None:
    """Raise ValueError unless `number` is finite and at least 0."""
    if not 0 <= number < inf:
        raise ValueError(
            f"expected {name} to be finite and at least 0, got {number}"
        )


def check_positive(name: str, number: float) -> None:
    """Raise ValueError unless `number` is finite and above 0."""
    if not 0 < number < inf:
        raise ValueError(
            f"expected {name} to be finite and above 0, got {number}"
        )


def check_rate(name: str, rate: float) -> None:
    """Raise ValueError for a rate that leaves nothing, or is none."""
    if not 0 <= rate < 1:
        raise ValueError(
            f"expected {name} to be at least 0 and below 1, got {rate}"
        )


def check_probability(name: str, probability: float) -> None:
    """Raise ValueError unless `probability` is from 0 to 1."""
    if not 0 <= probability <= 1:
        raise ValueError(
            f"expected {name} to be from 0 to 1, got {probability}"
        )


def check_equal(name: str, number: int, expected: int) -> None:
    """Raise ValueError when `number` is not the expected one."""
    if number != expected:
        raise ValueError(f"expected {name} to be {expected}, got {number}")


def check_divides(part: str, size: int, whole: str, total: int) -> None:
    """Raise ValueError when `size` does not divide `total`."""
    if size < 1 or total % size:
        raise ValueError(
            f"expected {part} to divide {whole} {total}, got {size}"
        )


def check_even(name: str, number: int) -> None:
    """Raise ValueError for an odd number."""
    if number % 2:
        raise ValueError(f"expected {name} to be even, got {number}")


def _check(bound: inspect.BoundArguments, function) -> None:
    """Raise ValueError for what does not fit; make numbers plain ones."""
    name = function.__qualname__.removesuffix(".__init__")
    fitting = []
    with jaxtyped("context"):
        for argument, value, annotation in _arguments(bound):
            _check_precision(
                f"{name}: expected {argument}", value, annotation
            )
            # A named tuple fits by its fields, whoever has defined it.
            named = getattr(annotation, "_fields", None)
            fits = (
                isinstance(value, annotation)
                if named is None
                else getattr(value, "_fields", None) == named
            )
            if not fits:
                expected = _as_annotated(annotation)
                raise ValueError(
                    f"{name}: expected {argument}: {expected}"
                    f"{_beside(fitting)}, got {_described(value)}"
                )
            fitting.append((argument, value, annotation))
    for argument, value, annotation in _in_lists(bound):
        _check_precision(f"{name}: expected {argument}", value, annotation)
    _check_dtypes(bound, name)
    _make_plain(bound, name)


def _check_precision(expected: str, value, annotation) -> None:
    """Raise ValueError for a half that would be widened, or no half."""
    if not isinstance(value, Array) or not _is_array_type(annotation):
        return
    is_half = value.dtype.name in Half.dtypes
    if annotation.dtypes == Float.dtypes and is_half:
        raise ValueError(
            f"{expected}: float32 or float64, got {_described(value)}; "
            f"{IN_HALF}"
        )
    if annotation.dtypes == Half.dtypes and not is_half:
        raise ValueError(
            f"{expected}: bfloat16 or float16, got {_described(value)}"
        )


def _beside(fitting: list[tuple]) -> str:
    """In words, what has fitted, and so given the axes their sizes."""
    parts = ", ".join(
        f"{argument} {_described(value)} {_as_annotated(annotation)}"
        for argument, value, annotation in fitting
    )
    return f" beside {parts}" * bool(parts)


def _check_dtypes(bound: inspect.BoundArguments, name: str) -> None:
    dtypes = {}
    for argument, value in bound.arguments.items():
        for dtype in _float_dtypes(value):
            dtypes.setdefault(dtype, argument)
    if len(dtypes) > 1:
        got = " and ".join(f"{dtypes[dtype]} {dtype}" for dtype in dtypes)
        raise ValueError(f"{name}: expected one float dtype, got {got}")


def _make_plain(bound: inspect.BoundArguments, name: str) -> None:
    """int and float as Python's own: NumPy's would widen a float32."""
    for argument, value in bound.arguments.items():
        annotation = bound.signature.parameters[argument].annotation
        plain = {int: operator.index, float: float}.get(annotation)
        try:
            bound.arguments[argument] = plain(value) if plain else value
        except TypeError:
            raise ValueError(
                f"{name}: expected {argument}: {annotation.__name__}, "
                f"got {_described(value)}"
            ) from None


def _arguments(bound: inspect.BoundArguments):
    """(name, value, annotation) of what can be checked: arrays and text."""
    for name, value in bound.arguments.items():
        if is_dataclass(value) and name == "params":
            for field, annotation in type(value).__annotations__.items():
                if _is_array_type(annotation):
                    yield field, getattr(value, field), annotation
        annotation = bound.signature.parameters[name].annotation
        yield from _arrays_in(name, value, annotation)


def _arrays_in(name: str, value, annotation):
    """An argument that can be checked, then what it is made of."""
    named = hasattr(annotation, "_fields")
    if named or _is_array_type(annotation) or annotation is str:
        yield name, value, annotation
    if named:
        for field, kind in annotation.__annotations__.items():
            yield from _arrays_in(
                f"{name}.{field}", getattr(value, field), kind
            )
    kind, *rest = get_args(annotation) or [None]
    if rest == [...] and isinstance(value, tuple):
        for index, member in enumerate(value):
            yield from _arrays_in(f"{name}[{index}]", member, kind)


def _in_lists(bound: inspect.BoundArguments):
    """The same of members of lists, whose axes have sizes of their own."""
    for name, value in bound.arguments.items():
        annotation = bound.signature.parameters[name].annotation
        if get_origin(annotation) is list and isinstance(value, list):
            (kind,) = get_args(annotation)
            for index, member in enumerate(value):
                yield from _arrays_in(f"{name}[{index}]", member, kind)


def _float_dtypes(value) -> set:
    if isinstance(value, Array):
        is_half = value.dtype.name in Half.dtypes  # bfloat16 is no "f"
        is_float = is_half or value.dtype.kind == "f"
        return {value.dtype} if is_float else set()
    if isinstance(value, list | tuple):
        return set().union(*map(_float_dtypes, value))
    if is_dataclass(value):  # of one dtype, or it had not been made
        parts = map(_float_dtypes, vars(value).values())
        return next(filter(None, parts), set())
    return set()


def _is_array_type(annotation) -> bool:
    return inspect.isclass(annotation) and issubclass(
        annotation, AbstractArray
    )


def _as_annotated(annotation) -> str:
    if annotation is str or hasattr(annotation, "_fields"):
        return annotation.__name__
    kind = annotation.__name__.split("[")[0]
    return f'{kind} "{annotation.dim_str.strip()}"'


def _described(value) -> str:
    if isinstance(value, Array):
        return f"{value.dtype.name} {value.shape}"
    return type(value).__name__
