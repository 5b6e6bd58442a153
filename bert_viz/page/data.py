"""What a page knows: texts, weights, metrics, as one JSON.

What is packed says its error (`packing`); metrics are computed here, from
the weights as they are.
"""

import json

import numpy as np

from ..attention import LEFT_OUT, Attention
from ..measures.metric_table import MetricTable, metric_table
from ..measures.metrics import metric_named
from ..measures.patterns import PATTERNS, heads_of
from ..words import word_numbers
from .packing import Packed, pack_floats, pack_weights


def page_data(
    attention: Attention,
    other: Attention | None,
    neuron_layers: tuple[int, ...],
) -> dict:
    """One text, or two of the same model side by side.

    Raises ValueError for two of different models, and for a layer that
    there is not.
    """
    texts = [attention] if other is None else [attention, other]
    shapes = {one.weights.shape[:2] for one in texts}
    if len(shapes) > 1 or len({one.about for one in texts}) > 1:
        raise ValueError(
            "expected two texts of one model, got "
            + " and ".join(
                f"{one.about} ({one.layers} layers of {one.heads} heads)"
                for one in texts
            )
        )
    for layer in neuron_layers:
        attention.head(layer, 0)  # is there such a layer?
    return {
        "about": attention.about,
        "layers": attention.layers,
        "heads": attention.heads,
        "texts": [text_data(one, neuron_layers) for one in texts],
    }


def text_data(attention: Attention, neuron_layers: tuple[int, ...]) -> dict:
    """All of one text."""
    table = metric_table(attention)
    return {
        "tokens": list(attention.tokens),
        "special": attention.special.tolist(),
        "segments": attention.segments.tolist(),
        "words": word_numbers(attention).tolist(),
        "causal": attention.causal,
        "rows": attention.rows,
        "weights": pack_weights(attention.weights),
        "value_norms": norms_of(attention),
        "neuron": neuron_data(attention, neuron_layers),
        "metrics": metric_data(table),
        "patterns": pattern_data(table),
    }


def norms_of(attention: Attention) -> Packed | None:
    if attention.values is None or attention.outputs is None:
        return None
    return pack_floats(attention.value_norms)


def neuron_data(
    attention: Attention, neuron_layers: tuple[int, ...]
) -> dict[str, dict[str, Packed]] | None:
    """Queries, keys and values of some layers, or None for weights alone.

    One of the three missing is all missing: nothing follows from two. Nor
    does it where tokens are left out and rows are not renormalised.
    Raises ValueError for values wider or narrower than the others.
    """
    arrays = attention.queries, attention.keys, attention.values
    if any(array is None for array in arrays):
        return None
    if LEFT_OUT in attention.rows:
        return None
    widths = [array.shape[-1] for array in arrays]
    if len(set(widths)) > 1:
        raise ValueError(
            "expected queries, keys and values of one width, got "
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
    """Each metric with its words, and its number for every head."""
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
    """Each pattern that some head has: [layer, head, value] of each."""
    found = [
        {
            "name": one.name,
            "words": one.words,
            "metric": one.metric,
            "heads": [list(head) for head in heads_of(table, one.name)],
        }
        for one in PATTERNS
    ]
    return [one for one in found if one["heads"]]


def as_json(data: dict) -> str:
    """JSON that may stand inside of a page: no tag can begin in it."""
    text = json.dumps(
        data, ensure_ascii=True, allow_nan=False, separators=(",", ":")
    )
    return text.replace("<", "\\u003c")
