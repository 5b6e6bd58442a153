"""Cross-attention: two texts are measured, and what needs one says so."""

import json

import numpy as np
import pytest
from scipy.stats import entropy as scipy_entropy

from bert_viz import from_arrays
from bert_viz.measures.head_map import head_map
from bert_viz.measures.metric_table import averaged, metric_table
from bert_viz.measures.metrics import METRICS
from bert_viz.measures.rollout import rollout
from bert_viz.page.data import as_json, cross_data, page_data
from bert_viz.page.file import page_of
from bert_viz.page.packing import unpack
from bert_viz.words import joined, key_word_ids, word_ids

from .cases import expect_near

QUERIES = ("le", "chat", "##on")
KEYS = ("[CLS]", "a", "kit", "##ten", ".", "le", "[SEP]")
ONE_TEXT = (
    *("previous token", "self", "next token", "same token"),
    *("other text", "first token", "distance"),
)


def cross(queries=QUERIES, keys=KEYS, seed=0, **others):
    """Weights of two layers of two random heads, from text to text."""
    scores = np.random.default_rng(seed).normal(
        scale=2, size=(2, 2, len(queries), len(keys))
    )
    powers = np.exp(scores)
    weights = powers / powers.sum(axis=-1, keepdims=True)
    return from_arrays(queries, weights, key_tokens=keys, **others)


CROSS = cross()


def test_metrics_look_at_the_tokens_of_the_keys():
    table = metric_table(CROSS)
    columns = {"[CLS]": [0], "[SEP]": [6], "punctuation": [4]}
    expected = {
        name: CROSS.weights[..., keys].sum(axis=-1).mean(axis=-1)
        for name, keys in columns.items()
    }
    entropies = scipy_entropy(CROSS.weights, axis=-1)
    expected["entropy"] = (entropies / np.log(7)).mean(axis=-1)
    expected["effective keys"] = np.exp(entropies).mean(axis=-1)
    expected["confidence"] = CROSS.weights.max(axis=-1).mean(axis=-1)
    assert table.values.keys() == expected.keys()
    for name, values in expected.items():
        expect_near(name, table.values[name], values, 60)
    assert table.baselines["[CLS]"] == pytest.approx(1 / 7)
    assert table.baselines["entropy"] == pytest.approx(1)


def test_metrics_that_compare_tokens_of_one_text_are_named():
    table = metric_table(CROSS)
    assert table.left_out == ONE_TEXT
    names = ", ".join(ONE_TEXT)
    assert table.note.endswith(f"tokens of two texts: {names}")
    assert table.note in repr(table)
    assert table.note in table._repr_html_()
    assert {metric.name for metric in METRICS} == {*table.values, *ONE_TEXT}
    assert averaged([table, metric_table(cross(seed=1))]).note == table.note
    # With as many queries as keys, nothing else would notice.
    square = metric_table(cross(QUERIES, KEYS[:3]))
    assert not square.values.keys() & set(ONE_TEXT)


def test_a_text_that_looks_at_itself_leaves_nothing_out():
    weights = np.full((1, 1, 3, 3), 1 / 3)
    table = metric_table(from_arrays(QUERIES, weights))
    assert (table.left_out, table.note) == ((), "")
    names = ", ".join(table.values)
    assert repr(table) == f"<MetricTable: {names}; {table.caption}>"


def test_tables_of_the_two_kinds_have_no_mean():
    alone = from_arrays(QUERIES, np.full((2, 2, 3, 3), 1 / 3))
    with pytest.raises(ValueError, match="the same way, got 2 kinds"):
        averaged([metric_table(alone), metric_table(CROSS)])


def test_words_are_joined_on_both_sides():
    assert word_ids(CROSS).tolist() == [0, 1, 1]
    assert key_word_ids(CROSS).tolist() == [0, 1, 2, 2, 3, 4, 5]
    words = joined(CROSS)
    assert words.tokens == ("le", "chaton")
    assert words.key_tokens == ("[CLS]", "a", "kitten", ".", "le", "[SEP]")
    assert words.key_special.tolist() == [True, *[False] * 4, True]
    kitten = CROSS.weights[..., 2] + CROSS.weights[..., 3]
    expected = np.stack([kitten[..., 0], kitten[..., 1:].mean(-1)], -1)
    expect_near("words", words.weights[..., 2], expected, 8)


def test_heads_of_cross_attention_have_a_map():
    points, share = head_map(CROSS)
    assert points.shape == (2, 2, 2)
    assert share > 0


def test_a_rollout_of_cross_attention_is_refused():
    message = (
        "^expected attention of one text to itself for the rollout, got "
        "cross-attention, 3 queries by 7 keys$"
    )
    with pytest.raises(ValueError, match=message):
        rollout(CROSS)


def test_a_page_of_cross_attention_is_refused():
    message = (
        "^expected attention of one text to itself for a page, got "
        "cross-attention, 3 queries by 7 keys; the plots show it$"
    )
    with pytest.raises(ValueError, match=message):
        page_of(CROSS)


def test_padding_counts_for_no_entropy():
    weights = np.array([[0.5, 0.5, 0, 0]] * 4)[None, None]
    padded = from_arrays(["a", "b", "[PAD]", "[PAD]"], weights)
    table = metric_table(padded)
    assert table.values["entropy"] == pytest.approx(1)
    assert table.baselines["confidence"] == 0.5


def test_data_of_cross_attention_has_two_rows_of_tokens():
    data = json.loads(as_json(cross_data(CROSS)))
    (text,) = data["texts"]
    assert (data["layers"], data["heads"]) == (2, 2)
    assert tuple(text["tokens"]) == QUERIES
    assert tuple(text["key_tokens"]) == KEYS
    assert text["key_special"] == [True, *5 * [False], True]
    assert text["word_ids"] == [0, 1, 1]
    assert text["key_word_ids"] == [0, 1, 2, 2, 3, 4, 5]
    assert text["causal"] is False
    weights = unpack(text["weights"])
    assert weights.shape == (2, 2, len(QUERIES), len(KEYS))
    assert abs(weights - CROSS.weights).max() <= text["weights"]["error"]
    assert len(text["padding"]) == len(KEYS)


def test_data_of_one_text_has_one_row_of_tokens():
    equal = np.full((1, 1, 3, 3), 1 / 3)
    one = from_arrays(QUERIES, equal)
    (text,) = page_data(one, None, ())["texts"]
    assert not [name for name in text if name.startswith("key")]
    message = (
        "^expected cross-attention, got attention of one text to itself, "
        "3 tokens; a page shows it$"
    )
    with pytest.raises(ValueError, match=message):
        cross_data(one)
