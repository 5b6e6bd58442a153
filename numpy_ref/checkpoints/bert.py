"""A BERT from its checkpoint: `config.json` and safetensors."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy import ndarray as Array

from ..bert import Bert, MaskedLanguageHead, Pooler
from ..parameters import from_state_dict
from .bert_config import FIELDS, BertConfig, read_config
from .bert_names import BLOCK, TIED, ignored_in, names_in, tied_in
from .names import (
    Name,
    check_finite,
    check_layers,
    their_shape,
    to_ours,
)
from .tensors import (
    Stored,
    check_dtype,
    check_names,
    check_stored,
    keep_freed_memory,
    stored_tensors,
    under_first_name,
)


@dataclass(frozen=True, eq=False)
class BertCheckpoint:
    """A model; a pooler and a head where the checkpoint has them.

    `ignored` are the tensors that were left out on purpose.
    """

    config: BertConfig
    model: Bert
    pooler: Pooler | None
    head: MaskedLanguageHead | None
    ignored: tuple[str, ...]


def load_bert(folder: str | Path, dtype: str = "float32") -> BertCheckpoint:
    """Load the BERT of a folder, in float32 or float64.

    Raises ValueError for a folder that holds none, naming the tensor or
    the field that is not as expected, for weights that are not finite,
    and for another dtype.
    """
    check_dtype(dtype)
    keep_freed_memory()
    config = read_config(folder)
    tensors = stored_tensors(folder)
    check_layers(FIELDS["layers"], config.layers, BLOCK, tensors)
    if config.tied:
        tensors = under_first_name(tensors, tied_in(tensors))
    names = names_in(tensors, config)
    ignored = ignored_in(tensors, names)
    check_names({name.theirs for name in names}, {*tensors}, ignored)
    for name in names:
        shape = their_shape(name, vars(config))
        check_stored(tensors[name.theirs], shape)
    check_tied(tensors, names)
    arrays = read_arrays(names, tensors, dtype)
    check_finite(names, arrays)
    return BertCheckpoint(
        config,
        part(Bert, "model.", arrays),
        part(Pooler, "pooler.", arrays),
        part(MaskedLanguageHead, "head.", arrays),
        tuple(sorted(ignored)),
    )


def read_arrays(
    names: Iterable[Name], tensors: Mapping[str, Stored], dtype: str
) -> dict[str, Array]:
    """A checkpoint under our names; a tied head shares the embedding."""
    arrays = to_ours(
        names,
        {n.theirs: laid_out(n, tensors[n.theirs], dtype) for n in names},
    )
    if "head.norm.weight" in arrays:
        embedding = arrays["model.embedding.token.weight"]
        arrays.setdefault("head.decoder.weight", embedding)
    return arrays


def laid_out(name: Name, tensor: Stored, dtype: str) -> Array:
    """A tensor in memory: a layer's weight column by column.

    It is multiplied transposed, which is then faster by a tenth. A row of
    an embedding is looked up, and stays whole.
    """
    order = "C" if "embedding" in name.ours else "F"
    return np.asarray(tensor.read(dtype), order=order)


def check_tied(
    tensors: Mapping[str, Stored], names: Iterable[Name]
) -> None:
    """Raise ValueError when a tied head differs from the embedding."""
    known = {name.ours: name.theirs for name in names}
    for again, ours in TIED.items():
        if again in tensors and again not in known.values():
            once = tensors[known[ours]]
            if not np.array_equal(tensors[again].read(), once.read()):
                raise ValueError(
                    f"expected {again} to equal {once.name}, which it is "
                    "tied to, got other numbers"
                )


def part(kind: type, start: str, arrays: Mapping[str, Array]):
    """A part of the model: the arrays whose names begin so, or None."""
    own = {
        name.removeprefix(start): array
        for name, array in arrays.items()
        if name.startswith(start)
    }
    return from_state_dict(kind, own) if own else None
