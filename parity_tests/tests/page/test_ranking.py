"""Ranking heads: sorted and filtered as in Python."""

import numpy as np
import pytest

from bert_viz import from_arrays
from bert_viz.measures.metric_table import metric_table
from bert_viz.measures.patterns import heads_of, named_heads

from .cases import ATTENTION, CAUSAL, WORDS, one_named, state_of
from .cases import attention as attention
from .cases import script as script


def ranked(script, **changes):
    heads = script(
        "rankedHeads(panelsOf(data, 'first')[0], 2, 3, state)",
        state=state_of(**changes),
    )
    return [(head["layer"], head["head"], head["value"]) for head in heads]


@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize("least", [None, "that of a head"])
def test_heads_are_sorted_and_filtered_by_each_metric(
    script, attention, least, ascending
):
    script.hold(attention)
    for name, values in metric_table(attention).values.items():
        bound = (
            None if least is None else np.sort(values, axis=None)[2].item()
        )
        heads = [
            (*head, float(value))
            for head, value in np.ndenumerate(values)
            if bound is None or value >= bound
        ]
        heads.sort(key=lambda head: head[2], reverse=not ascending)
        order = {"sort": name, "ascending": ascending, "least": bound}
        assert ranked(script, **order) == heads
        largest = script(
            "largestHead(valuesOf(panelsOf(data, 'first')[0], name))",
            name=name,
        )
        assert tuple(largest.values()) == (
            *np.unravel_index(values.argmax(), values.shape),
            values.max(),
        )


def test_heads_are_sorted_by_the_weight_between_two_tokens(script):
    script.hold(ATTENTION)
    steps = np.rint(ATTENTION.weights[..., 2, 5] * 255) / 255
    order = np.argsort(-steps, axis=None, kind="stable")
    expected = [
        (*map(int, np.unravel_index(at, steps.shape)), steps.flat[at])
        for at in order
    ]
    assert ranked(script, sort="link", query=2, key=5) == [
        (layer, head, pytest.approx(weight, abs=1e-6))
        for layer, head, weight in expected
    ]
    assert ranked(script, sort="link", query=2) == ranked(script)
    strongest = script(
        "strongestLinks(panelsOf(data, 'first')[0], 2, 5, 4)"
    )
    assert [(link["layer"], link["head"]) for link in strongest] == [
        (layer, head) for layer, head, _ in expected[:4]
    ]


def test_no_head_links_what_is_masked(script):
    script.hold(CAUSAL)
    links = "strongestLinks(panelsOf(data, 'first')[0], query, key, 3)"
    assert script(links, query=1, key=2) == []
    assert len(script(links, query=2, key=1)) == 3


def test_without_a_metric_heads_are_in_the_models_order(script):
    script.hold(ATTENTION)
    assert ranked(script) == [
        (layer, head, None) for layer in range(2) for head in range(3)
    ]


def test_heads_are_filtered_by_each_pattern(script):
    attention = from_arrays(WORDS, one_named())
    table = metric_table(attention)
    script.hold(attention)
    assert len(named_heads(table)) >= 6
    for name in named_heads(table):
        expected = sorted(named[:2] for named in heads_of(table, name))
        heads = ranked(script, pattern=name)
        assert [(layer, head) for layer, head, _ in heads] == expected
