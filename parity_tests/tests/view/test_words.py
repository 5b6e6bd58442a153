"""Word pieces joined, rollout, and special tokens left out."""

from math import fsum

import numpy as np
import pytest
from hypothesis import given

from bert_viz import from_arrays
from bert_viz.attention import LEFT_OUT, RENORMALISED
from bert_viz.measures import rollout
from bert_viz.measures.metric_table import metric_table
from bert_viz.words import JOINED, joined

from .cases import (
    attentions,
    expect_near,
    heads_and_rows,
    mean,
    minilm,
    one_head,
)

# --- words, and rollout --------------------------------------------------


def words_of(attention):
    """Lists of the positions of each word."""
    words = []
    for position, token in enumerate(attention.tokens):
        if words and token.startswith("##"):
            words[-1].append(position)
        else:
            words.append([position])
    return words


@given(attention=attentions(causal=False))
def test_a_word_gets_the_sum_and_gives_the_mean(attention):
    n, merged = len(attention.tokens), joined(attention)
    words = words_of(attention)
    after = [*attention.special]
    # A piece after a special token stands alone, for that is a word.
    words = split_after_special(words, after)
    assert len(merged.tokens) == len(words)
    for head, rows in heads_and_rows(attention):
        expected = [
            [
                mean(fsum(rows[i][j] for j in key) for i in query)
                for key in words
            ]
            for query in words
        ]
        expect_near("words", merged.weights[head], expected, 2 * n + 2)
    sums = merged.weights.sum(axis=-1)
    expect_near("words", sums, np.ones_like(sums), 4 * n + 2)


def split_after_special(words, special):
    split = []
    for word in words:
        if special[word[0]] and len(word) > 1:
            split += [word[:1], word[1:]]
        else:
            split.append(word)
    return split


def test_joined_words_have_their_text_and_their_marks():
    tokens = ["[CLS]", "un", "##aff", "##able", ",", "[SEP]", "##ed"]
    segments = np.array([0, 0, 0, 0, 0, 0, 1])
    weights = np.full((1, 1, 7, 7), 1 / 7)
    merged = joined(from_arrays(tokens, weights, segments=segments))
    assert merged.tokens == ("[CLS]", "unaffable", ",", "[SEP]", "ed")
    assert merged.special.tolist() == [True, False, False, True, False]
    assert merged.segments.tolist() == [0, 0, 0, 0, 1]
    assert JOINED in merged.rows
    assert JOINED in merged.without_special(renormalise=True).rows
    assert merged.values is None


def test_the_words_of_a_causal_model_begin_with_a_space():
    tokens = ["<|endoftext|>", "Hel", "lo", " wor", "ld", "!", "\n", "a"]
    rows = np.tri(8) / np.arange(1, 9)[:, None]
    merged = joined(one_head(rows, tokens))
    assert merged.tokens[:3] == ("<|endoftext|>", "Hello", " world!")
    assert merged.special.tolist() == [True, False, False, False]
    assert merged.causal


@pytest.mark.parametrize("space", [" ", "\u0120", "\u2581"])
def test_so_do_those_of_a_roberta_and_of_sentencepiece(space):
    begin, end = (
        ("[CLS]", "[SEP]") if space == "\u2581" else ("<s>", "</s>")
    )
    tokens = [begin, "un", "aff", f"{space}a", "ble", "##!", end]
    merged = joined(one_head(np.full((7, 7), 1 / 7), tokens))
    assert merged.tokens == (begin, "unaff", " able##!", end)
    assert merged.special.tolist() == [True, False, False, True]
    assert not merged.causal


