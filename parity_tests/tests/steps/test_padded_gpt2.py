"""Padded batches of GPT-2 beside transformers' own, and each text alone."""

from copy import deepcopy

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from numpy_ref.gpt2 import gpt2, padded_gpt2
from numpy_ref.gpt2_on_one_page import next_token_logits
from parity_tests.oracles.gpt2 import (
    SMALL,
    oracle_and_ours,
    ours,
    random_ids,
    theirs,
)

POSITIONS = SMALL["n_positions"]
SIDES = ["left", "right"]


def lengths_of(longest):
    return st.lists(st.integers(1, longest), min_size=1, max_size=4)


def mask_of(lengths, side):
    """True for the tokens of each text, padded on that side."""
    columns, lengths = np.arange(max(lengths)), np.array(lengths)[:, None]
    if side == "left":
        return columns >= max(lengths) - lengths
    return columns < lengths


def positions_one_by_one(attention_mask):
    """Each text's tokens counted from 0; for padding transformers' 1."""
    positions = np.ones(attention_mask.shape, int)
    for text, row in zip(positions, attention_mask, strict=True):
        text[row] = range(row.sum())
    return positions


def run(checkpoint, ids, attention_mask):
    config = checkpoint.config
    return padded_gpt2(
        *(ids, attention_mask, checkpoint.model),
        *(config.heads, config.epsilon),
    )


def run_alone(checkpoint, ids):
    config = checkpoint.config
    return gpt2(ids, checkpoint.model, config.heads, config.epsilon)


def run_oracle(oracle, ids, attention_mask):
    return theirs(
        oracle,
        ids,
        attention_mask=attention_mask.astype(int),
        position_ids=positions_one_by_one(attention_mask),
    )


def rows_of_tokens(array, attention_mask):
    """The rows of a result that belong to tokens, not to padding."""
    has_heads = array.ndim == 4
    rows = array.swapaxes(1, 2) if has_heads else array
    return rows[attention_mask]


def expect_near(array, expected, name):
    """float64, end to end: 1e-10 of the largest value."""
    assert (array.shape, array.dtype) == (expected.shape, expected.dtype)
    distance = abs(array - expected).max()
    assert distance <= 1e-10 * abs(expected).max(), name


