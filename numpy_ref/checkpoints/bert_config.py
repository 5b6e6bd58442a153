"""BERT's configuration, as transformers writes it."""

from dataclasses import dataclass, fields
from pathlib import Path

from ..checked import check_divides
from ..files import read_json


@dataclass(frozen=True)
class BertConfig:
    """Sizes, heads, epsilon; `tied`: the head decodes by the embedding."""

    vocabulary: int
    positions: int
    segments: int
    d_model: int
    d_ff: int
    layers: int
    heads: int
    epsilon: float
    tied: bool = True


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


def read_config(folder: str | Path) -> BertConfig:
    """Read the configuration of a folder.

    Raises ValueError for that of another architecture, naming the field.
    """
    entries = read_entries(folder, "bert", SUPPORTED)
    kinds = {field.name: field.type for field in fields(BertConfig)}
    sizes = {
        ours: positive(theirs, entries.get(theirs), kinds[ours])
        for ours, theirs in FIELDS.items()
    }
    config = BertConfig(
        **sizes, tied=entries.get("tie_word_embeddings", True) is not False
    )
    check_divides(
        "num_attention_heads", config.heads, "hidden_size", config.d_model
    )
    return config


def read_entries(
    folder: str | Path, model_type: str, supported: dict
) -> dict:
    """The entries of a folder's `config.json`, for this kind of model.

    Raises ValueError for another kind, and for a field with a value that
    is not supported.
    """
    entries = read_json(Path(folder) / "config.json")
    if entries.get("model_type") != model_type:
        raise ValueError(
            f"expected model_type in config.json to be {model_type!r}, "
            f"got {entries.get('model_type')!r}"
        )
    for field, value in supported.items():
        if entries.get(field) is not None and entries[field] != value:
            raise ValueError(
                f"expected {field} in config.json to be {value!r}, "
                f"got {entries[field]!r}"
            )
    return entries


def positive(field: str, value, kind: type):
    """A positive number of that kind, or a ValueError with its field."""
    kinds = (int, float) if kind is float else int
    if (
        isinstance(value, bool)
        or not isinstance(value, kinds)
        or not 0 < value < 2**63
    ):
        raise ValueError(
            f"expected {field} in config.json to be a positive "
            f"{kind.__name__}, got {value!r}"
        )
    return kind(value)
