"""From a stranger's function to a `Subject`: names, arrays, options.

Arguments are found by the names that the field uses, and else by their
order. What has a default and is not known is left alone.
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
        named = [one_of(plain, names) for names in (QUERY, KEY, VALUE)]
        if None in named:
            named = plain[:3]
        if len(named) < 3:
            raise ValueError(
                "expected a query, a key and a value, got "
                f"({', '.join(plain)})"
            )
        others = [name for name in plain if name not in named]
        mask, causal = one_of(others, MASK), one_of(others, CAUSAL)
        scale, dropout = one_of(others, SCALE), one_of(others, DROPOUT)
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
                "expected a default for what is no query, key, value or "
                f"mask, got none for {', '.join(sorted(unknown))}"
            )
        fixed = {}
        if dropout and is_number(parameters[dropout].default):
            fixed = {dropout: 0.0}
        needs = mask in required
        return cls(tuple(named), mask, needs, causal, scale, fixed)


def is_number(default) -> bool:
    """Whether it is one, or there is no default to tell."""
    return default is inspect.Parameter.empty or isinstance(
        default, int | float
    )


def one_of(names: list[str], known: tuple[str, ...]) -> str | None:
    """The first name that is a known one, in any case of its letters."""
    return next((name for name in names if name.lower() in known), None)


def is_for_torch(function: Callable) -> bool:
    """Whether PyTorch is among the things that a function can see."""
    plain = inspect.unwrap(function)
    seen = getattr(plain, "__globals__", {}).values()
    names = [str(getattr(value, "__name__", "")) for value in seen]
    annotations = getattr(function, "__annotations__", {}).values()
    return any(name.split(".")[0] == "torch" for name in names) or any(
        "torch" in str(annotation) for annotation in annotations
    )


def with_line(function: Callable) -> Callable:
    """The function; what it raises also says in which line of its file."""

    @wraps(function)
    def called(*values, **named):
        try:
            return function(*values, **named)
        except (Exception, SystemExit) as error:
            alike = type(type(error).__name__, (Exception,), {})
            raise alike(with_its_line(error, file_of(function))) from error

    return called


def file_of(function: Callable) -> str:
    """The file that a function stands in, "" where that is unknown."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code.co_filename if code else ""


def with_its_line(error: BaseException, file: str) -> str:
    """What an error says, and the last line that was reached in a file.

    In a notebook lines are counted anew in each cell: none is told.
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
    """What was raised, and in which line of a file."""
    return f"raised {type(error).__name__}: {with_its_line(error, file)}"


def as_step(
    function: Callable, reference: Callable, kind: str | None
) -> Callable:
    """A stranger's step, called with NumPy values by the reference's names.

    It gets them in the reference's order. One of NumPy in a file that
    has PyTorch, too, raises when it gets tensors, and then gets arrays.
    Raises ValueError when it does not take as many.
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
    """Arrays as tensors, in a dataclass of parameters, too."""
    if is_dataclass(value):
        members = {n: all_tensors(v) for n, v in vars(value).items()}
        return SimpleNamespace(**members)
    if isinstance(value, tuple):
        return tuple(map(all_tensors, value))
    return to_tensor(value)


def all_arrays(value):
    """Tensors as arrays, in a tuple or a list, too."""
    if isinstance(value, tuple | list):
        return type(value)(map(all_arrays, value))
    return to_array(value)


def to_tensor(value):
    """An array as a tensor that shares its memory; all else as it is."""
    import torch

    if not isinstance(value, np.ndarray):
        return value
    shares = value.flags.writeable and min(value.strides, default=0) >= 0
    return torch.from_numpy(value if shares else value.copy())


def to_array(value):
    """A tensor as an array, the first of several; all else as it is."""
    if isinstance(value, tuple | list) and value:
        value = value[0]
    if hasattr(value, "detach"):
        return value.detach().cpu().numpy()
    if hasattr(value, "__array__") and not isinstance(value, np.ndarray):
        return np.asarray(value)
    return value
