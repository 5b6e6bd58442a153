"""Replaying: each call of the twin, made once more in NumPy, compared.

A bound covers one function. So each call that the twin was made of is
*replayed*: the reference is called with the very inputs that the twin's
call got, and each named local must be within the bound for that one call.
Errors do not pile up, and a step far inside a model is held as tightly
as one on its own.
"""

import inspect
from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import cache

import numpy as np
import torch

from numpy_ref.parameters import from_state_dict
from parity_tests.exact import exact_steps

from .case import tuple_of
from .comparing import Comparison, compare_step, expect_equal, is_float
from .finding import find_twins, namesake
from .recording import Call, record


@cache
def references() -> dict[str, object]:
    """The functions of `numpy_ref` that have a twin, by name."""
    return {twin.name: twin.reference for twin in find_twins()}


def compare(calls: list[Call]) -> Iterator[Comparison]:
    """Compare each named step of the twin's calls with its replay.

    Raises AssertionError when the steps or their dtypes and shapes differ,
    and when a step is in another precision than what came in.
    """
    for call in calls:
        arguments, params = to_numpy(call.arguments), numpy_params(call)
        ours = replay(call.name, arguments, params)
        expect_equal(call.path, "steps", list(ours.steps), list(call.steps))
        theirs = to_numpy(call.steps)
        exact = {}
        if any(map(is_float, ours.steps.values())):
            exact = exact_steps(call.name, arguments, params)
        for name, value in ours.steps.items():
            if is_dataclass(value):
                continue  # the parameters of one turn of a loop
            path = f"{call.path}/{name}"
            if is_float(value) and name not in exact:
                raise LookupError(
                    f"expected {path} to be described in exact"
                )
            expected = exact[name] if is_float(value) else None
            yield compare_step(path, value, theirs[name], expected)


def replay(name: str, arguments: dict, params) -> Call:
    """Replay: the call of `numpy_ref`'s function `name` on these inputs."""
    holder = {} if params is None else {"params": params}
    _, calls = record(references()[name], **arguments, **holder)
    return calls[0]


def to_numpy(value):
    """To NumPy: tensors as arrays that share memory, inside of anything."""
    if isinstance(value, torch.Tensor):
        return _array_of(value.detach().cpu())
    if isinstance(value, dict):
        return {key: to_numpy(member) for key, member in value.items()}
    if isinstance(value, list):
        return [to_numpy(member) for member in value]
    if isinstance(value, tuple):
        kind = namesake(type(value), "numpy_ref")
        return tuple_of(kind, map(to_numpy, value))
    return value


def _array_of(tensor: torch.Tensor) -> np.ndarray:
    if tensor.dtype != torch.bfloat16:
        return tensor.numpy()
    import ml_dtypes

    return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)


def numpy_params(call: Call):
    """The parameters of the twin's call, as its reference takes them."""
    if call.holder is None:
        return None
    signature = inspect.signature(references()[call.name])
    kind = signature.parameters["params"].annotation
    return from_state_dict(kind, to_numpy(call.holder.state_dict()))
