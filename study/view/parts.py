"""Parts of `twice view`: chosen tokens, arrays to save, the first view."""

from io import BytesIO

import numpy as np

from bert_viz.attention import Attention
from bert_viz.measures.metric_table import MetricTable
from bert_viz.measures.patterns import named_heads
from bert_viz.words import joined


def prepared(attention: Attention, special: bool, words: bool) -> Attention:
    """Drop special tokens and merge word pieces, as the options say."""
    if not special:
        attention = attention.without_special(renormalise=True)
    if words:
        attention = joined(attention)
    return attention


def chosen_tokens(tokens: str | None) -> list[str | int]:
    """Names and positions, as they were typed.

    >>> chosen_tokens("portrait, 11")
    ['portrait', 11]
    """
    parts = [part.strip() for part in (tokens or "").split(",")]
    return [
        int(part) if part.isdecimal() else part for part in parts if part
    ]


def arrays_of(attention: Attention) -> bytes:
    """The numbers of an attention as an NPZ file."""
    arrays = {
        "tokens": np.array(attention.tokens),
        "weights": attention.weights,
        "special": attention.special,
        "segments": attention.segments,
        "about": np.array(attention.about),
        "rows": np.array(attention.rows),
    }
    if attention.values is not None:
        arrays |= {
            "queries": attention.queries,
            "keys": attention.keys,
            "values": attention.values,
            "scores": attention.scores,
            "value_norms": attention.value_norms,
        }
    file = BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def start(layer: int | None, head: int | None, table: MetricTable) -> str:
    """What a page shows first: all heads, or the one that was chosen.

    Where none is, lines and arithmetic are those of the clearest head that
    has a name.
    """
    if not (layer is None and head is None):
        return f"view=head&layer={layer or 0}&heads={head or 0}"
    for heads in named_heads(table).values():
        return f"view=model&layer={heads[0].layer}&heads={heads[0].head}"
    return "view=model"
