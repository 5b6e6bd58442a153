"""The tables of `twice bench`: which there are, and the races of each."""

import importlib
from collections.abc import Iterator, Sequence
from importlib import metadata

from .races import Race

# What each is about; a module of this package has its name.
TABLES = {
    "attention": "one layer's attention, textbook and tiled, by sizes",
    "growth": "one head's time and memory, by the length",
    "bert": "MiniLM's forward",
    "gpt2": "GPT-2 of 124M parameters: decoding and prefill",
    "llama": "SmolLM2: decoding and prefill",
    "training": "one step of training a small GPT-2",
    "heads": "one wide layer split into heads, or one for each head",
    "tokenizers": "encoding and learning byte pairs",
}
# Of the quick form: what is short, and needs no weights.
QUICK = ("attention", "heads")


PACKAGES = (
    *("numpy", "torch", "onnx", "onnxruntime", "transformers"),
    *("tiktoken", "tokenizers"),
)


def versions() -> dict[str, str]:
    """The versions of the packages that race, of those that are there."""
    installed = {}
    for package in PACKAGES:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return installed


def check_tables(names: Sequence[str]) -> None:
    """Raise ValueError for a table that does not exist."""
    for name in names:
        if name not in TABLES:
            raise ValueError(
                f"expected a table: {', '.join(TABLES)}; got {name}"
            )


def races_of(table: str, quick: bool = False) -> Iterator[Race]:
    """The races of a table, each made when it is its turn.

    Raises ValueError for a table that does not exist.
    """
    check_tables([table])
    module = importlib.import_module(f".{table}", __package__)
    yield from module.races(quick)
