"""BERT's names and fields: which tensor is which of our arrays.

Names begin with `bert.` when a model was saved with a head, and without
when not; those of a head begin with `cls.`. A checkpoint of a relative
finds its own names in the same way (`names_in`).
"""

from collections.abc import Iterable, Mapping

from ..bert import Bert, bert
from .architecture import Architecture, BertConfig
from .names import Name, for_blocks, with_bias

BLOCK, OUR_BLOCK = "encoder.layer.{}", "model.encoder.blocks.{}"
ATTENTION, OUR_ATTENTION = f"{BLOCK}.attention", f"{OUR_BLOCK}.attention"
HEAD = "cls.predictions"

NAMES = (
    Name(
        "embeddings.word_embeddings.weight",
        "model.embedding.token.weight",
        "vocabulary d_model",
    ),
    Name(
        "embeddings.position_embeddings.weight",
        "model.embedding.position.weight",
        "positions d_model",
    ),
    Name(
        "embeddings.token_type_embeddings.weight",
        "model.embedding.segment.weight",
        "segments d_model",
    ),
    *with_bias("embeddings.LayerNorm", "model.embedding.norm", "d_model"),
    *with_bias(
        f"{ATTENTION}.self.query",
        f"{OUR_ATTENTION}.query",
        "d_model d_model",
    ),
    *with_bias(
        f"{ATTENTION}.self.key", f"{OUR_ATTENTION}.key", "d_model d_model"
    ),
    *with_bias(
        f"{ATTENTION}.self.value",
        f"{OUR_ATTENTION}.value",
        "d_model d_model",
    ),
    *with_bias(
        f"{ATTENTION}.output.dense",
        f"{OUR_ATTENTION}.output",
        "d_model d_model",
    ),
    *with_bias(
        f"{ATTENTION}.output.LayerNorm",
        f"{OUR_BLOCK}.attention_norm",
        "d_model",
    ),
    *with_bias(
        f"{BLOCK}.intermediate.dense",
        f"{OUR_BLOCK}.feed_forward.inner",
        "d_ff d_model",
    ),
    *with_bias(
        f"{BLOCK}.output.dense",
        f"{OUR_BLOCK}.feed_forward.output",
        "d_model d_ff",
    ),
    *with_bias(
        f"{BLOCK}.output.LayerNorm",
        f"{OUR_BLOCK}.feed_forward_norm",
        "d_model",
    ),
    *with_bias("pooler.dense", "pooler.dense", "d_model d_model"),
    *with_bias(f"{HEAD}.transform.dense", "head.dense", "d_model d_model"),
    *with_bias(f"{HEAD}.transform.LayerNorm", "head.norm", "d_model"),
    Name(
        f"{HEAD}.decoder.weight",
        "head.decoder.weight",
        "vocabulary d_model",
    ),
    Name(f"{HEAD}.bias", "head.decoder.bias", "vocabulary"),
)

# What a model may be saved without.
PARTS = ("pooler.", "head.")

# Tensors that may stand in a checkpoint, and why nothing needs them; a
# name that ends with a dot stands for all that begin so.
IGNORED = {
    "embeddings.position_ids": "0, 1, 2 ..., which needs no storing",
    "cls.seq_relationship.": "whether the second text follows the first: "
    "a task of the training",
    "classifier.": "one task's own layer",
    "qa_outputs.": "one task's own layer",
}

# What a checkpoint may hold twice: for a tied head, which of our names has
# the same numbers.
TIED = {
    f"{HEAD}.decoder.weight": "model.embedding.token.weight",
    f"{HEAD}.decoder.bias": "head.decoder.bias",
}

FIELDS = {
    "vocabulary": "vocab_size",
    "positions": "max_position_embeddings",
    "segments": "type_vocab_size",
    "d_model": "hidden_size",
    "d_ff": "intermediate_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "epsilon": "layer_norm_eps",
}

# Fields that change the arithmetic, each with the one value we support.
SUPPORTED = {
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "pruned_heads": {},
    "quantization_config": None,
}

BERT = Architecture(
    title="BERT",
    prefix="bert.",
    names=NAMES,
    fields=FIELDS,
    supported=SUPPORTED,
    ignored=IGNORED,
    tied=TIED,
    model=bert,
    parameters=Bert,
)

# How the oldest checkpoints spell a norm.
OLDEST = {"LayerNorm.weight": "LayerNorm.gamma"} | {
    "LayerNorm.bias": "LayerNorm.beta"
}


def names_in(
    tensors: Mapping[str, object], config: BertConfig
) -> tuple[Name, ...]:
    """The rows of a model's names, as this checkpoint spells them."""
    architecture = config.architecture
    prefix = prefix_of(tensors, architecture.prefix)
    names = [
        name._replace(theirs=stored_name(name, prefix, tensors))
        for name in for_blocks(architecture.names, config.layers)
    ]
    for start in PARTS:
        if not any(
            n.theirs in tensors for n in names if n.ours.startswith(start)
        ):
            names = [n for n in names if not n.ours.startswith(start)]
    if config.tied:
        return tuple(n for n in names if n.theirs not in architecture.tied)
    # Where a head is not tied, its decoder may have a bias of its own.
    own = {ours: theirs for theirs, ours in architecture.tied.items()}
    bias = own.get("head.decoder.bias")
    return tuple(
        n._replace(theirs=bias)
        if n.ours == "head.decoder.bias" and bias in tensors
        else n
        for n in names
    )


def prefix_of(tensors: Iterable[str], prefix: str) -> str:
    """What all names but a head's begin with: the prefix, or nothing."""
    return prefix if any(n.startswith(prefix) for n in tensors) else ""


def tied_in(
    tensors: Mapping[str, object], architecture: Architecture
) -> dict[str, str]:
    """A checkpoint's tied tensors: the second name of each, its first."""
    prefix = prefix_of(tensors, architecture.prefix)
    first = {
        row.ours: stored_name(row, prefix, tensors)
        for row in architecture.names
    }
    return {
        second: first[ours] for second, ours in architecture.tied.items()
    }


def stored_name(
    name: Name, prefix: str, tensors: Mapping[str, object]
) -> str:
    """A name as this checkpoint has it: with a prefix, or the oldest."""
    in_head = name.ours.startswith("head.")
    full = name.theirs if in_head else prefix + name.theirs
    for new, old in OLDEST.items():
        oldest = full.replace(new, old)
        full = oldest if oldest in tensors else full
    return full


def ignored_in(
    tensors: Iterable[str],
    names: Iterable[Name],
    architecture: Architecture,
) -> set[str]:
    """The tensors that are ignored, and those that a head has twice."""
    known = {name.ours: name.theirs for name in names}
    biases = {
        row.theirs
        for row in architecture.names
        if row.ours == "head.decoder.bias"
    }
    has_head = "head.decoder.bias" in known
    twice = biases.union(architecture.tied) if has_head else ()
    return {
        name
        for name in tensors
        if (name in twice and name not in known.values())
        or is_ignored(
            name.removeprefix(architecture.prefix), architecture.ignored
        )
    }


def is_ignored(name: str, ignored: Mapping[str, str]) -> bool:
    """Whether `ignored` has the name, or what it begins with."""
    starts = tuple(start for start in ignored if start.endswith("."))
    return name in ignored or name.startswith(starts)
