"""RoBERTa: a BERT that was trained longer (Liu et al. 2019).

The arithmetic is BERT's. Positions begin behind the id of the padding
token, so that its table has as many rows more (two, where that id is 1);
there is one kind of segment, and the head has other names. XLM-RoBERTa
and CamemBERT are RoBERTas of other texts.
"""

from collections.abc import Mapping
from dataclasses import replace

from numpy import ndarray as Array

from ..bert import Bert, bert
from .architecture import Architecture
from .bert_names import BERT
from .names import Name, with_bias

HEAD = "lm_head"
POSITIONS = "model.embedding.position.weight"

NAMES = (
    *(
        name._replace(axes="position_rows d_model")
        if name.ours == POSITIONS
        else name
        for name in BERT.names
        if not name.ours.startswith("head.")
    ),
    *with_bias(f"{HEAD}.dense", "head.dense", "d_model d_model"),
    *with_bias(f"{HEAD}.layer_norm", "head.norm", "d_model"),
    Name(
        f"{HEAD}.decoder.weight",
        "head.decoder.weight",
        "vocabulary d_model",
    ),
    Name(f"{HEAD}.bias", "head.decoder.bias", "vocabulary"),
)

ROBERTA = Architecture(
    title="RoBERTa",
    prefix="roberta.",
    names=NAMES,
    fields=BERT.fields,
    supported=BERT.supported,
    ignored={
        "embeddings.position_ids": "0, 1, 2 ..., which needs no storing",
        "classifier.": "one task's own layer",
        "qa_outputs.": "one task's own layer",
    },
    tied={
        f"{HEAD}.decoder.weight": "model.embedding.token.weight",
        f"{HEAD}.decoder.bias": "head.decoder.bias",
    },
    model=bert,
    parameters=Bert,
    padding="pad_token_id",
)
XLM_ROBERTA = replace(ROBERTA, title="XLM-RoBERTa")
CAMEMBERT = replace(ROBERTA, title="CamemBERT")


def without_padding_rows(
    arrays: Mapping[str, Array], padding: int
) -> dict[str, Array]:
    """The arrays with a table whose row 0 is the first token's.

    The position of a token is its place plus `padding` + 1; of a text
    without padding, this is the table without its first rows.
    """
    return {**arrays, POSITIONS: arrays[POSITIONS][padding + 1 :]}


def check_no_padding(ids, mask, padding: int) -> None:
    """Raise ValueError for a padding token that other tokens see.

    It would stand at no position of its own, and move those after it.
    """
    if ((ids == padding) & mask.any(-2)).any():
        raise ValueError(
            "expected a text without the padding token of a RoBERTa, id "
            f"{padding}, which has no position, got one"
        )
