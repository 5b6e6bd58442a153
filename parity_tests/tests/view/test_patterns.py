"""Heads by name, and tables of all metrics."""

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
    "classifier": ("[CLS]", 0.5),
    "separator": ("[SEP]", 0.5),
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
def test_a_head_has_a_name_from_the_threshold_on(name):
    metric, least = THRESHOLDS[name]
    outside = np.nextafter(least, 1 if name == "sharp" else 0)
    table = table_of(metric, [[outside, least], [least, outside]])
    assert heads_of(table, name) == [(0, 1, least), (1, 0, least)]


def test_all_patterns_say_their_condition():
    assert [one.name for one in PATTERNS] == [*THRESHOLDS]
    for one in PATTERNS:
        metric, least = THRESHOLDS[one.name]
        way = "most" if one.name == "sharp" else "least"
        assert one.words.startswith(f"{metric} at {way} {least:g}")
        alone = one.name in ("other text", "broad", "sharp")
        assert ("2 times that of equal weights" in one.words) != alone


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
    found = heads_of(table_of(metric, [values[first]]), name)
    assert [one.head for one in found] == [1, 2, 0]


def keys_looked_at(name):
    """For each token of SENTENCES the one that it looks at."""
    n = len(SENTENCES)
    twins = {1: 4, 4: 1, 3: 6, 6: 3, 5: 9, 9: 5}
    return {
        "previous token": [max(i - 1, 0) for i in range(n)],
        "next token": [min(i + 1, n - 1) for i in range(n)],
        "self": [*range(n)],
        "classifier": [0] * n,
        "separator": [5] * n,
        "first token": [0] * n,
        "punctuation": [2] * n,
        "same token": [twins.get(i, i) for i in range(n)],
        "other text": [n - 1] * 6 + [0] * (n - 6),
        "sharp": [*range(n)],
    }[name]


@pytest.mark.parametrize("name", THRESHOLDS)
def test_a_head_that_was_made_for_it_has_the_name(name):
    n = len(SENTENCES)
    equal = np.full((n, n), 1 / n)
    head = equal if name == "broad" else np.eye(n)[keys_looked_at(name)]
    if name == "first token":  # a name for causal models alone
        equal = np.tri(n) / np.arange(1, n + 1)[:, None]
    segments = (np.arange(n) > 5).astype(int)
    weights = np.stack([head, equal])[None]
    attention = from_arrays(SENTENCES, weights, segments=segments)
    found = named_heads(metric_table(attention))
    assert (0, 0) in [one[:2] for one in found[name]]
    with_equal = {
        kind
        for kind, heads in found.items()
        if (0, 1) in [one[:2] for one in heads]
    }
    assert with_equal == {"broad"}


def test_a_pattern_that_none_has_is_refused():
    with pytest.raises(ValueError, match=r"a pattern: .*, got 'diagonal'"):
        heads_of(table_of("self", [[1.0]]), "diagonal")
    assert heads_of(table_of("self", [[1.0]]), "broad") == []


def test_the_heads_of_minilm_that_look_beside_themselves():
    found = named_heads(metric_table(minilm()))
    ((layer, head, previous),) = found["previous token"]
    assert (layer, head, round(previous, 3)) == (0, 2, 1)
    ((layer, head, after),) = found["next token"]
    assert (layer, head) == (1, 8)
    assert 0.63 <= after <= 0.69
    ((layer, head, entropy),) = found["sharp"]
    assert (layer, head, round(entropy, 3)) == (0, 2, 0.001)


# --- tables --------------------------------------------------------------


def test_an_average_counts_each_text_once():
    one = table_of("self", [[1.0, 2.0]], 0.5)
    other = table_of("self", [[3.0, 6.0]], 0.25)
    more = replace(
        other,
        values=other.values | {"[CLS]": np.array([[0.5, 0.75]])},
        baselines=other.baselines | {"[CLS]": 0.125},
    )
    found = averaged(iter([one, other, more]))
    assert [*found.values] == ["self", "[CLS]"]
    expect_near("mean", found.values["self"], [[7 / 3, 14 / 3]], 5)
    expect_near("mean", np.float64(found.baselines["self"]), 1 / 3, 5)
    # A metric that means nothing for some is the mean over the others.
    assert found.values["[CLS]"].tolist() == [[0.5, 0.75]]
    assert found.baselines["[CLS]"] == 0.125
    assert found.texts == 3
    assert found.caption == "a model; 3 texts; as given"
    assert one.caption == "a model; one text; as given"


def test_tables_that_do_not_belong_together_are_refused():
    one = table_of("self", [[1.0, 2.0]])
    for other in (
        table_of("self", [[1.0, 2.0]], about="another"),
        table_of("self", [[1.0, 2.0]], rows="otherwise"),
        table_of("self", [[1.0], [2.0]]),
    ):
        with pytest.raises(ValueError, match="made alike, got 2 kinds"):
            averaged([one, other])
    with pytest.raises(ValueError, match="made alike, got 0 kinds"):
        averaged([])


def test_a_mean_of_means_is_refused():
    """It would not count each text once."""
    one = table_of("self", [[1.0, 2.0]])
    message = "tables of one text each, got one of 2 texts"
    with pytest.raises(ValueError, match=message):
        averaged([averaged([one, one]), one])


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
