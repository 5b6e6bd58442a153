"""Wire: plain values and raw arrays over a pipe, and nothing that runs.

A frame is two lengths, a head in JSON and the bytes of the arrays that
the head refers to. No object is ever made from a frame but numbers, text,
lists, dicts, arrays and `Record`s: what comes from a judged file is data.
"""

import json
import os
import select
import struct
import time
from dataclasses import fields, is_dataclass
from math import inf, prod
from types import SimpleNamespace

import numpy as np

LENGTHS = struct.Struct("<IQ")  # of the head, of the arrays
MOST_HEAD, MOST_BYTES = 2**24, 2**29
MOST_PARTS, DEEPEST = 100_000, 20
LONGEST = 20_000  # characters of a text
KINDS = "biufc"  # of arrays that are carried
BFLOAT16 = "bfloat16"  # which NumPy itself does not know


class Broken(Exception):
    """A frame that is none, or too large; the other side is not heard."""


class Silent(Exception):
    """No frame within the time that was given."""


class Closed(Exception):
    """The other side has closed the pipe."""


class Record(SimpleNamespace):
    """A dataclass or a named tuple, by its name and its members.

    `record_name` is its class; `is_tuple` tells a named tuple.
    """

    def __init__(self, record_name: str, is_tuple: bool, /, **members):
        super().__init__(**members)
        object.__setattr__(self, "_record", (record_name, is_tuple))

    @property
    def record_name(self) -> str:
        return self._record[0]

    @property
    def is_tuple(self) -> bool:
        return self._record[1]

    @property
    def members(self) -> dict:
        return {n: v for n, v in vars(self).items() if n != "_record"}


class Other:
    """A value that the wire does not carry, by the name of its type."""

    def __init__(self, kind: str):
        self.kind = kind

    def __repr__(self) -> str:
        return f"<{self.kind}>"


# --- frames --------------------------------------------------------------


def send(descriptor: int, value, deadline: float = inf) -> None:
    """Write a value as one frame. Raises Broken, Silent or Closed."""
    write_all(descriptor, framed(value), deadline)


def framed(value) -> list[bytes]:
    """The parts of a frame. Raises Broken if it is too large."""
    encoder = Encoder()
    head = json.dumps(encoder.encoded(value)).encode()
    if len(head) > MOST_HEAD:
        raise Broken(f"a value of {len(head)} bytes is too large")
    lengths = LENGTHS.pack(len(head), encoder.offset)
    return [lengths, head, *encoder.buffers]


def write_all(
    descriptor: int, parts: list[bytes], deadline: float = inf
) -> None:
    """Write all parts, though the other side may not read.

    A pipe that is ready for writing takes a piece without waiting.
    """
    for part in parts:
        view = memoryview(part)
        while view:
            wait_for([], [descriptor], deadline)
            try:
                written = os.write(descriptor, view[: select.PIPE_BUF])
            except BlockingIOError:  # somebody else has filled it
                continue
            except BrokenPipeError:
                raise Closed from None
            view = view[written:]


def receive(descriptor: int, deadline: float = inf):
    """Read the value of one frame; `deadline` is one of `time.monotonic`.

    Raises Silent, Closed or Broken.
    """
    head_length, size = LENGTHS.unpack(
        read_all(descriptor, LENGTHS.size, deadline)
    )
    if head_length > MOST_HEAD or size > MOST_BYTES:
        raise Broken(f"a frame of {head_length + size} bytes is too large")
    head = read_all(descriptor, head_length, deadline)
    data = read_all(descriptor, size, deadline)
    try:
        return Decoder(data).decoded(json.loads(head))
    except Broken:
        raise
    except Exception as error:  # whatever else is wrong with foreign data
        raise Broken(f"a frame cannot be read: {error}") from None


def read_all(descriptor: int, size: int, deadline: float) -> bytearray:
    data = bytearray()
    while len(data) < size:
        wait_for([descriptor], [], deadline)
        try:
            part = os.read(descriptor, min(size - len(data), 2**20))
        except BlockingIOError:  # somebody else has read it
            continue
        if not part:
            raise Closed
        data += part
    return data


def wait_for(reading: list, writing: list, deadline: float) -> None:
    """Until one of the descriptors is ready. Raises Silent."""
    left = None if deadline == inf else deadline - time.monotonic()
    if left is not None and left <= 0:
        raise Silent
    if not any(select.select(reading, writing, [], left)):
        raise Silent


# --- values --------------------------------------------------------------


