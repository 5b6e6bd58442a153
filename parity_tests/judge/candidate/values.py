"""Values: arrays as a candidate wants them, and back to NumPy's.

PyTorch and JAX are imported only for a candidate of theirs.
"""

import sys
from collections import namedtuple
from collections.abc import Callable
from dataclasses import fields, is_dataclass, make_dataclass
from functools import cache
from types import SimpleNamespace

import numpy as np

from .wire import (
    BFLOAT16,
    Other,
    Record,
    dtype_called,
    laid_over,
    members_of,
    reach_of,
)

CONFIGURATION, IDENTITY = "=configuration", "=identity"
NO_NUMBERS = "on the device meta, outputs hold no numbers"
HOLDER = "=holder"  # of what is given as attributes
OBJECT = "=object"  # of a class of the file, the same in several calls


class Configuration(SimpleNamespace):
    """Sizes under all of their names, as attributes and as entries."""

    def __getitem__(self, name: str):
        return vars(self)[name]

    def __contains__(self, name: str) -> bool:
        return name in vars(self)

    def __iter__(self):
        return iter(vars(self))

    def keys(self):
        return vars(self).keys()

    def get(self, name: str, default=None):
        return vars(self).get(name, default)


def identity(x, *others, **named):
    """Stands where a dropout layer is expected."""
    return x


class Converter:
    """Values for a candidate: of its library, in 16 bits where wanted,
    and on a device where one is named.

    `visible` are the names of the candidate's file, among which the
    classes of `Record`s are looked up.
    """

    def __init__(
        self, library: str, narrow: str = "", visible=None, device: str = ""
    ):
        self.library, self.narrow = library, narrow
        self.visible, self.device = visible or {}, device

    def given(self, value):
        """A plain value as the candidate gets it."""
        if isinstance(value, np.ndarray):
            return self.array(value)
        if members := members_of(value):
            name, is_tuple, parts = members
            return self.record(Record(name, is_tuple, **parts))
        if isinstance(value, list | tuple):
            return type(value)(map(self.given, value))
        if isinstance(value, dict):
            return {name: self.given(part) for name, part in value.items()}
        return value

    def array(self, array: np.ndarray):
        is_float = array.dtype.kind == "f"
        if self.library != "torch":
            if self.narrow and is_float:
                array = array.astype(dtype_called(self.narrow))
            is_jax = self.library == "jax"
            return to_jax(array, self.device) if is_jax else array
        tensor = to_tensor(array)
        if self.narrow and is_float:
            import torch

            tensor = tensor.to(getattr(torch, self.narrow))
        return tensor.to(self.device) if self.device else tensor

    def record(self, record: Record):
        """In the candidate's own class of that name, if it has one."""
        name = record.record_name
        if name == IDENTITY:
            return identity
        if name == CONFIGURATION:
            return Configuration(**record.members)
        members = {n: self.given(v) for n, v in record.members.items()}
        if name == HOLDER:
            return SimpleNamespace(**members)
        kind = self.class_called(name, set(members))
        if record.is_tuple:
            return (kind or namedtuple(name, members))(**members)
        if kind is None or self.library == "torch":
            kind = record_class(name, tuple(members))
        return kind(**members)

    def class_called(self, name: str, members: set[str]):
        """The class of that name and with these members, where loaded."""
        places = [self.visible]
        for package in ("numpy_ref", "torch_impl"):
            places += [
                vars(loaded)
                for module, loaded in list(sys.modules.items())
                if module.startswith(package)
            ]
        for place in places:
            kind = place.get(name)
            if isinstance(kind, type) and members_are(kind, members):
                return kind
        return None


@cache
def record_class(name: str, members: tuple[str, ...]) -> type:
    """A dataclass of that name, for a file that has none."""
    return make_dataclass(name, members)


def members_are(kind: type, members: set[str]) -> bool:
    if is_dataclass(kind):
        return {field.name for field in fields(kind)} == members
    return set(getattr(kind, "_fields", ())) == members


def copied(value):
    """A copy of a value, in which arrays keep their strides."""
    if isinstance(value, np.ndarray):
        return copied_array(value)
    if isinstance(value, Record):
        parts = {n: copied(part) for n, part in value.members.items()}
        return Record(value.record_name, value.is_tuple, **parts)
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(*(copied(part) for part in vars(value).values()))
    if isinstance(value, list | tuple):
        make = getattr(type(value), "_make", type(value))
        return make([copied(part) for part in value])
    if isinstance(value, dict):
        return {name: copied(part) for name, part in value.items()}
    return value


def copied_array(array: np.ndarray) -> np.ndarray:
    if array.flags.c_contiguous or min(array.strides, default=0) < 0:
        return array.copy()
    strides = [stride // array.itemsize for stride in array.strides]
    base = np.zeros(reach_of(array.shape, strides), array.dtype)
    copy = laid_over(base, array.shape, strides)
    copy[...] = array
    return copy


def to_jax(array: np.ndarray, device: str = ""):
    """An array of JAX, in whose precision float64 may be float32."""
    import jax

    given = jax.numpy.asarray(array.copy())  # whose memory it may share
    if not device:
        return given
    return jax.device_put(given, jax.devices(device)[0])


def to_tensor(array: np.ndarray):
    """An array as a tensor that shares its memory, where that goes."""
    import torch

    if array.dtype.name == BFLOAT16:  # which is not NumPy's own
        return to_tensor(array.view(np.int16)).view(torch.bfloat16)
    shares = array.flags.writeable and min(array.strides, default=0) >= 0
    return torch.from_numpy(array if shares else array.copy())


def returned(value, narrow: str = "", depth: int = 0):
    """What a candidate returned, its tensors as arrays.

    A tensor of bfloat16 comes back as float32, which holds each of its
    numbers, unless that is the type of 16 bits that was asked for.
    """
    if depth > 10:
        return Other("a structure that is too deep")

    def part_of(part):
        return returned(part, narrow, depth + 1)

    if hasattr(value, "detach") and hasattr(value, "cpu"):
        return array_of_tensor(value.detach(), narrow)
    if isinstance(value, np.ndarray | np.generic):
        return value if type(value) is np.ndarray else np.asarray(value)[()]
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value)]
        return record_of(value, False, names, part_of)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return record_of(value, True, value._fields, part_of)
    if isinstance(value, list | tuple):
        kind = list if isinstance(value, list) else tuple
        return kind(map(part_of, value))
    if isinstance(value, dict):
        return {name: part_of(part) for name, part in value.items()}
    if isinstance(value, SimpleNamespace):
        return record_of(value, False, vars(value), part_of)
    if hasattr(value, "__array__"):
        return np.asarray(value)
    return value


def array_of_tensor(tensor, narrow: str) -> np.ndarray:
    """The numbers of a tensor, from whichever device."""
    if tensor.is_meta:
        raise NotImplementedError(NO_NUMBERS)
    tensor = tensor.cpu().resolve_conj().resolve_neg()
    if "bfloat16" not in str(tensor.dtype):
        return tensor.numpy()
    wide = tensor.float().numpy()
    return wide.astype(dtype_called(BFLOAT16)) if narrow else wide


def record_of(value, is_tuple: bool, names, part_of: Callable) -> Record:
    """A dataclass, or a named tuple, member by member."""
    members = {name: part_of(getattr(value, name)) for name in names}
    return Record(type(value).__name__, is_tuple, **members)