@given(attention=attentions())
def test_rollout_multiplies_the_layers(attention):
    n, heads = len(attention.tokens), attention.heads
    shares = rollout.rollout(attention)
    expected = np.eye(n)
    for layer in range(attention.layers):
        rows = attention.weights[layer].astype(float).tolist()
        mixed = [
            [
                (mean(head[i][j] for head in rows) + (i == j)) / 2
                for j in range(n)
            ]
            for i in range(n)
        ]
        expected = [
            [
                fsum(mixed[i][k] * expected[k][j] for k in range(n))
                for j in range(n)
            ]
            for i in range(n)
        ]
        # For each layer the mean, the half, and a product of n terms.
        roundings = (layer + 1) * (heads + n + 3)
        expect_near("rollout", shares[layer], expected, roundings)
        sums = shares[layer].sum(axis=-1)
        expect_near("rollout", sums, np.ones(n), 2 * roundings)


def test_rollout_multiplies_each_layer_onto_the_one_below():
    """The first looks back by one, the second at the first token."""
    weights = np.stack([np.eye(4)[[0, 0, 1, 2]], np.eye(4)[[0] * 4]])
    shares = rollout.rollout(from_arrays([*"abcd"], weights[:, None]))
    assert shares[1][3].tolist() == [1 / 2, 0, 1 / 4, 1 / 4]


# --- without special tokens ----------------------------------------------


WITH_WORDS = attentions(dtype="float64").filter(
    lambda attention: not attention.special.all()
)


@given(attention=WITH_WORDS)
def test_without_special_tokens_their_weight_is_missing(attention):
    n, others = len(attention.tokens), attention.without_special()
    assert others.rows == LEFT_OUT
    assert others.tokens == tuple(
        token
        for token in attention.tokens
        if token not in ("[CLS]", "[SEP]")
    )
    assert not others.special.any()
    missing = attention.weights[..., attention.special].sum(axis=-1)
    sums = others.weights.sum(axis=-1)
    expected = 1 - missing[..., ~attention.special]
    expect_near("left out", sums, expected, 3 * n, 1.0)


@given(attention=WITH_WORDS)
def test_rows_that_are_renormalised_sum_to_1_again(attention):
    n = len(attention.tokens)
    plain, renormalised = (
        attention.without_special(renormalise) for renormalise in (0, 1)
    )
    assert renormalised.rows == RENORMALISED
    sums = plain.weights.sum(axis=-1, keepdims=True)
    products = renormalised.weights * sums
    expect_near("renormalised", products, plain.weights, n + 3)
    total = renormalised.weights.sum(axis=-1)
    expect_near(
        "renormalised", total, (sums[..., 0] > 0).astype(float), 3 * n
    )


def test_all_arrays_of_special_tokens_are_left_out():
    whole = minilm()
    others = whole.without_special()
    assert others.segments.tolist() == [0] * 11
    for name in ("queries", "keys", "values"):
        own = getattr(whole, name)[..., 1:-1, :]
        np.testing.assert_array_equal(getattr(others, name), own)
    np.testing.assert_array_equal(
        others.weights, whole.weights[..., 1:-1, 1:-1]
    )
    np.testing.assert_array_equal(
        others.value_norms, whole.value_norms[..., 1:-1]
    )
    assert others.outputs is whole.outputs


def test_a_row_that_gave_everything_to_special_tokens_stays_zero():
    attention = one_head(np.eye(3)[[0, 0, 2]], ["[CLS]", "a", "b"])
    for renormalise in (False, True):
        rows = attention.without_special(renormalise).weights[0, 0]
        assert rows.tolist() == [[0, 0], [0, 1]]


def test_a_table_says_that_special_tokens_are_left_out():
    table = metric_table(minilm(), special=False)
    assert table.caption.endswith(f"one text; {RENORMALISED}")
    assert not {"[CLS]", "[SEP]"} & table.values.keys()
    known = metric_table(minilm().without_special(renormalise=True))
    for name, values in table.values.items():
        np.testing.assert_array_equal(values, known.values[name])
    assert round(table.baselines["self"], 6) == round(1 / 11, 6)


@pytest.mark.parametrize("renormalise", [False, True])
def test_a_text_of_special_tokens_alone_is_refused(renormalise):
    attention = one_head(np.eye(2), ["[CLS]", "[SEP]"])
    message = r"a token that is not special, got \[CLS\], \[SEP\]$"
    with pytest.raises(ValueError, match=message):
        attention.without_special(renormalise)
