"""BERT's configuration and its relatives', as transformers writes them."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from ..checked import check_divides
from ..files import read_json
from .architecture import Architecture, BertConfig
from .relatives import ARCHITECTURES, check_model_type


def read_config(folder: str | Path) -> BertConfig:
    """Read the configuration of a folder, a BERT's or a relative's.

    Raises ValueError for that of another architecture, naming the field.
    """
    supported = {
        name: architecture.supported
        for name, architecture in ARCHITECTURES.items()
    }
    return config_of(read_entries(folder, supported))


def config_of(entries: Mapping) -> BertConfig:
    """A configuration from the entries of a `config.json`.

    Raises ValueError for a size that is none, naming the field.
    """
    architecture = ARCHITECTURES[entries["model_type"]]
    kinds = {field.name: field.type for field in fields(BertConfig)}
    sizes = dict(architecture.fixed) | {
        ours: positive(theirs, entries.get(theirs), kinds[ours])
        for ours, theirs in architecture.fields.items()
    }
    padding = padding_of(architecture, entries)
    first_row = 0 if padding is None else padding + 1
    config = BertConfig(
        **{"d_embedding": sizes["d_model"], **sizes}
        | {"positions": sizes["positions"] - first_row},
        architecture=architecture,
        position_rows=sizes["positions"],
        padding=padding,
        tied=entries.get("tie_word_embeddings", True) is not False,
    )
    check_divides(
        *(architecture.fields["heads"], config.heads),
        *(architecture.fields["d_model"], config.d_model),
    )
    return config


def padding_of(architecture: Architecture, entries: Mapping) -> int | None:
    """The id behind which positions begin; None where they begin at 0.

    Raises ValueError for no such id, and where no position is left.
    """
    if architecture.padding is None:
        return None
    padding = entries.get(architecture.padding)
    last = entries[architecture.fields["positions"]] - 2
    if type(padding) is not int or not 0 <= padding <= last:
        raise ValueError(
            f"expected {architecture.padding} in config.json to be an int "
            f"from 0 to {last}, so that a position is left behind it, got "
            f"{padding!r}"
        )
    return padding


def read_entries(folder: str | Path, supported: Mapping[str, Mapping]):
    """The entries of a folder's `config.json`.

    `supported` has, for each model_type that may stand there, the fields
    with one value that is supported. Raises ValueError for another
    model_type, and for a field with another value.
    """
    entries = read_json(Path(folder) / "config.json")
    check_model_type(entries.get("model_type"), supported)
    check_supported(entries, supported[entries["model_type"]])
    return entries


def check_supported(
    entries: Mapping, supported: Mapping, place: str = "config.json"
) -> None:
    """Raise ValueError for a field with another value than supported."""
    for field, value in supported.items():
        if entries.get(field) is not None and entries[field] != value:
            raise ValueError(
                f"expected {field} in {place} to be {value!r}, "
                f"got {entries[field]!r}"
            )


def positive(field: str, value, kind: type, place: str = "config.json"):
    """A positive number of that kind, or a ValueError with its field."""
    kinds = (int, float) if kind is float else int
    if (
        isinstance(value, bool)
        or not isinstance(value, kinds)
        or not 0 < value < 2**63
    ):
        raise ValueError(
            f"expected {field} in {place} to be a positive "
            f"{kind.__name__}, got {value!r}"
        )
    return kind(value)