class Encoder:
    """Values as JSON; arrays go into `buffers`, one after the other."""

    def __init__(self):
        self.buffers: list[bytes] = []
        self.offset = self.parts = 0

    def encoded(self, value, depth: int = 0):
        self.parts += 1
        if depth > DEEPEST or self.parts > MOST_PARTS:
            return {"other": "a structure that is too large"}
        if isinstance(value, np.ndarray | np.generic):
            return self.array(value)  # first: a np.float64 is a float, too
        if value is None or isinstance(value, bool | float | int):
            return plain_number(value)
        if isinstance(value, str):
            return value[:LONGEST]
        if isinstance(value, bytes):
            return {"bytes": value[:LONGEST].hex()}
        if isinstance(value, Other):
            return {"other": value.kind[:200]}
        return self.container(value, depth + 1)

    def container(self, value, depth: int):
        if members := members_of(value):
            name, is_tuple, parts = members
            inner = {n: self.encoded(v, depth) for n, v in parts.items()}
            return {"record": [name, is_tuple, inner]}
        if isinstance(value, list | tuple):
            kind = "list" if isinstance(value, list) else "tuple"
            return {kind: [self.encoded(part, depth) for part in value]}
        if isinstance(value, dict):
            pairs = [
                [self.encoded(key, depth), self.encoded(part, depth)]
                for key, part in value.items()
            ]
            return {"dict": pairs}
        return {"other": type(value).__name__}

    def array(self, value):
        """dtype, shape, strides in entries, and where its bytes begin.

        Strides are kept, as some code depends on them.
        """
        array = np.asarray(value)
        if array.dtype.kind not in KINDS and array.dtype.name != BFLOAT16:
            return {"other": f"an array of {array.dtype}"[:200]}
        if self.offset + array.nbytes > MOST_BYTES:
            return {"other": f"an array of {array.nbytes} bytes"}
        strides = strides_of(array)
        if strides is not None:
            reach = reach_of(array.shape, strides)
            base = np.zeros(reach, array.dtype)
            laid_over(base, array.shape, strides)[...] = array
        else:
            base = np.ascontiguousarray(array)
        data = base.tobytes()
        self.buffers.append(data)
        start, self.offset = self.offset, self.offset + len(data)
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        return {kind: [name_of(array), array.shape, strides, start]}


class Decoder:
    """The values of a frame, of which `data` has the arrays' bytes."""

    def __init__(self, data: bytearray):
        self.data = data

    def decoded(self, head):
        if isinstance(head, str):
            return head[:LONGEST]
        if isinstance(head, list):
            raise Broken("a frame has a list of no kind")
        if not isinstance(head, dict):
            return head
        ((kind, content),) = head.items()
        match kind:
            case "int":
                return int(content)
            case "list":
                return [self.decoded(part) for part in content]
            case "tuple":
                return tuple(self.decoded(part) for part in content)
            case "dict":
                return dict(map(self.decoded, pair) for pair in content)
            case "record":
                name, is_tuple, members = content
                return Record(
                    str(name),
                    bool(is_tuple),
                    **{n: self.decoded(v) for n, v in members.items()},
                )
            case "array":
                return self.array(*content)
            case "scalar":
                return self.array(*content)[()]
            case "bytes":
                return bytes.fromhex(content)
            case "other":
                return Other(str(content)[:200])
        raise Broken(f"a frame has a {kind!r}")

    def array(self, dtype, shape, strides, start) -> np.ndarray:
        dtype = dtype_called(dtype)
        if dtype.kind not in KINDS and dtype.name != BFLOAT16:
            raise Broken(f"a frame has an array of {dtype}")
        if not 0 <= prod(shape) * dtype.itemsize <= MOST_BYTES:
            raise Broken(f"a frame has an array of shape {shape}")
        count = prod(shape) if strides is None else reach_of(shape, strides)
        flat = np.frombuffer(self.data, dtype, count, start)
        if strides is None:
            return flat.reshape(shape)
        return laid_over(flat, shape, strides)


def name_of(array: np.ndarray) -> str:
    """Its dtype, for the wire."""
    is_known = array.dtype.name != BFLOAT16
    return array.dtype.str if is_known else BFLOAT16


def dtype_called(name: str) -> np.dtype:
    """The dtype of that name; that of bfloat16 needs ml_dtypes."""
    if name != BFLOAT16:
        return np.dtype(name)
    import ml_dtypes

    return np.dtype(ml_dtypes.bfloat16)


def plain_number(value):
    """A number as JSON has it; an int beyond 64 bits as text."""
    if not isinstance(value, int) or value.bit_length() <= 63:
        return value
    if value.bit_length() > 1000:
        return {"other": f"a number of {value.bit_length()} bits"}
    return {"int": str(int(value))}


def strides_of(array: np.ndarray) -> list[int] | None:
    """Strides in entries, None where the bytes are to be in order."""
    if array.flags.c_contiguous or min(array.strides) < 0:
        return None
    strides = [stride // array.itemsize for stride in array.strides]
    reach = reach_of(array.shape, strides) * array.itemsize
    return strides if reach <= max(4 * array.nbytes, 2**20) else None


def reach_of(shape, strides) -> int:
    """How many entries lie between the first and the last, with both."""
    if 0 in shape:
        return 0
    steps = zip(shape, strides, strict=True)
    return 1 + sum((size - 1) * stride for size, stride in steps)


def laid_over(base: np.ndarray, shape, strides) -> np.ndarray:
    """The entries of `base` in this shape, by strides in entries."""
    in_bytes = [stride * base.itemsize for stride in strides]
    if len(base) < reach_of(shape, strides) or min(strides) < 0:
        raise Broken("a frame has an array outside of its bytes")
    return np.lib.stride_tricks.as_strided(base, shape, in_bytes)


def members_of(value) -> tuple[str, bool, dict] | None:
    """Name, whether it is a tuple, and members; None if it is no record."""
    if isinstance(value, Record):
        return value.record_name, value.is_tuple, value.members
    name = type(value).__name__
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value)]
        return name, False, {n: getattr(value, n) for n in names}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return name, True, dict(zip(value._fields, value, strict=True))
    if type(value) is SimpleNamespace:
        return name, False, vars(value)
    return None
