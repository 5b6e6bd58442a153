"""Safetensors: a folder with the tensors of a model.

Either one file, `model.safetensors`, or several that an index names. A
tensor is read only when it is needed: its shape and its dtype are known
before. Pickles are refused, because reading one can run any code.

Names come without what a wrapper has put before all of them, and a tensor
that is stored once for two names comes under both.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from numpy import ndarray as Array

from ..files import read_json, write_whole

FILE, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
FLOATS = {"F16": "float16", "BF16": "bfloat16"} | {
    "F32": "float32",
    "F64": "float64",
}

# As many rows as are copied at a time.
ROWS = 128

# What DataParallel and torch.compile put before the names of a model.
WRAPPERS = re.compile(r"((module|_orig_mod)\.)*")


@dataclass(frozen=True, eq=False)
class Stored:
    """A tensor that still stands in its file, by its name there."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    file: object
    path: Path

    def read(self, dtype: str | None = None) -> Array:
        """The tensor as an array: as it is stored, or in another dtype.

        A bfloat16 becomes the float32 that equals it.
        """
        if self.dtype == "BF16":
            tensor = widened(stored_bits(self.path, self.name))
            tensor = tensor.reshape(self.shape)
        else:
            tensor = self.file.get_tensor(self.name)
        # What is too large becomes an infinity: `check_finite` says so.
        with np.errstate(over="ignore"):
            return tensor.astype(dtype or tensor.dtype, copy=False)


def widened(bits: Array) -> Array:
    """bfloat16 to float32, exactly: NumPy has no bfloat16.

    It is a float32 without the lower 16 of its 32 bits: the sign, all 8
    bits of the exponent, and 7 instead of 23 of the fraction.

    >>> widened(np.array([0x3F80, 0xC020], np.uint16))
    array([ 1. , -2.5], dtype=float32)
    """
    return (bits.astype(np.uint32) << 16).view(np.float32)


