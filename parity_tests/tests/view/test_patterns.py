"""Patterns: heads by what they do; and tables of all metrics."""

import csv
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest

from bert_viz import from_arrays
from bert_viz.measures.metric_table import (
    MetricTable,
    averaged,
    metric_table,
)
from bert_viz.measures.patterns import PATTERNS, heads_of, named_heads

from .cases import expect_near, minilm

# --- patterns ------------------------------------------------------------


THRESHOLDS = {
    "previous token": ("previous token", 0.5),
    "next token": ("next token", 0.5),
    "self": ("self", 0.5),
    "looks at [CLS]": ("[CLS]", 0.5),
    "looks at [SEP]": ("[SEP]", 0.5),
    "first token": ("first token", 0.5),
    "punctuation": ("punctuation", 0.3),
    "same token": ("same token", 0.3),
    "other text": ("other text", 0.75),
    "broad": ("entropy", 0.9),
    "sharp": ("entropy", 0.1),
}
SENTENCES = [
    *("[CLS]", "the", ",", "cat", "the", "[SEP]"),
    *("cat", "sat", "on", "[SEP]"),
]


def table_of(metric, values, equal=0.0, **fields):
    table = {metric: np.array(values)}
    fields = {"about": "a model", "rows": "as given"} | fields
    return MetricTable(table, {metric: equal}, **fields)


@pytest.mark.parametrize("name", THRESHOLDS)
def test_a_head_has_a_pattern_from_the_threshold_on(name):
    metric, least = THRESHOLDS[name]
    outside = np.nextafter(least, 1 if name == "sharp" else 0)
    table = table_of(metric, [[outside, least], [least, outside]])
    assert heads_of(table, name) == [(0, 1, least), (1, 0, least)]


def test_all_patterns_state_their_condition():
    assert [pattern.name for pattern in PATTERNS] == [*THRESHOLDS]
    for pattern in PATTERNS:
        metric, least = THRESHOLDS[pattern.name]
        way = "most" if pattern.name == "sharp" else "least"
        condition = pattern.condition
        assert condition.startswith(f"{metric} at {way} {least:g}")
        alone = pattern.name in ("other text", "broad", "sharp")
        assert ("2 times that of equal weights" in condition) != alone


@pytest.mark.parametrize("name", THRESHOLDS)
def test_a_short_text_names_no_head_by_chance(name):
    """Below twice what equal weights give, and above the threshold."""
    metric, least = THRESHOLDS[name]
    twice = (least + 1) / 2
    table = table_of(
        metric, [[np.nextafter(twice, 0), twice]], equal=twice / 2
    )
    by_entropy = {"sharp": 0, "broad": 2}.get(name, 1)
    expected = 2 if name == "other text" else by_entropy
    assert len(heads_of(table, name)) == expected


@pytest.mark.parametrize("first", ["clearest", "sharpest"])
def test_the_clearest_head_comes_first(first):
    metric = {"clearest": "self", "sharpest": "entropy"}[first]
    name = {"clearest": "self", "sharpest": "sharp"}[first]
    values = {"clearest": [0.6, 0.9, 0.7], "sharpest": [0.06, 0.01, 0.05]}
    named = heads_of(table_of(metric, [values[first]]), name)
    assert [head for _, head, _ in named] == [1, 2, 0]


def keys_looked_at(name):
    """The position that each token of SENTENCES looks at."""
    n = len(SENTENCES)
    twins = {1: 4, 4: 1, 3: 6, 6: 3, 5: 9, 9: 5}
    return {
        "previous token": [max(i - 1, 0) for i in range(n)],
        "next token": [min(i + 1, n - 1) for i in range(n)],
        "self": [*range(n)],
        "looks at [CLS]": [0] * n,
        "looks at [SEP]": [5] * n,
        "first token": [0] * n,
        "punctuation": [2] * n,
        "same token": [twins.get(i, i) for i in range(n)],
        "other text": [n - 1] * 6 + [0] * (n - 6),
        "sharp": [*range(n)],
    }[name]


