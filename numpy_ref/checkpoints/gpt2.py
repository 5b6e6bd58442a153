"""A GPT-2 from its checkpoint: `config.json` and safetensors.

Its layers are stored transposed (`Conv1D`), and query, key and value as
one. Names begin with `transformer.` when a model was saved with its head,
and without when not.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..gpt2 import Gpt2
from ..parameters import from_state_dict
from .gpt2_config import FIELDS, Gpt2Config, read_gpt2_config
from .names import (
    Name,
    check_finite,
    check_layers,
    for_blocks,
    our_shapes,
    their_shape,
    to_ours,
    with_bias,
)
from .tensors import (
    Stored,
    check_dtype,
    check_names,
    check_stored,
    fill,
    keep_freed_memory,
    side_by_side,
    stored_tensors,
    under_first_name,
)

BLOCK, OUR_BLOCK = "h.{}", "decoder.blocks.{}"
ATTENTION, FEED_FORWARD = "attention_sublayer", "feed_forward_sublayer"
QUERY_KEY_VALUE = ("query", "key", "value")


def conv1d(theirs: str, ours: str | tuple[str, ...], axes: str):
    """Conv1D: the two rows of a layer that is stored transposed."""
    layers = (ours,) if isinstance(ours, str) else ours
    weights, biases = (
        tuple(f"{OUR_BLOCK}.{layer}.{kind}" for layer in layers)
        for kind in ("weight", "bias")
    )
    return (
        Name(f"{BLOCK}.{theirs}.weight", weights, axes, transposed=True),
        Name(f"{BLOCK}.{theirs}.bias", biases, axes.split()[0]),
    )


NAMES = (
    Name("wte.weight", "embedding.token.weight", "vocabulary d_model"),
    Name("wpe.weight", "embedding.position.weight", "positions d_model"),
    *with_bias(f"{BLOCK}.ln_1", f"{OUR_BLOCK}.{ATTENTION}.norm", "d_model"),
    *conv1d(
        "attn.c_attn",
        tuple(f"{ATTENTION}.attention.{part}" for part in QUERY_KEY_VALUE),
        "d_model d_model",
    ),
    *conv1d(
        "attn.c_proj", f"{ATTENTION}.attention.output", "d_model d_model"
    ),
    *with_bias(
        f"{BLOCK}.ln_2", f"{OUR_BLOCK}.{FEED_FORWARD}.norm", "d_model"
    ),
    *conv1d(
        "mlp.c_fc", f"{FEED_FORWARD}.feed_forward.inner", "d_ff d_model"
    ),
    *conv1d(
        "mlp.c_proj", f"{FEED_FORWARD}.feed_forward.output", "d_model d_ff"
    ),
    *with_bias("ln_f", "norm", "d_model"),
)

HEAD, TABLE = "lm_head.weight", "wte.weight"

# What old checkpoints hold besides: the causal mask, and what is masked.
MASKS = (f"{BLOCK}.attn.bias", f"{BLOCK}.attn.masked_bias")


@dataclass(frozen=True, eq=False)
class Gpt2Checkpoint:
    """A model; `ignored` are the tensors left out on purpose."""

    config: Gpt2Config
    model: Gpt2
    ignored: tuple[str, ...]


def load_gpt2(
    folder: str | Path,
    dtype: str = "float32",
    watch: Callable[[tuple[Name, ...]], Iterable[Name]] = iter,
) -> Gpt2Checkpoint:
    """Load the GPT-2 of a folder, in float32 or float64.

    Each weight is in memory once (`side_by_side`). The names of the
    tensors pass through `watch` as each is read, which may show them.
    Raises ValueError for a folder that holds none, naming the tensor or
    the field that is not as expected, for weights that are not finite,
    and for another dtype.
    """
    check_dtype(dtype)
    keep_freed_memory()
    config = read_gpt2_config(folder)
    tensors = stored_tensors(folder)
    check_layers(FIELDS["layers"], config.layers, BLOCK, tensors)
    prefix = prefix_of(tensors)
    tensors = under_first_name(tensors, {HEAD: prefix + TABLE})
    names = names_in(config, prefix)
    ignored = {*tensors} & {HEAD, *masks_in(config, prefix)}
    check_names({name.theirs for name in names}, {*tensors}, ignored)
    for name in names:
        check_stored(tensors[name.theirs], their_shape(name, vars(config)))
    check_tied(tensors, prefix)
    arrays = side_by_side(our_shapes(names, vars(config)), dtype)
    for name in watch(names):
        tensor = tensors[name.theirs].read(dtype)
        for part, numbers in to_ours([name], {name.theirs: tensor}).items():
            fill(arrays[part], numbers)
    check_finite(names, arrays)
    model = from_state_dict(Gpt2, arrays)
    return Gpt2Checkpoint(config, model, tuple(sorted(ignored)))


def masks_in(config: Gpt2Config, prefix: str) -> Iterator[str]:
    """The names of the masks that an old checkpoint holds."""
    for mask in MASKS:
        for index in range(config.layers):
            yield f"{prefix}{mask.format(index)}"


def prefix_of(tensors: Iterable[str]) -> str:
    """What all names of a checkpoint begin with."""
    start = "transformer."
    return start if any(name.startswith(start) for name in tensors) else ""


def names_in(config: Gpt2Config, prefix: str) -> tuple[Name, ...]:
    """The rows of NAMES for a checkpoint of this size."""
    return tuple(
        name._replace(theirs=prefix + name.theirs)
        for name in for_blocks(NAMES, config.layers)
    )


def check_tied(tensors: Mapping[str, Stored], prefix: str) -> None:
    """Raise ValueError when a stored head is not the table itself."""
    table = prefix + TABLE
    if HEAD in tensors and not np.array_equal(
        tensors[HEAD].read(), tensors[table].read()
    ):
        raise ValueError(
            f"expected {HEAD} to equal {table}, which it is tied to, "
            "got other numbers"
        )