def stored_bits(path: Path, name: str) -> Array:
    """The numbers of a tensor of 16 bits each, as they stand in the file.

    A file begins with the length of its header, in 8 bytes; the header
    says where, after it, each tensor begins and ends.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        begin, end = json.loads(file.read(length))[name]["data_offsets"]
        file.seek(8 + length + begin)
        return np.frombuffer(file.read(end - begin), "<u2")


def keep_freed_memory() -> None:
    """Have the C library keep what arrays give back, for the next ones.

    A forward makes some megabytes of arrays, and its caller drops them.
    glibc hands freed memory back to the system beyond twice the largest
    block that it has seen freed, blocks of up to 32 MB counted; each page
    of 4 KB that the next forward then asks for again costs about 2 µs.
    This frees one such block, which no one ever wrote to. With another C
    library it changes nothing. Source: mallopt(3), M_MMAP_THRESHOLD.
    """
    np.empty(31 << 20, np.uint8)


def side_by_side(
    shapes: Mapping[str, tuple[int, ...]], dtype: str
) -> dict[str, Array]:
    """Arrays to be filled, one after the other in one block of memory.

    Writing a token reads all of them, each once, to multiply it with one
    vector. That is faster by a tenth in one block, since NumPy asks for
    large pages of memory for large arrays only, and by up to a quarter
    when the longer axis runs fastest, since the inner loop is longer.
    """
    counts = [prod(shape) for shape in shapes.values()]
    room = np.empty(sum(counts), dtype)
    parts = np.split(room, np.cumsum(counts)[:-1])
    return {
        name: part.reshape(shape)
        if shape[0] <= shape[-1]
        else part.reshape(shape[::-1]).T
        for part, (name, shape) in zip(parts, shapes.items(), strict=True)
    }


def fill(array: Array, numbers: Array) -> None:
    """Fill an array row by row, some rows at a time.

    Where its rows are not what runs fastest, all at once would take twice
    as long: of each line of memory but one number would be written.
    """
    for row in range(0, len(array), ROWS):
        array[row : row + ROWS] = numbers[row : row + ROWS]


def stored_tensors(folder: str | Path) -> dict[str, Stored]:
    """The tensors of a checkpoint by their names, unread.

    Where there are both, the one file counts, as for transformers: an
    index beside it is older. Raises ValueError for a folder without
    safetensors, or with pickles only, for a file that is cut off, for an
    index that does not say what its files hold, and for a wrapper's
    prefix that only some names have.
    """
    folder = Path(folder)
    if (folder / FILE).is_file():
        return unwrapped(tensors_of(folder / FILE))
    if (folder / INDEX).is_file():
        return unwrapped(indexed_tensors(folder))
    pickles = sorted(
        path.name for kind in PICKLES for path in folder.glob(kind)
    )
    if pickles:
        raise ValueError(
            f"expected {FILE} in {folder}, got {', '.join(pickles)}: "
            "pickles, which can run any code when they are read; "
            "`save_pretrained` of transformers writes safetensors"
        )
    raise ValueError(f"expected {FILE} or {INDEX} in {folder}, got neither")


def tensors_of(path: Path) -> dict[str, Stored]:
    """The tensors of one file, unread, also under their other names.

    Of tied tensors `save_model` of safetensors keeps one, and writes into
    the header which names it has left out for which.
    """
    from safetensors import SafetensorError, safe_open

    try:
        # A mapped file would stand in memory beside the arrays.
        file = safe_open(path, framework="numpy", backend="pread")
        names = file.keys()
        slices = {name: file.get_slice(name) for name in names}
        header = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"expected {path} to be a whole safetensors file, got {error}"
        ) from error
    tensors = {
        name: Stored(
            name, tuple(part.get_shape()), part.get_dtype(), file, path
        )
        for name, part in slices.items()
    }
    left_out = {n: kept for n, kept in header.items() if kept in tensors}
    return {n: tensors[kept] for n, kept in left_out.items()} | tensors


def unwrapped(tensors: Mapping[str, Stored]) -> dict[str, Stored]:
    """Names without the prefix of a wrapper, as `module.` is one.

    Raises ValueError when not all names have the same.
    """
    prefixes = {name: WRAPPERS.match(name)[0] for name in tensors}
    longest = max(prefixes.values(), key=len, default="")
    others = [name for name, own in prefixes.items() if own != longest]
    if others:
        raise ValueError(
            f"expected all names to begin with {longest}, as some do, "
            f"got {min(others)}{and_others(others)}"
        )
    return {n.removeprefix(longest): t for n, t in tensors.items()}


def under_first_name(
    tensors: Mapping[str, Stored], tied: Mapping[str, str]
) -> dict[str, Stored]:
    """Tied tensors that are stored once: under the first of their names.

    `tied` has the second name of each, and then the first. A file holds
    either; one that holds both is left as it is.
    """
    once = {
        second: first
        for second, first in tied.items()
        if second in tensors
        and tensors.get(first, tensors[second]) is tensors[second]
    }
    return {once.get(n, n): tensor for n, tensor in tensors.items()}


def indexed_tensors(folder: Path) -> dict[str, Stored]:
    """The tensors of all files that the index names.

    Raises ValueError when a tensor is not in the file that it should be
    in, and when a file has one that the index does not know.
    """
    places = read_json(folder / INDEX).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise ValueError(
            f"expected weight_map in {folder / INDEX}, got {places!r}"
        )
    tensors, inside = {}, {}
    for file in sorted(set(map(str, places.values()))):
        if Path(file).name != file or not (folder / file).is_file():
            raise ValueError(
                f"expected the files of {INDEX} in {folder}, "
                f"got none named {file}"
            )
        of_file = tensors_of(folder / file)
        tensors |= of_file
        # The index need not know a tensor's other names.
        names = [
            n for n, t in of_file.items() if n == t.name or n in places
        ]
        inside |= dict.fromkeys(names, file)
    check_places(places, inside)
    return tensors


def check_places(places: dict[str, str], inside: dict[str, str]) -> None:
    """Raise ValueError for a tensor that is not where the index says."""
    for name in sorted(places.keys() | inside.keys()):
        if places.get(name) != inside.get(name):
            raise ValueError(
                f"expected {name} in {places.get(name, 'no file')}, as "
                f"{INDEX} says, got it in {inside.get(name, 'none')}"
            )


def check_dtype(dtype: str) -> None:
    """Raise ValueError for a dtype that weights are not read in."""
    if dtype not in ("float32", "float64"):
        raise ValueError(f"expected float32 or float64, got {dtype}")


def check_shape(
    name: str, got: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    """Raise ValueError unless a tensor has that shape."""
    if got != shape:
        raise ValueError(
            f"expected {name} to have the shape {shape}, got {got}"
        )


def check_stored(tensor: Stored, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless a tensor holds floats and has that shape."""
    check_shape(tensor.name, tensor.shape, shape)
    check_floats(tensor)


def check_floats(tensor: Stored) -> None:
    """Raise ValueError unless a tensor holds floats."""
    if tensor.dtype not in FLOATS:
        raise ValueError(
            f"expected {tensor.name} to be one of "
            f"{', '.join(FLOATS.values())}, got {tensor.dtype}"
        )


def check_names(
    expected: set[str], stored: set[str], ignored: set[str]
) -> None:
    """Raise ValueError for a tensor that is missing, or one too many."""
    missing = sorted(expected - stored)
    if missing:
        raise ValueError(
            f"expected a tensor named {missing[0]}, got none of that name"
            f"{and_others(missing)}"
        )
    unknown = sorted(stored - expected - ignored)
    if unknown:
        raise ValueError(
            f"expected no tensors but the model's, got also {unknown[0]}"
            f"{and_others(unknown)}"
        )


def and_others(names: list[str]) -> str:
    """How many there are besides the first."""
    return f", and {len(names) - 1} more" if len(names) > 1 else ""


def write(
    path: str | Path,
    tensors: Mapping[str, Array],
    header: Mapping[str, str] | None = None,
) -> None:
    """Write tensors as safetensors, wholly or not at all.

    `header` is text that stands in the file besides them.
    """
    from safetensors.numpy import save

    dense = {
        name: np.ascontiguousarray(tensor)
        for name, tensor in tensors.items()
    }
    metadata = {"format": "pt", **(header or {})}
    write_whole(Path(path), save(dense, metadata=metadata))
