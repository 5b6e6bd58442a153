"""State dicts: parameters by dotted names, as `nn.Module` has them.

`heads.0.query.weight` is `params.heads[0].query.weight`, on both sides.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import get_args, get_origin

from numpy import ndarray as Array


def state_dict(params) -> dict[str, Array]:
    """State dict: every array of a dataclass, by its dotted name."""
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
    named = (
        enumerate(value)
        if isinstance(value, tuple)
        else vars(value).items()
    )
    for part, member in named:
        yield from _named_arrays(member, _dotted(name, part))


def _built(kind, name, arrays):
    """What stands under `name`: a dataclass, a tuple of them, an array."""
    if is_dataclass(kind):
        parts = {
            f.name: (f.type, _dotted(name, f.name)) for f in fields(kind)
        }
        return kind(**{p: _built(*parts[p], arrays) for p in parts})
    if get_origin(kind) is UnionType:
        return _built(_fitting(get_args(kind), name, arrays), name, arrays)
    if get_origin(kind) is tuple:
        indices = range(_count(name, arrays))
        member = get_args(kind)[0]
        return tuple(
            _built(member, _dotted(name, i), arrays) for i in indices
        )
    if name not in arrays:
        raise ValueError(
            f"expected an array named {name}, got {', '.join(arrays)}"
        )
    return arrays[name]


def _fitting(kinds, name, arrays):
    """The kind whose fields stand under `name`; the first if none."""
    inside = {
        key.removeprefix(f"{name}.")
        for key in arrays
        if key.startswith(f"{name}.")
    }
    fitting = (k for k in kinds if {f.name for f in fields(k)} == inside)
    return next(fitting, kinds[0])


def _dotted(name, part):
    return f"{name}.{part}" if name else str(part)


def _count(name, arrays):
    """How many indices follow `name` in the names of the arrays."""
    inside = [key for key in arrays if key.startswith(f"{name}.")]
    return len(
        {key.removeprefix(f"{name}.").split(".")[0] for key in inside}
    )
