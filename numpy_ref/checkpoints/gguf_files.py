"""GGUF: one file with a model, its tokenizer and its settings.

First come named values, then the names, shapes and places of the tensors,
then their numbers, most of them quantised. `gguf` turns these into floats
again, each tensor when it is needed.

The head of the file is read here: `gguf` reads a vocabulary of 49,152
tokens number by number, and takes thirty times as long.
Source: the specification in ggml, docs/gguf.md.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import gcd, prod
from mmap import ACCESS_READ, mmap
from pathlib import Path

import numpy as np
from numpy import ndarray as Array

MAGIC, VERSIONS, ALIGNMENT = b"GGUF", (2, 3), 32

# The kinds of values by their numbers, those of one size as in `struct`.
NUMBERS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
TEXT, LIST = 8, 9
MOST_AXES = 4

# Blocks that gguf is given as one row: with a tensor's own rows, of 18 or
# so, it takes twice as long.
LONG_ROW = 256


@dataclass(frozen=True, eq=False)
class GgufTensor:
    """A tensor that still stands in its file: `Stored`, but quantised.

    `dtype` is gguf's name of its quantisation; F32 and F16 are none.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    path: Path
    offset: int

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape of its bytes: a row is a number of whole blocks."""
        from gguf import GGMLQuantizationType, quant_shape_to_byte_shape

        return quant_shape_to_byte_shape(
            self.shape, GGMLQuantizationType[self.dtype]
        )

    def read(self, dtype: str | None = None) -> Array:
        """The tensor as an array: in float32, or in another dtype.

        Raises ValueError for a quantisation that gguf cannot undo.
        """
        stored = np.fromfile(
            self.path,
            np.uint8,
            prod(self.stored_shape),
            offset=self.offset,
        )
        tensor = undone(stored, self.name, self.dtype).reshape(self.shape)
        return tensor.astype(dtype or tensor.dtype, copy=False)


def undone(stored: Array, name: str, kind_name: str) -> Array:
    """The bytes of a tensor as float32, block by block."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

    kind = GGMLQuantizationType[kind_name]
    _, size = GGML_QUANT_SIZES[kind]
    row = size * gcd(len(stored) // size, LONG_ROW)
    try:
        return dequantize(stored.reshape(-1, row), kind)
    except NotImplementedError:
        raise ValueError(
            f"expected {name} in a quantisation that gguf can undo, "
            f"got {kind_name}"
        ) from None


def check_undone(tensors: Iterable[GgufTensor]) -> None:
    """Raise ValueError for a quantisation that gguf cannot undo.

    One block of each is tried, before anything large is read.
    """
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    for kind, name in {t.dtype: t.name for t in tensors}.items():
        _, size = GGML_QUANT_SIZES[GGMLQuantizationType[kind]]
        undone(np.zeros(size, np.uint8), name, kind)


@dataclass(frozen=True, eq=False)
class Gguf:
    """A GGUF file: its values by their names, and its tensors, unread."""

    path: Path
    metadata: dict[str, object]
    tensors: Mapping[str, GgufTensor]


def open_gguf(path: str | Path) -> Gguf:
    """Open a GGUF: its values are read, its tensors are not.

    One that has been opened last and is as it was is not read again.
    Raises ValueError for a file that is none, or is cut short, and
    ModuleNotFoundError when gguf is not installed.
    """
    import gguf  # noqa: F401  what is missing is said before all else

    path = Path(path)
    try:
        status = path.stat()
        return opened(path, status.st_size, status.st_mtime_ns)
    except (ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"expected {path} to be a whole GGUF file, got {reason}"
        ) from error


@lru_cache(maxsize=1)
def opened(path: Path, size: int, changed: int) -> Gguf:
    """A file of this size that was changed at this time, in ns."""
    with path.open("rb") as file:
        if file.read(4) != MAGIC:
            raise ValueError("one that does not begin with GGUF")
        with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            return read_gguf(path, Cursor(data, len(MAGIC)))


class Cursor:
    """A place in a file's bytes: whatever is read there moves it on."""

    def __init__(self, data: mmap, place: int):
        self.data = data
        self.place = place

    def numbers(self, letter: str, count: int = 1) -> tuple:
        """The next numbers, little-endian, of one kind of `struct`."""
        layout = f"<{count}{letter}"
        try:
            found = struct.unpack_from(layout, self.data, self.place)
        except struct.error:
            raise ValueError(
                f"one that is cut short: at byte {self.place} should "
                f"stand {count} numbers"
            ) from None
        self.place += struct.calcsize(layout)
        return found

    def text(self) -> str:
        """The next text, which begins with its length."""
        (length,) = self.numbers("Q")
        start, self.place = self.place, self.place + length
        if self.place > len(self.data):
            raise ValueError(
                f"one that is cut short: at byte {start} should stand a "
                f"text of {length}"
            )
        return self.data[start : self.place].decode()

    def value(self) -> object:
        """The next value, of the kind that stands before it."""
        (kind,) = self.numbers("I")
        if kind == LIST:
            kind, count = *self.numbers("I"), *self.numbers("Q")
            return self.values(kind, count)
        return self.values(kind, 1)[0]

    def values(self, kind: int, count: int) -> list:
        """The next values of one kind, numbers or texts."""
        if kind == TEXT:
            return [self.text() for _ in range(count)]
        if kind not in NUMBERS:
            raise ValueError(f"one with a value of the unknown kind {kind}")
        return [*self.numbers(NUMBERS[kind], count)]


def read_gguf(path: Path, cursor: Cursor) -> Gguf:
    """The values of a file and its tensors, unread, from behind GGUF."""
    (version,) = cursor.numbers("I")
    if version not in VERSIONS:
        raise ValueError(
            f"version {version}, which is none of {VERSIONS}, or is "
            "big-endian"
        )
    tensors, values = cursor.numbers("Q", 2)
    metadata = distinct(
        (cursor.text(), cursor.value()) for _ in range(values)
    )
    heads = distinct(tensor_head(cursor) for _ in range(tensors))
    alignment = metadata.get("general.alignment", ALIGNMENT)
    if type(alignment) is not int or alignment < 1:
        raise ValueError(f"one with the alignment {alignment!r}")
    begin = -(-cursor.place // alignment) * alignment
    stored = {
        name: GgufTensor(name, shape, kind.name, path, begin + offset)
        for name, (shape, kind, offset) in heads.items()
    }
    for tensor in stored.values():
        check_inside(tensor, len(cursor.data))
    return Gguf(path, metadata, stored)


def distinct(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    """A dictionary of names that no two of the pairs share."""
    named = {}
    for name, value in pairs:
        if name in named:
            raise ValueError(f"one that has {name} twice")
        named[name] = value
    return named


def tensor_head(cursor: Cursor):
    """A tensor's name; and its shape, quantisation and offset.

    The axis that runs fastest stands first there, and last with us.
    """
    from gguf import GGMLQuantizationType

    name = cursor.text()
    (axes,) = cursor.numbers("I")
    if not 1 <= axes <= MOST_AXES:
        raise ValueError(f"one with {axes} axes of {name}")
    shape = cursor.numbers("Q", axes)[::-1]
    (kind,) = cursor.numbers("I")
    (offset,) = cursor.numbers("Q")
    if kind not in {*GGMLQuantizationType}:
        raise ValueError(
            f"one with {name} in a quantisation that gguf does not know, "
            f"number {kind}"
        )
    return name, (shape, GGMLQuantizationType(kind), offset)


def check_inside(tensor: GgufTensor, size: int) -> None:
    """Raise ValueError for a tensor that goes on past the file's end."""
    end = tensor.offset + prod(tensor.stored_shape)
    if end > size:
        raise ValueError(
            f"one that is cut short: {tensor.name} would end at byte "
            f"{end:,} of {size:,}"
        )