@pytest.mark.parametrize("name", THRESHOLDS)
def test_a_head_made_for_a_pattern_has_it(name):
    n = len(SENTENCES)
    equal = np.full((n, n), 1 / n)
    head = equal if name == "broad" else np.eye(n)[keys_looked_at(name)]
    if name == "first token":  # a pattern of causal models alone
        equal = np.tri(n) / np.arange(1, n + 1)[:, None]
    segments = (np.arange(n) > 5).astype(int)
    weights = np.stack([head, equal])[None]
    attention = from_arrays(SENTENCES, weights, segments=segments)
    by_pattern = named_heads(metric_table(attention))
    assert (0, 0) in [named[:2] for named in by_pattern[name]]
    with_equal = {
        pattern
        for pattern, heads in by_pattern.items()
        if (0, 1) in [named[:2] for named in heads]
    }
    assert with_equal == {"broad"}


def test_an_unknown_pattern_is_refused():
    with pytest.raises(ValueError, match=r"a pattern: .*, got 'diagonal'"):
        heads_of(table_of("self", [[1.0]]), "diagonal")
    assert heads_of(table_of("self", [[1.0]]), "broad") == []


def test_the_heads_of_minilm_that_look_beside_themselves():
    by_pattern = named_heads(metric_table(minilm()))
    ((layer, head, previous),) = by_pattern["previous token"]
    assert (layer, head, round(previous, 3)) == (0, 2, 1)
    ((layer, head, after),) = by_pattern["next token"]
    assert (layer, head) == (1, 8)
    assert 0.63 <= after <= 0.69
    ((layer, head, entropy),) = by_pattern["sharp"]
    assert (layer, head, round(entropy, 3)) == (0, 2, 0.001)


# --- tables --------------------------------------------------------------


def test_an_average_counts_each_text_once():
    first = table_of("self", [[1.0, 2.0]], 0.5)
    other = table_of("self", [[3.0, 6.0]], 0.25)
    more = replace(
        other,
        values=other.values | {"[CLS]": np.array([[0.5, 0.75]])},
        baselines=other.baselines | {"[CLS]": 0.125},
    )
    table = averaged(iter([first, other, more]))
    assert [*table.values] == ["self", "[CLS]"]
    expect_near("mean", table.values["self"], [[7 / 3, 14 / 3]], 5)
    expect_near("mean", np.float64(table.baselines["self"]), 1 / 3, 5)
    # A metric that does not apply to some is the mean over the others.
    assert table.values["[CLS]"].tolist() == [[0.5, 0.75]]
    assert table.baselines["[CLS]"] == 0.125
    assert table.texts == 3
    assert table.caption == "a model; 3 texts; as given"
    assert first.caption == "a model; one text; as given"


def test_tables_that_do_not_belong_together_are_refused():
    table = table_of("self", [[1.0, 2.0]])
    for other in (
        table_of("self", [[1.0, 2.0]], about="another"),
        table_of("self", [[1.0, 2.0]], rows="otherwise"),
        table_of("self", [[1.0], [2.0]]),
    ):
        with pytest.raises(ValueError, match="same way, got 2 kinds"):
            averaged([table, other])
    with pytest.raises(ValueError, match="same way, got 0 kinds"):
        averaged([])


def test_a_mean_of_means_is_refused():
    """It would not count each text once."""
    table = table_of("self", [[1.0, 2.0]])
    message = "tables of one text each, got one of 2 texts"
    with pytest.raises(ValueError, match=message):
        averaged([averaged([table, table]), table])


def test_a_table_comes_back_from_its_csv():
    table = metric_table(minilm())
    header, *rows, last = csv.reader(StringIO(table.as_csv()))
    assert header == ["layer", "head", *table.values]
    assert last[:2] == ["equal weights", ""]
    assert len(rows) == 6 * 12
    for column, name in enumerate(table.values, 2):
        back = np.zeros(table.shape)
        for row in rows:
            back[int(row[0]), int(row[1])] = float(row[column])
        # Six digits: half of the sixth is off, of a number from 1 to 10.
        np.testing.assert_allclose(back, table.values[name], rtol=5e-6)
        equal = float(last[column])
        assert equal == pytest.approx(table.baselines[name], rel=5e-6)
