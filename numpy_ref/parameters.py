"""Parameters by their dotted names, as `nn.Module.state_dict` spells them.

`heads.0.query.weight` is `params.heads[0].query.weight`, on both sides.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import get_args

from numpy import ndarray as Array


def state_dict(params) -> dict[str, Array]:
    """Every array of a dataclass of parameters, by its dotted name."""
    return dict(_named_arrays(params, ""))


def from_state_dict(kind: type, arrays: Mapping[str, Array]):
    """The dataclass `kind` made of arrays with dotted names.

    Raises ValueError when a name is missing or left over, and when the
    arrays of one layer do not fit each other.
    """
    params = _built(kind, "", arrays)
    unknown = arrays.keys() - state_dict(params).keys()
    if unknown:
        raise ValueError(
            f"{kind.__name__}: expected {', '.join(state_dict(params))}, "
            f"got also {', '.join(sorted(unknown))}"
        )
    return params


def _named_arrays(value, name):
    if isinstance(value, Array):
        yield name, value
        return
    dot = "." if name else ""
    for part, member in _members(value):
        yield from _named_arrays(member, f"{name}{dot}{part}")


def _members(value):
    return (
        enumerate(value)
        if isinstance(value, tuple)
        else vars(value).items()
    )


def _built(kind, name, arrays):
    if is_dataclass(kind):
        dot = "." if name else ""
        return kind(
            **{
                field.name: _built(
                    field.type, f"{name}{dot}{field.name}", arrays
                )
                for field in fields(kind)
            }
        )
    if get_args(kind):
        (member, _) = get_args(kind)
        numbers = {
            int(key.removeprefix(f"{name}.").split(".")[0])
            for key in arrays
            if key.startswith(f"{name}.")
        }
        return tuple(
            _built(member, f"{name}.{number}", arrays)
            for number in range(len(numbers))
        )
    if name not in arrays:
        raise ValueError(
            f"expected an array named {name}, got {', '.join(arrays)}"
        )
    return arrays[name]
