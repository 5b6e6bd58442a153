"""BERT's names: which tensor of a checkpoint is which of our arrays.

Names begin with `bert.` when a model was saved with a head, and without
when not; those of a head begin with `cls.`.
"""

from collections.abc import Iterable, Mapping

from .bert_config import BertConfig
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

# How the oldest checkpoints spell a norm.
OLDEST = {"LayerNorm.weight": "LayerNorm.gamma"} | {
    "LayerNorm.bias": "LayerNorm.beta"
}


def names_in(
    tensors: Mapping[str, object], config: BertConfig
) -> tuple[Name, ...]:
    """The rows of NAMES for this checkpoint, as it spells them."""
    prefix = prefix_of(tensors)
    names = [
        name._replace(theirs=stored_name(name.theirs, prefix, tensors))
        for name in for_blocks(NAMES, config.layers)
    ]
    for start in PARTS:
        if not any(
            n.theirs in tensors for n in names if n.ours.startswith(start)
        ):
            names = [n for n in names if not n.ours.startswith(start)]
    if config.tied:
        return tuple(n for n in names if n.theirs not in TIED)
    # Where a head is not tied, its decoder may have a bias of its own.
    own, common = f"{HEAD}.decoder.bias", f"{HEAD}.bias"
    bias = own if own in tensors else common
    return tuple(
        n._replace(theirs=bias) if n.theirs == common else n for n in names
    )


def prefix_of(tensors: Iterable[str]) -> str:
    """What the names begin with, but for those of a head."""
    start = "bert."
    return start if any(name.startswith(start) for name in tensors) else ""


def tied_in(tensors: Iterable[str]) -> dict[str, str]:
    """TIED in a checkpoint's own names: a tied one's second, its first."""
    table = prefix_of(tensors) + "embeddings.word_embeddings.weight"
    return dict(zip(TIED, (table, f"{HEAD}.bias"), strict=True))


def stored_name(
    name: str, prefix: str, tensors: Mapping[str, object]
) -> str:
    """A name as this checkpoint has it: with a prefix, or the oldest."""
    full = name if name.startswith("cls.") else prefix + name
    for new, old in OLDEST.items():
        oldest = full.replace(new, old)
        full = oldest if oldest in tensors else full
    return full


def ignored_in(tensors: Iterable[str], names: Iterable[Name]) -> set[str]:
    """The tensors of IGNORED, and those that a head has twice."""
    known = {name.ours: name.theirs for name in names}
    twice = {*TIED, f"{HEAD}.bias"} if "head.decoder.bias" in known else ()
    return {
        name
        for name in tensors
        if (name in twice and name not in known.values())
        or is_ignored(name.removeprefix("bert."))
    }


def is_ignored(name: str) -> bool:
    """Whether IGNORED has the name, or what it begins with."""
    starts = tuple(start for start in IGNORED if start.endswith("."))
    return name in IGNORED or name.startswith(starts)
