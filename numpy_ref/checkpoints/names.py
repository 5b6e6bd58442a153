"""Name tables, one for each model: a checkpoint's names to ours, and back.

A row of the table names one tensor of theirs and where its numbers stand
with us. `{}` is the index of a block:

>>> row = Name("h.{}.c_attn.weight", ("{}.query", "{}.key"), "d d", True)
>>> for_blocks([row], 2)[1].ours
('1.query', '1.key')
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from math import prod
from typing import NamedTuple

import numpy as np
from numpy import ndarray as Array


class Name(NamedTuple):
    """A tensor of a checkpoint, and its dotted name with us, or several.

    `axes` are the sizes of each of ours, by name, or products of sizes.
    Theirs is transposed if `transposed` says so, and then split evenly
    along its first axis when there are several of ours. If `neighbours`
    says so, its rows are the features of heads in the order in which
    neighbours are a pair for RoPE, where with us halves are (`rotary`).
    """

    theirs: str
    ours: str | tuple[str, ...]
    axes: str
    transposed: bool = False
    neighbours: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        """Our names, in a tuple also where there is one."""
        return (self.ours,) if isinstance(self.ours, str) else self.ours


def with_bias(theirs: str, ours: str, axes: str) -> tuple[Name, Name]:
    """The two rows of a layer: its weight, and as long a bias."""
    return (
        Name(f"{theirs}.weight", f"{ours}.weight", axes),
        Name(f"{theirs}.bias", f"{ours}.bias", axes.split()[0]),
    )


def for_blocks(names: Iterable[Name], blocks: int) -> tuple[Name, ...]:
    """The rows, those with `{}` in them once for each block."""
    return tuple(
        numbered(name, index)
        for name in names
        for index in range(blocks if "{}" in name.theirs else 1)
    )


def numbered(name: Name, index: int) -> Name:
    """The row of one block."""
    parts = tuple(part.format(index) for part in name.parts)
    ours = parts[0] if isinstance(name.ours, str) else parts
    return name._replace(theirs=name.theirs.format(index), ours=ours)


def block_of(names: Iterable[Name]) -> str | None:
    """What the names of a block begin with; None for a shared one.

    >>> block_of([Name("wte", "", ""), Name("h.{}.ln.bias", "", "")])
    'h.{}'
    """
    starts = (name.theirs.partition("{}") for name in names)
    return next((before + mark for before, mark, _ in starts if mark), None)


def check_layers(
    field: str,
    layers: int,
    block: str,
    tensors: Iterable[str],
    place: str = "config.json",
) -> None:
    """Raise ValueError when a configuration counts other layers.

    It is done before anything is made for each of them. A layer in which
    a tensor is missing, or one of which but few are there, counts either
    way: `check_names` then says which.
    """
    numbered = re.compile(re.escape(block).replace(r"\{\}", r"(\d+)\."))
    counts = Counter(m[1] for m in map(numbered.search, tensors) if m)
    if not counts:
        raise ValueError(
            f"expected tensors named {block.format(0)}, got none of a layer"
        )
    whole = [*counts.values()].count(max(counts.values()))
    if not whole <= layers <= len(counts):
        raise ValueError(
            f"expected {field} in {place} to be {whole}, the number "
            f"of layers in the tensors' names, got {layers}"
        )


def check_finite(
    names: Iterable[Name], arrays: Mapping[str, Array]
) -> None:
    """Raise ValueError for weights that hold NaN or an infinity.

    All that is computed from them would be NaN, too.
    """
    spoiled = [
        name.theirs
        for name in names
        if not all(np.isfinite(arrays[part]).all() for part in name.parts)
    ]
    if spoiled:
        raise ValueError(
            "expected finite numbers in all tensors, got NaN or an "
            f"infinity in {len(spoiled)} of them, the first {spoiled[0]}"
        )


def their_shape(name: Name, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape that a row's tensor must have, by the sizes of its axes.

    >>> row = Name("c_attn.weight", ("query", "key"), "out in", True)
    >>> their_shape(row, {"in": 3, "out": 5})
    (3, 10)
    """
    first, *others = shape_of_parts(name, sizes)
    shape = (first * len(name.parts), *others)
    return shape[::-1] if name.transposed else shape


def our_shapes(
    names: Iterable[Name], sizes: Mapping[str, int]
) -> dict[str, tuple[int, ...]]:
    """The shape of each of our arrays, by the sizes of its axes."""
    return {
        part: shape_of_parts(name, sizes)
        for name in names
        for part in name.parts
    }


def shape_of_parts(name: Name, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape of each of ours that a row names.

    >>> row = Name("k_proj", "key", "key_heads*d_head d_model")
    >>> shape_of_parts(row, {"key_heads": 3, "d_head": 4, "d_model": 5})
    (12, 5)
    """
    return tuple(
        prod(sizes[factor] for factor in axis.split("*"))
        for axis in name.axes.split()
    )


def to_ours(
    names: Iterable[Name], theirs: Mapping[str, Array], d_head: int = 0
) -> dict[str, Array]:
    """A checkpoint's tensors under our names, sharing their memory.

    But for those whose features are moved within heads of width `d_head`.
    """
    arrays = {}
    for name in names:
        tensor = theirs[name.theirs]
        whole = tensor.T if name.transposed else tensor
        if name.neighbours:
            whole = transposed_heads(whole, d_head // 2, 2)
        parts = np.split(whole, len(name.parts))
        arrays |= dict(zip(name.parts, parts, strict=True))
    return arrays


def to_theirs(
    names: Iterable[Name], ours: Mapping[str, Array], d_head: int = 0
) -> dict[str, Array]:
    """Our arrays as the checkpoint has them: undoes `to_ours`."""
    tensors = {}
    for name in names:
        whole = np.concatenate([ours[part] for part in name.parts])
        if name.neighbours:
            whole = transposed_heads(whole, 2, d_head // 2)
        tensors[name.theirs] = whole.T if name.transposed else whole
    return tensors


def transposed_heads(rows: Array, first: int, second: int) -> Array:
    """The rows of each head, numbered along a second axis for the first.

    Pairs of neighbours become halves with two features in each of `first`
    pairs, and halves become neighbours with `first` 2 and as many pairs:

    >>> transposed_heads(np.arange(6), 3, 2)
    array([0, 2, 4, 1, 3, 5])
    >>> transposed_heads(np.array([0, 2, 4, 1, 3, 5]), 2, 3)
    array([0, 1, 2, 3, 4, 5])
    """
    heads = rows.reshape(-1, first, second, *rows.shape[1:])
    return heads.swapaxes(1, 2).reshape(rows.shape)
