"""BERT's relatives: which model_type is which architecture.

What the arithmetic of two has in common is one architecture under two
titles. Any other model is refused by its name.
"""

from math import prod
from pathlib import Path

from ..files import read_json
from .albert import ALBERT
from .architecture import BertConfig
from .bert_names import BERT
from .distilbert import DISTILBERT
from .names import for_blocks, their_shape
from .roberta import CAMEMBERT, ROBERTA, XLM_ROBERTA, check_no_padding

ARCHITECTURES = {
    "bert": BERT,
    "roberta": ROBERTA,
    "xlm-roberta": XLM_ROBERTA,
    "camembert": CAMEMBERT,
    "distilbert": DISTILBERT,
    "albert": ALBERT,
}

# Every model_type that can be read, and how its models are called.
TITLES = {
    **{name: known.title for name, known in ARCHITECTURES.items()},
    "gpt2": "GPT-2",
    "llama": "Llama",
    "mistral": "Mistral",
    "qwen2": "Qwen 2",
}


def model_type_of(folder: str | Path) -> str:
    """The model_type of a folder; its weights are not touched.

    Raises ValueError for one that cannot be read here.
    """
    model_type = read_json(Path(folder) / "config.json").get("model_type")
    check_model_type(model_type, TITLES)
    return model_type


def check_model_type(model_type, known) -> None:
    """Raise ValueError unless a model_type is one of the known."""
    if model_type not in [*known]:
        names = ", ".join(map(repr, sorted(known)))
        raise ValueError(
            "expected model_type in config.json to be "
            f"{'one of ' * (len(known) > 1)}{names}, got {model_type!r}"
        )


def inputs_of(config: BertConfig, ids, segments, mask) -> dict:
    """What a model takes besides its parameters, by name; on either side.

    A RoBERTa has one kind of segment, whatever the texts. Raises
    ValueError for padding in a text of one.
    """
    if config.padding is not None:
        check_no_padding(ids, mask, config.padding)
    inputs = {
        "ids": ids,
        "segments": segments if config.padding is None else 0 * segments,
        "mask": mask,
        "heads": config.heads,
        "epsilon": config.epsilon,
        "depth": config.layers,
    }
    return {name: inputs[name] for name in config.architecture.takes}


def parameter_count(config: BertConfig, pooler: bool = True) -> int:
    """Parameter count: how many numbers a model without a head learns.

    The sum over the table of its names, of which an ALBERT's block is
    there once; with the pooler's, where the architecture has one.
    """
    left_out = ("head.",) if pooler else ("head.", "pooler.")
    return sum(
        prod(their_shape(name, vars(config)))
        for name in for_blocks(config.architecture.names, config.layers)
        if not name.ours.startswith(left_out)
    )
