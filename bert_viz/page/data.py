"""The data of a page: texts, weights and metrics, as one JSON.

Packed arrays state their error (`packing`); metrics are computed here,
from the weights before they are packed.
"""

import json

import numpy as np

from ..attention import LEFT_OUT, Attention
from ..measures.metric_table import MetricTable, metric_table
from ..measures.metrics import metric_named
from ..measures.patterns import PATTERNS, heads_of
from ..words import key_word_ids, word_ids
from .packing import Packed, pack_floats, pack_weights

MOST_BYTES = (
    2_000_000  # of queries, keys and values, before they are packed
)


def layers_that_fit(texts: list[Attention], first: int) -> tuple[int, ...]:
    """The layers of which a page may hold queries, keys and values.

    All of short texts, else `first` alone; none where there are none.
    """
    arrays = [
        array
        for text in texts
        for array in (text.queries, text.keys, text.values)
    ]
    if any(array is None for array in arrays):
        return ()
    if sum(array.nbytes for array in arrays) <= MOST_BYTES:
        return tuple(range(texts[0].layers))
    return (first,)


def page_data(
    attention: Attention,
    other: Attention | None,
    neuron_layers: tuple[int, ...],
) -> dict:
    """The data of one text, or of two texts of the same model.

    Raises ValueError for two models, for a layer out of range, and for
    cross-attention, which the page cannot show.
    """
    texts = [attention] if other is None else [attention, other]
    for text in texts:
        text.check_one_text("a page", "; the plots show it")
    shapes = {text.weights.shape[:2] for text in texts}
    if len(shapes) > 1 or len({text.about for text in texts}) > 1:
        raise ValueError(
            "expected two texts of one model, got "
            + " and ".join(
                f"{text.about} ({text.layers} layers of {text.heads} heads)"
                for text in texts
            )
        )
    for layer in neuron_layers:
        attention.head(layer, 0)  # raises for a layer out of range
    return data_of(texts, neuron_layers)


def cross_data(attention: Attention) -> dict:
    """The data of cross-attention: as a page's, with two rows of tokens.

    `tokens` are the rows of the weights, the queries; `key_tokens` the
    columns. No page shows it yet. Raises ValueError for attention of a
    text to itself.
    """
    if not attention.is_cross:
        raise ValueError(
            "expected cross-attention, got attention of one text to "
            f"itself, {attention.counts}; a page shows it"
        )
    return data_of([attention], ())


def data_of(texts: list[Attention], neuron_layers: tuple[int, ...]) -> dict:
    """The data of texts of one model."""
    return {
        "about": texts[0].about,
        "layers": texts[0].layers,
        "heads": texts[0].heads,
        "texts": [text_data(text, neuron_layers) for text in texts],
    }


def text_data(attention: Attention, neuron_layers: tuple[int, ...]) -> dict:
    """Everything that is shown of one text."""
    table = metric_table(attention)
    return {
        "tokens": list(attention.tokens),
        "special": attention.special.tolist(),
        "segments": attention.segments.tolist(),
        "word_ids": word_ids(attention).tolist(),
        "causal": attention.causal,
        "padding": attention.padding.tolist(),
        "rows": attention.rows,
        "weights": pack_weights(attention.weights),
        "value_norms": norms_of(attention),
        "neuron": neuron_data(attention, neuron_layers),
        "metrics": metric_data(table),
        "patterns": pattern_data(table),
        **key_data(attention),
    }


def key_data(attention: Attention) -> dict:
    """The second row of tokens, which only cross-attention has."""
    if not attention.is_cross:
        return {}
    return {
        "key_tokens": list(attention.key_tokens),
        "key_special": attention.key_special.tolist(),
        "key_word_ids": key_word_ids(attention).tolist(),
    }


def norms_of(attention: Attention) -> Packed | None:
    if attention.values is None or attention.outputs is None:
        return None
    return pack_floats(attention.value_norms)


def neuron_data(
    attention: Attention, neuron_layers: tuple[int, ...]
) -> dict[str, dict[str, Packed]] | None:
    """Queries, keys and values of some layers, or None.

    None where one of the three is missing, since weights and output need
    all of them, and where tokens are left out without renormalising, since
    the weights no longer follow from queries and keys. Raises ValueError
    for values of another width than queries and keys.
    """
    arrays = attention.queries, attention.keys, attention.values
    if any(array is None for array in arrays):
        return None
    if LEFT_OUT in attention.rows:
        return None
    widths = [array.shape[-1] for array in arrays]
    if len(set(widths)) > 1:
        raise ValueError(
            "expected queries, keys and values of the same width, got "
            f"{', '.join(map(str, widths))}"
        )
    return {
        str(layer): {
            "queries": pack_floats(attention.queries[layer]),
            "keys": pack_floats(attention.keys[layer]),
            "values": pack_floats(attention.values[layer]),
        }
        for layer in neuron_layers
    }


def metric_data(table: MetricTable) -> list[dict]:
    """Each metric: definition, source, and its value for every head."""
    return [
        {
            "name": name,
            "definition": metric_named(name).definition,
            "source": metric_named(name).source,
            "top": metric_named(name).top,
            "equal": table.baselines[name],
            "values": np.asarray(values, float).tolist(),
        }
        for name, values in table.values.items()
    ]


def pattern_data(table: MetricTable) -> list[dict]:
    """Each pattern that some head has; heads as [layer, head, value]."""
    patterns = [
        {
            "name": pattern.name,
            "condition": pattern.condition,
            "metric": pattern.metric,
            "heads": [list(head) for head in heads_of(table, pattern.name)],
        }
        for pattern in PATTERNS
    ]
    return [pattern for pattern in patterns if pattern["heads"]]


def as_json(data: dict) -> str:
    """JSON that is safe inside HTML: no tag can begin in it."""
    text = json.dumps(
        data, ensure_ascii=True, allow_nan=False, separators=(",", ":")
    )
    return text.replace("<", "\\u003c")
