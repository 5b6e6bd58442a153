"""Units of a panel: words, special tokens, segments, differences."""

import numpy as np
import pytest

from bert_viz.page.data import page_data
from bert_viz.words import joined
from parity_tests.bounds.rounding import Rounding

from .cases import (
    ATTENTION,
    OF_A_PAIR,
    OTHER,
    PAIR,
    SEGMENTS,
    WORDS,
    attention_of,
    expect_near,
    state_of,
)
from .cases import attention as attention
from .cases import script as script


def matrix_of(script, layer=0, head=0, panel="first", **changes) -> dict:
    return script(
        "(({ weights, queries, keys, errors }) => ({ errors, weights: "
        "Array.from(weights), keys: keys.map((unit) => unit.token), "
        "queries: queries.map((unit) => unit.token) }))(matrixOf("
        "panelsOf(data, panel)[0], layer, head, options))",
        panel=panel,
        layer=layer,
        head=head,
        options=state_of(**changes),
    )


def expect_weights(matrix, weights, pieces):
    """Within each column's stated error, which grows with its pieces."""
    errors = np.array(pieces) / 510
    assert np.allclose(matrix["errors"], errors, rtol=1e-12, atol=0)
    # Float32 sums of steps: a rounding for each step that is added.
    roundings = len(ATTENTION.tokens) ** 2
    u = Rounding.of(np.float32).gamma(roundings)
    expect_near("weights", weights, matrix["weights"], errors + u)


def pieces_of(attention, words: bool, special: bool) -> list[int]:
    """The number of tokens of each unit."""
    ids = page_data(attention, None, ())["texts"][0]["word_ids"]
    units = np.array(ids) if words else np.arange(len(ids))
    kept = units[special | ~attention.special]
    return np.unique(kept, return_counts=True)[1].tolist()


@pytest.mark.parametrize("words", [False, True], ids=["pieces", "words"])
@pytest.mark.parametrize("special", [True, False], ids=["all", "hidden"])
def test_words_and_special_tokens_are_as_in_python(
    script, attention, words, special
):
    script.hold(attention)
    expected = joined(attention) if words else attention
    if not special:
        expected = expected.without_special()
    pieces = pieces_of(attention, words, special)
    for layer, head in ((0, 0), (1, 2)):
        matrix = matrix_of(
            script, layer, head, words=words, special=special
        )
        assert matrix["keys"] == matrix["queries"] == [*expected.tokens]
        expect_weights(matrix, expected.weights[layer, head], pieces)


def test_a_piece_that_begins_a_word_is_named_as_in_python(script):
    cut = attention_of(("[CLS]", "##ing", "##s", "a", "[SEP]"))
    script.hold(cut)
    matrix = matrix_of(script, words=True)
    assert matrix["keys"] == [*joined(cut).tokens]


@pytest.mark.parametrize("between", ["all", "aa", "ab", "ba", "bb"])
def test_of_a_pair_only_the_chosen_segments_are_shown(script, between):
    script.hold(OF_A_PAIR)
    matrix = matrix_of(script, between=between)
    sides = {"a": SEGMENTS == 0, "b": SEGMENTS == 1}
    every = np.ones(len(PAIR), bool)
    rows, columns = (
        (every, every) if between == "all" else (sides[s] for s in between)
    )
    tokens = np.array(PAIR)
    assert matrix["queries"] == tokens[rows].tolist()
    assert matrix["keys"] == tokens[columns].tolist()
    expected = OF_A_PAIR.weights[0, 0][rows][:, columns]
    expect_weights(matrix, expected, [1] * columns.sum())


def test_of_one_text_no_segment_is_left_out(script):
    script.hold(ATTENTION)
    assert matrix_of(script, between="ab")["keys"] == [*WORDS]


def test_a_difference_is_second_minus_first_with_both_errors(script):
    script.hold(ATTENTION, OTHER)
    matrix = matrix_of(script, 1, 1, "difference")
    difference = OTHER.weights[1, 1] - ATTENTION.weights[1, 1]
    expect_weights(matrix, difference, [2] * len(WORDS))


def test_texts_of_different_lengths_have_no_difference(script):
    script.hold(ATTENTION, attention_of(WORDS[:5], about=ATTENTION.about))
    refusal = "refusal(panelsOf(data, which)[0], options)"
    message = script(refusal, which="difference", options=state_of())
    assert "same number of tokens; these have 9 and 5 queries" in message
    assert script(refusal, which="first", options=state_of()) == ""


def test_where_texts_differ_both_tokens_are_shown(script):
    other = ("[CLS]", "the", *WORDS[2:])
    script.hold(ATTENTION, attention_of(other, about=ATTENTION.about))
    assert matrix_of(script, panel="difference")["keys"] == [
        *("[CLS]", "a | the", *WORDS[2:])
    ]