@pytest.mark.parametrize("side", SIDES)
@given(
    heads=st.integers(1, 3),
    d_head=st.integers(1, 5),
    layers=st.integers(1, 3),
    lengths=lengths_of(POSITIONS),
    seed=st.integers(0, 99),
)
@settings(max_examples=max(5, settings().max_examples // 5))
def test_a_padded_batch_is_that_of_transformers_at_every_layer_and_head(
    tmp_path_factory, side, heads, d_head, layers, lengths, seed
):
    oracle, checkpoint = oracle_and_ours(
        tmp_path_factory.mktemp("gpt2"),
        seed=seed,
        n_embd=heads * d_head,
        n_head=heads,
        n_layer=layers,
    )
    attention_mask = mask_of(lengths, side)
    ids = random_ids(*attention_mask.shape, seed=seed)
    our_results = ours(*run(checkpoint, ids, attention_mask))
    their_results = run_oracle(oracle, ids, attention_mask)
    assert our_results.keys() == their_results.keys()
    for name, expected in their_results.items():
        expect_near(
            rows_of_tokens(our_results[name], attention_mask),
            rows_of_tokens(expected, attention_mask),
            name,
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("gpt2")


@pytest.fixture(scope="module")
def checkpoint(folder):
    return oracle_and_ours(folder)[1]


def expect_each_as_if_alone(checkpoint, ids, attention_mask):
    """Every text of a batch equals that text without its padding."""
    x, layers, logits = run(checkpoint, ids, attention_mask)
    for text, tokens in enumerate(attention_mask):
        expected_x, expected_layers, expected_logits = run_alone(
            checkpoint, ids[text, tokens]
        )
        expect_near(x[text, tokens], expected_x, "x")
        expect_near(logits[text, tokens], expected_logits, "logits")
        for layer, expected in zip(layers, expected_layers, strict=True):
            for name in ("query", "key", "value"):
                rows = getattr(layer, name)[text][:, tokens]
                expect_near(rows, getattr(expected, name), name)
            expect_near(
                layer.hidden[text, tokens], expected.hidden, "hidden"
            )
            weights = layer.weights[text][:, tokens]
            expect_near(weights[..., tokens], expected.weights, "weights")
            assert not weights[..., ~tokens].any()
    for array in (x, logits, *(part for layer in layers for part in layer)):
        assert np.isfinite(array).all()


@given(
    side=st.sampled_from(SIDES),
    lengths=lengths_of(POSITIONS),
    seed=st.integers(0, 99),
)
@example(side="left", lengths=[3, 7, 5], seed=0)
@example(side="right", lengths=[3, 7, 5], seed=0)
def test_each_text_of_a_batch_equals_the_text_alone(
    checkpoint, side, lengths, seed
):
    attention_mask = mask_of(lengths, side)
    ids = random_ids(*attention_mask.shape, seed=seed)
    expect_each_as_if_alone(checkpoint, ids, attention_mask)


@given(
    seed=st.integers(0, 99),
    texts=st.integers(1, 4),
    columns=st.integers(1, 2 * POSITIONS),
)
def test_padding_may_stand_anywhere_and_takes_no_position(
    checkpoint, seed, texts, columns
):
    """Before, between and after; so an array may be too long for one."""
    generator = np.random.default_rng(seed)
    length = min(columns, POSITIONS)
    ones = np.arange(columns) < generator.integers(
        1, length + 1, (texts, 1)
    )
    attention_mask = generator.permuted(ones, axis=1)
    ids = random_ids(texts, columns, seed=seed)
    expect_each_as_if_alone(checkpoint, ids, attention_mask)


def test_without_padding_it_is_gpt2_to_the_last_bit(checkpoint):
    ids = random_ids(3, 9)
    padded = run(checkpoint, ids, np.ones(ids.shape, bool))
    plain = run_alone(checkpoint, ids)
    for name, expected in ours(*plain).items():
        np.testing.assert_array_equal(ours(*padded)[name], expected)


def test_a_text_that_is_all_padding_attends_to_nothing(checkpoint):
    attention_mask = np.array([[False] * 5, [False] * 2 + [True] * 3])
    _, layers, logits = run(checkpoint, random_ids(2, 5), attention_mask)
    for layer in layers:
        assert not layer.weights[0].any()
        assert layer.weights[1].any()
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("side", SIDES)
def test_a_padded_text_is_gpt2_on_one_page(checkpoint, side):
    attention_mask = mask_of([3, 7, 5], side)
    ids = random_ids(3, 7)
    *_, logits = run(checkpoint, ids, attention_mask)
    config = checkpoint.config
    for text, tokens in enumerate(attention_mask):
        expected = next_token_logits(
            *(ids[text, tokens], checkpoint.model),
            *(config.heads, config.epsilon),
        )
        expect_near(logits[text, tokens], expected, "logits")


@pytest.mark.parametrize("side", SIDES)
def test_in_float32_it_strays_no_further_than_transformers(tmp_path, side):
    """By the yardstick of `test_end_to_end.py`, four times theirs."""
    oracle, single = oracle_and_ours(tmp_path, "float32", n_layer=4)
    attention_mask = mask_of([17, 9, 3], side)
    ids = random_ids(3, 17)
    our_logits = run(single, ids, attention_mask)[-1]
    their_logits, exact = (
        run_oracle(model, ids, attention_mask)["logits"]
        for model in (oracle, deepcopy(oracle).double())
    )
    assert our_logits.dtype == their_logits.dtype == np.float32
    our_distance, their_distance = (
        abs(logits - exact)[attention_mask].max()
        for logits in (our_logits, their_logits)
    )
    assert 0 < our_distance <= 4 * their_distance


def test_a_text_longer_than_the_positions_is_refused(checkpoint):
    ids = random_ids(1, POSITIONS + 1)
    attention_mask = np.ones(ids.shape, bool)
    message = f"expected positions from 0 to {POSITIONS - 1}, got 20"
    with pytest.raises(ValueError, match=message):
        run(checkpoint, ids, attention_mask)
    attention_mask[:, 0] = False
    expect_each_as_if_alone(checkpoint, ids, attention_mask)


def test_a_mask_of_numbers_is_refused(checkpoint):
    """transformers' own: 1 and 0, which `&` would take bit by bit."""
    ids = random_ids(2, 4)
    message = 'expected attention_mask: Bool ".*, got int64'
    with pytest.raises(ValueError, match=message):
        run(checkpoint, ids, np.ones(ids.shape, int))
