"""A Llama from its checkpoint: a folder of safetensors, or a GGUF.

Or a relative that is made of the same steps: a Mistral without a sliding
window, or a Qwen 2. The two kinds of files have other names for the same
tensors, and in a GGUF the features of queries and keys stand in another
order: there RoPE turns neighbours, with us and in transformers halves.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..parameters import from_state_dict
from ..variants.llama import Llama
from .gguf_files import GgufTensor, check_undone, open_gguf
from .llama_config import (
    FIELDS,
    GGUF_FIELDS,
    LlamaConfig,
    gguf_config,
    read_llama_config,
)
from .names import (
    Name,
    check_finite,
    check_layers,
    for_blocks,
    our_shapes,
    their_shape,
    to_ours,
)
from .tensors import (
    Stored,
    check_dtype,
    check_floats,
    check_names,
    check_shape,
    fill,
    keep_freed_memory,
    side_by_side,
    stored_tensors,
    under_first_name,
)

BLOCK, GGUF_BLOCK = "layers.{}", "blk.{}"
OUR_BLOCK = "decoder.blocks.{}"
ATTENTION = "attention_sublayer.attention"
FEED_FORWARD = "feed_forward_sublayer.feed_forward"
QUERIES, KEYS = "heads*d_head d_model", "key_heads*d_head d_model"

# A layer of a block: our name, its axes, transformers' name, GGUF's name.
BLOCK_PARTS = (
    ("attention_sublayer.norm", "d_model", "input_layernorm", "attn_norm"),
    (f"{ATTENTION}.query", QUERIES, "self_attn.q_proj", "attn_q"),
    (f"{ATTENTION}.key", KEYS, "self_attn.k_proj", "attn_k"),
    (f"{ATTENTION}.value", KEYS, "self_attn.v_proj", "attn_v"),
    (
        *(f"{ATTENTION}.output", "d_model heads*d_head"),
        *("self_attn.o_proj", "attn_output"),
    ),
    (
        *("feed_forward_sublayer.norm", "d_model"),
        *("post_attention_layernorm", "ffn_norm"),
    ),
    (f"{FEED_FORWARD}.gate", "d_ff d_model", "mlp.gate_proj", "ffn_gate"),
    (f"{FEED_FORWARD}.up", "d_ff d_model", "mlp.up_proj", "ffn_up"),
    (f"{FEED_FORWARD}.down", "d_model d_ff", "mlp.down_proj", "ffn_down"),
)
PARTS = (
    ("embedding", "vocabulary d_model", "embed_tokens", "token_embd"),
    *(
        (f"{OUR_BLOCK}.{o}", axes, f"{BLOCK}.{t}", f"{GGUF_BLOCK}.{g}")
        for o, axes, t, g in BLOCK_PARTS
    ),
    ("norm", "d_model", "norm", "output_norm"),
    ("output", "vocabulary d_model", "lm_head", "output"),
)

NAMES = tuple(
    Name(f"{theirs}.weight", f"{ours}.weight", axes)
    for ours, axes, theirs, _ in PARTS
)
BIASES = tuple(
    Name(f"{theirs}.bias", f"{ours}.bias", axes.split()[0])
    for ours, axes, theirs, _ in PARTS
    if axes in (QUERIES, KEYS)
)
TURNED = (f"{GGUF_BLOCK}.attn_q", f"{GGUF_BLOCK}.attn_k")
GGUF_NAMES = tuple(
    Name(
        f"{theirs}.weight",
        f"{ours}.weight",
        axes,
        neighbours=theirs in TURNED,
    )
    for ours, axes, _, theirs in PARTS
)

HEAD, TABLE = "lm_head.weight", "embed_tokens.weight"
GGUF_HEAD = "output.weight"
OUR_HEAD, OUR_TABLE = "output.weight", "embedding.weight"

# What old checkpoints hold besides: powers of the base, as in `rotary`.
FREQUENCIES = f"{BLOCK}.self_attn.rotary_emb.inv_freq"


@dataclass(frozen=True, eq=False)
class LlamaCheckpoint:
    """A model; `ignored` are the tensors left out on purpose."""

    config: LlamaConfig
    model: Llama
    ignored: tuple[str, ...]


class LlamaFile(NamedTuple):
    """What stands in a folder or in a GGUF, unread, and how it is read."""

    config: LlamaConfig
    tensors: Mapping[str, Stored | GgufTensor]
    names: tuple[Name, ...]
    ignored: set[str]


def load_llama(
    path: str | Path,
    dtype: str = "float32",
    watch: Callable[[tuple[Name, ...]], Iterable[Name]] = iter,
) -> LlamaCheckpoint:
    """Load the Llama of a folder or a GGUF, in float32 or float64.

    Each weight is in memory once, a tied output layer is the embedding
    itself. The names of the tensors pass through `watch` as each is read,
    which may show them. Raises ValueError for a path where none is,
    naming the tensor or the field that is not as expected, for weights
    that are not finite, and for another dtype.
    """
    check_dtype(dtype)
    keep_freed_memory()
    file = llama_file(path)
    config, names = file.config, file.names
    arrays = side_by_side(our_shapes(names, vars(config)), dtype)
    for name in watch(names):
        theirs = {name.theirs: file.tensors[name.theirs].read(dtype)}
        for part, numbers in to_ours([name], theirs, config.d_head).items():
            fill(arrays[part], numbers)
    check_finite(names, arrays)
    arrays.setdefault(OUR_HEAD, arrays[OUR_TABLE])
    model = from_state_dict(Llama, arrays)
    return LlamaCheckpoint(config, model, tuple(sorted(file.ignored)))


def llama_file(path: str | Path) -> LlamaFile:
    """Open a folder or a GGUF: all is checked, no weight is read.

    Raises ValueError as `load_llama` does.
    """
    is_gguf = Path(path).suffix == ".gguf" or Path(path).is_file()
    file = in_gguf(path) if is_gguf else in_folder(path)
    expected = {name.theirs for name in file.names}
    check_names(expected, {*file.tensors}, file.ignored)
    for name in file.names:
        tensor = file.tensors[name.theirs]
        shape = their_shape(name, vars(file.config))
        check_shape(tensor.name, tensor.shape, shape)
        if not is_gguf:
            check_floats(tensor)
    if not is_gguf:
        check_tied(file.tensors, file.names)
    return file


def in_folder(folder: str | Path) -> LlamaFile:
    """What a folder holds, as transformers saves it.

    Names begin with `model.` when a model was saved with its head.
    """
    config = read_llama_config(folder)
    tensors = stored_tensors(folder)
    check_layers(FIELDS["layers"], config.layers, BLOCK, tensors)
    prefix = prefix_of(tensors)
    ignored = {
        prefix + FREQUENCIES.format(index) for index in range(config.layers)
    }
    if config.tied:
        tensors = under_first_name(tensors, {HEAD: prefix + TABLE})
        ignored |= {HEAD}
    names = names_in(config, prefix)
    return LlamaFile(config, tensors, names, ignored & {*tensors})


def in_gguf(path: str | Path) -> LlamaFile:
    """What a GGUF holds; without an output layer it is tied."""
    gguf = open_gguf(path)
    config = gguf_config(gguf.metadata, tied=GGUF_HEAD not in gguf.tensors)
    check_layers(
        *(GGUF_FIELDS["layers"], config.layers, GGUF_BLOCK, gguf.tensors),
        place="the GGUF",
    )
    names = for_blocks(without_head(GGUF_NAMES, config), config.layers)
    check_undone(gguf.tensors.values())
    return LlamaFile(config, gguf.tensors, names, set())


def names_in(config: LlamaConfig, prefix: str) -> tuple[Name, ...]:
    """The rows of NAMES for a checkpoint of this size."""
    rows = (*without_head(NAMES, config), *(BIASES * config.biased))
    return tuple(
        name
        if name.theirs == HEAD
        else name._replace(theirs=prefix + name.theirs)
        for name in for_blocks(rows, config.layers)
    )


def without_head(
    names: Iterable[Name], config: LlamaConfig
) -> tuple[Name, ...]:
    """The rows but for the output layer, where it is the embedding."""
    return tuple(
        name
        for name in names
        if not (config.tied and name.ours == OUR_HEAD)
    )


def prefix_of(tensors: Iterable[str]) -> str:
    """What all names of a checkpoint but the head's begin with."""
    start = "model."
    return start if any(name.startswith(start) for name in tensors) else ""


def check_tied(
    tensors: Mapping[str, Stored], names: Iterable[Name]
) -> None:
    """Raise ValueError when a tied head differs from the embedding."""
    known = {name.ours: name.theirs for name in names}
    if HEAD in tensors and OUR_HEAD not in known:
        table = tensors[known[OUR_TABLE]]
        if not np.array_equal(tensors[HEAD].read(), table.read()):
            raise ValueError(
                f"expected {HEAD} to equal {table.name}, which it is tied "
                "to, got other numbers"
            )
