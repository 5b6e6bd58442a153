"""A BERT from its checkpoint: `config.json` and safetensors.

Or a relative: what differs stands in `roberta`, `distilbert`, `albert`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy import ndarray as Array

from ..bert import (
    Bert,
    EncoderBlock,
    Layer,
    MaskedLanguageHead,
    Pooler,
)
from ..parameters import from_state_dict
from ..variants.albert import Albert
from ..variants.distilbert import DistilBert
from .architecture import BertConfig
from .bert_config import read_config
from .bert_names import ignored_in, names_in, tied_in
from .names import (
    Name,
    block_of,
    check_finite,
    check_layers,
    their_shape,
    to_ours,
)
from .relatives import inputs_of
from .roberta import without_padding_rows
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
    model: Bert | DistilBert | Albert
    pooler: Pooler | None
    head: MaskedLanguageHead | None
    ignored: tuple[str, ...]


def load_bert(
    folder: str | Path,
    dtype: str = "float32",
    watch: Callable[[tuple[Name, ...]], Iterable[Name]] = iter,
) -> BertCheckpoint:
    """Load the BERT of a folder, or its relative, in float32 or float64.

    Its `config.architecture.title` says which it is. The names of the
    tensors pass through `watch` as each is read, which may show them.
    Raises ValueError for a folder that holds none, naming the tensor or
    the field that is not as expected, for weights that are not finite,
    and for another dtype.
    """
    check_dtype(dtype)
    keep_freed_memory()
    config = read_config(folder)
    tensors = stored_tensors(folder)
    architecture = config.architecture
    block = block_of(architecture.names)
    if block is not None:
        check_layers(
            architecture.fields["layers"], config.layers, block, tensors
        )
    if config.tied:
        tied = tied_in(tensors, architecture)
        tensors = under_first_name(tensors, tied)
    names = names_in(tensors, config)
    ignored = ignored_in(tensors, names, architecture)
    check_names({name.theirs for name in names}, {*tensors}, ignored)
    for name in names:
        shape = their_shape(name, vars(config))
        check_stored(tensors[name.theirs], shape)
    check_tied(tensors, names, architecture.tied)
    arrays = read_arrays(names, tensors, config, dtype, watch)
    check_finite(names, arrays)
    return BertCheckpoint(
        config,
        part(architecture.parameters, "model.", arrays),
        part(Pooler, "pooler.", arrays),
        part(MaskedLanguageHead, "head.", arrays),
        tuple(sorted(ignored)),
    )


def read_arrays(
    names: Iterable[Name],
    tensors: Mapping[str, Stored],
    config: BertConfig,
    dtype: str,
    watch: Callable[[tuple[Name, ...]], Iterable[Name]],
) -> dict[str, Array]:
    """A checkpoint under our names; a tied head shares the embedding."""
    arrays = to_ours(
        names,
        {
            n.theirs: laid_out(n, tensors[n.theirs], dtype)
            for n in watch(names)
        },
    )
    if "head.norm.weight" in arrays:
        arrays.setdefault("head.decoder.weight", arrays[tokens_of(config)])
    if config.padding is not None:
        return without_padding_rows(arrays, config.padding)
    return arrays


def tokens_of(config: BertConfig) -> str:
    """The name of the token embedding, to which a head may be tied."""
    names = set(config.architecture.tied.values())
    (embedding,) = (name for name in names if "embedding" in name)
    return embedding


def laid_out(name: Name, tensor: Stored, dtype: str) -> Array:
    """A tensor in memory: a layer's weight column by column.

    It is multiplied transposed, which is then faster by a tenth. A row of
    an embedding is looked up, and stays whole.
    """
    order = "C" if "embedding" in name.ours else "F"
    return np.asarray(tensor.read(dtype), order=order)


def check_tied(
    tensors: Mapping[str, Stored],
    names: Iterable[Name],
    tied: Mapping[str, str],
) -> None:
    """Raise ValueError when a tied head differs from the embedding."""
    known = {name.ours: name.theirs for name in names}
    for again, ours in tied.items():
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


def run_model(
    checkpoint: BertCheckpoint, ids: Array, segments: Array, mask: Array
) -> tuple[Array, list[Layer]]:
    """The model of a checkpoint on texts: as `bert`, whichever it is.

    Raises ValueError as `bert_embedding` does, and for padding in a text
    of a RoBERTa.
    """
    inputs = inputs_of(checkpoint.config, ids, segments, mask)
    return checkpoint.config.architecture.model(
        **inputs, params=checkpoint.model
    )


def blocks_of(checkpoint: BertCheckpoint) -> tuple[EncoderBlock, ...]:
    """The block of each layer: an ALBERT's is the same one each time."""
    encoder = checkpoint.model.encoder
    if isinstance(checkpoint.model, Albert):
        return (encoder.block,) * checkpoint.config.layers
    return encoder.blocks
