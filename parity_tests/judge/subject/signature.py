"""The signature of an unknown function: arguments, arrays, options.

Arguments are recognised by the names that the field uses, otherwise by
their order. An unknown argument with a default is left alone.
"""

import inspect
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, is_dataclass
from functools import wraps
from traceback import walk_tb
from types import SimpleNamespace

import numpy as np

QUERY = ("query", "q", "queries")
KEY = ("key", "k", "keys")
VALUE = ("value", "v", "values")
MASK = ("mask", "attn_mask", "attention_mask", "m")
CAUSAL = ("is_causal", "causal")
SCALE = ("scale", "scaling")
DROPOUT = ("dropout", "dropout_p", "p_dropout", "rate", "dropout_rate")


@dataclass(frozen=True)
class Arguments:
    """Which of a function's parameters is what; None where it has none."""

    tensors: tuple[str, str, str]
    mask: str | None
    mask_is_needed: bool
    causal: str | None
    scale: str | None
    fixed: dict[str, object]

    @classmethod
    def of(cls, function: Callable) -> "Arguments":
        """Raises ValueError unless it takes a query, a key and a value."""
        parameters = inspect.signature(function).parameters
        plain = [
            name
            for name, parameter in parameters.items()
            if parameter.kind
            not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]
        named = [first_known(plain, names) for names in (QUERY, KEY, VALUE)]
        if None in named:
            named = plain[:3]
        if len(named) < 3:
            raise ValueError(
                "expected a query, a key and a value, got "
                f"({', '.join(plain)})"
            )
        others = [name for name in plain if name not in named]
        mask, causal = (
            first_known(others, MASK),
            first_known(others, CAUSAL),
        )
        scale, dropout = (
            first_known(others, SCALE),
            first_known(others, DROPOUT),
        )
        known = {mask, causal, dropout}
        required = [
            name
            for name in others
            if parameters[name].default is inspect.Parameter.empty
        ]
        if mask is None and required and required[0] not in known:
            mask = required[0]  # the fourth is the mask, whatever its name
        unknown = {*required} - known - {mask}
        if unknown:
            raise ValueError(
                "expected a default for every argument but query, key, "
                "value and mask, got none for "
                f"{', '.join(sorted(unknown))}"
            )
        fixed = {}
        if dropout and is_number(parameters[dropout].default):
            fixed = {dropout: 0.0}
        needs = mask in required
        return cls(tuple(named), mask, needs, causal, scale, fixed)


def is_number(default) -> bool:
    """Whether a default is a number, or there is no default."""
    return default is inspect.Parameter.empty or isinstance(
        default, int | float
    )


def first_known(names: list[str], known: tuple[str, ...]) -> str | None:
    """The first name that is known, in upper or lower case."""
    return next((name for name in names if name.lower() in known), None)


def is_for_torch(function: Callable) -> bool:
    """Whether PyTorch is among the globals or annotations of a function."""
    plain = inspect.unwrap(function)
    visible = getattr(plain, "__globals__", {}).values()
    names = [str(getattr(value, "__name__", "")) for value in visible]
    annotations = getattr(function, "__annotations__", {}).values()
    return any(name.split(".")[0] == "torch" for name in names) or any(
        "torch" in str(annotation) for annotation in annotations
    )


def with_line(function: Callable) -> Callable:
    """The function, whose errors also give the line of its file."""

    @wraps(function)
    def called(*values, **named):
        try:
            return function(*values, **named)
        except (Exception, SystemExit) as error:
            namesake = type(type(error).__name__, (Exception,), {})
            raise namesake(
                with_its_line(error, file_of(function))
            ) from error

    return called


def file_of(function: Callable) -> str:
    """The file that defines a function, "" where it is unknown."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code.co_filename if code else ""


def with_its_line(error: BaseException, file: str) -> str:
    """An error's message, with the last line that was reached in a file.

    In a notebook every cell counts its own lines, so none is given.
    """
    lines = [
        line
        for frame, line in walk_tb(error.__traceback__)
        if frame.f_code.co_filename == file
    ]
    if not lines or file.endswith(".ipynb"):
        return str(error)
    return f"{error} (line {lines[-1]})"


def raised(error: BaseException, file: str) -> str:
    """Which error was raised, and in which line of a file."""
    return f"raised {type(error).__name__}: {with_its_line(error, file)}"


def as_step(
    function: Callable, reference: Callable, kind: str | None
) -> Callable:
    """A function as a step, called by the reference's argument names.

    It gets NumPy values, in the reference's order. A function for NumPy
    in a file that also uses PyTorch raises when it gets tensors, and is
    then called with arrays. Raises ValueError if it takes another number
    of arguments.
    """
    names = list(inspect.signature(reference).parameters)
    try:
        inspect.signature(function).bind(*names)
    except TypeError:
        got = ", ".join(inspect.signature(function).parameters)
        raise ValueError(
            f"expected the arguments ({', '.join(names)}), got ({got})"
        ) from None
    torch = kind == "torch" or (kind is None and is_for_torch(function))

    def step(**arguments):
        values = [arguments[name] for name in names]
        if not torch:
            return all_arrays(function(*values))
        try:
            return all_arrays(function(*map(all_tensors, values)))
        except Exception as error:
            if kind is None:
                with suppress(Exception):
                    return all_arrays(function(*values))
            raise error

    return step


def all_tensors(value):
    """Arrays as tensors, also inside a dataclass of parameters."""
    if is_dataclass(value):
        members = {n: all_tensors(v) for n, v in vars(value).items()}
        return SimpleNamespace(**members)
    if isinstance(value, tuple):
        return like(value, map(all_tensors, value))
    return to_tensor(value)


def all_arrays(value):
    """Tensors as arrays, also inside a tuple or a list."""
    if isinstance(value, tuple | list):
        return like(value, map(all_arrays, value))
    return to_array(value)


def like(value: tuple | list, members):
    """Members as such a tuple or list; a named tuple takes each."""
    return getattr(type(value), "_make", type(value))(members)


def to_tensor(value):
    """An array as a tensor that shares its memory; all else as it is."""
    import torch

    if not isinstance(value, np.ndarray):
        return value
    shares = value.flags.writeable and min(value.strides, default=0) >= 0
    return torch.from_numpy(value if shares else value.copy())


def to_array(value):
    """A tensor, or the first of several, as an array; else as it is."""
    if isinstance(value, tuple | list) and value:
        value = value[0]
    if hasattr(value, "detach"):
        return value.detach().cpu().numpy()
    if hasattr(value, "__array__") and not isinstance(value, np.ndarray):
        return np.asarray(value)
    return value
