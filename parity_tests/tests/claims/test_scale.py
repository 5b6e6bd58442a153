"""Claims about the scale: what it does, what it assumes, where it fails.

The random tests take sums whose distribution is exact: right code would
fail once in 1e9 times, if the seed were not fixed (`chi_square.py`).
"""

from math import sqrt

import numpy as np
import pytest

from numpy_ref import attention
from parity_tests.claims import scale as claims_of_scale
from parity_tests.claims.chi_square import SumOfSquares, pairs_needed
from parity_tests.claims.scale import (
    NORMAL_LIKE,
    ROOT_3_SQUARED,
    SIGNS,
    all_matrices,
    all_products,
    initial_scores,
    normal_products,
    variance_of_mean_square,
    whitened,
)

PAIRS = pairs_needed(1.1)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("d_head", [1, 7, 64])
def test_a_product_has_variance_d_and_a_score_variance_1(d_head):
    measured = normal_products(generator(), PAIRS, d_head)
    assert measured.lengths.is_chance
    assert measured.products.is_chance
    assert measured.scores.is_chance
    assert measured.variance == pytest.approx(d_head, rel=0.1)
    assert measured.variance_of_scores == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("ratio", [1 / 2, 1 / 1.1, 1.1, 1.25, 1.5, 2])
def test_another_variance_is_seen_with_so_many_pairs(ratio):
    pairs = pairs_needed(max(ratio, 1 / ratio))
    measured = normal_products(generator(), pairs, 64, key_variance=ratio)
    assert measured.lengths.is_chance
    for squares in (measured.products, measured.scores):
        assert not squares.is_chance
        assert SumOfSquares(squares.total / ratio, pairs).is_chance


def test_what_is_known_of_the_query_is_divided_out():
    """With one feature, what is left of q · k over |q| is k."""
    measured = normal_products(generator(), 50, 1)
    _, key = generator().normal(size=(2, 50, 1))
    assert measured.products.total == pytest.approx((key**2).sum())
    assert measured.scores.total == pytest.approx((key**2).sum())


@pytest.mark.parametrize("wrong", ["none", "by d", "by the model's width"])
def test_another_scale_is_seen(monkeypatch, wrong):
    factor = {
        "none": sqrt(64),
        "by d": 1 / sqrt(64),
        "by the model's width": sqrt(64 / 768),
    }[wrong]
    monkeypatch.setattr(
        claims_of_scale,
        "attention_scores",
        lambda q, k: factor * attention.attention_scores(q, k),
    )
    measured = normal_products(generator(), pairs_needed(2), 64)
    assert measured.products.is_chance
    assert not measured.scores.is_chance


@pytest.mark.parametrize("d_head", [1, 2, 3, 4, 5])
def test_no_entry_need_be_normal(d_head):
    moments = all_products(SIGNS, d_head)
    assert (moments.mean, moments.variance) == (0, d_head)


@pytest.mark.parametrize("d_head", [1, 2, 3])
def test_entries_with_the_moments_of_normal_ones(d_head):
    moments = all_products(NORMAL_LIKE, d_head, unit=ROOT_3_SQUARED)
    assert (moments.mean, moments.variance) == (0, d_head)
    assert moments.fourth == 3 * d_head**2 + 6 * d_head


@pytest.mark.parametrize("d_head", [1, 2, 3])
def test_a_query_that_is_its_key_breaks_independence(d_head):
    normal = all_products(
        NORMAL_LIKE, d_head, same=True, unit=ROOT_3_SQUARED
    )
    assert (normal.mean, normal.variance) == (d_head, 2 * d_head)
    signs = all_products(SIGNS, d_head, same=True)
    assert (signs.mean, signs.variance) == (d_head, 0)


@pytest.mark.parametrize("d_head", [1, 2, 3])
def test_a_mean_of_1_or_a_variance_of_4_breaks_it_too(d_head):
    with_mean = all_products((0, 2), d_head)
    assert (with_mean.mean, with_mean.variance) == (d_head, 3 * d_head)
    wider = all_products((-2, 2), d_head)
    assert (wider.mean, wider.variance) == (0, 16 * d_head)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 2, 3), (2, 1, 2)])
def test_a_matrix_of_scores_is_fewer_samples_than_entries(sizes):
    d_head, queries, keys = sizes
    moments = all_matrices(d_head, queries, keys)
    assert moments.mean == d_head
    assert moments.variance == pytest.approx(
        variance_of_mean_square(d_head, queries, keys), rel=1e-15
    )
    independent = (2 * d_head**2 + 6 * d_head) / (queries * keys)
    assert (moments.variance > independent) == (queries * keys > 1)


def test_a_gpt2_that_begins_has_scores_of_variance_0_09():
    tokens, heads, d_head = 64, 12, 64
    initial = initial_scores(generator(), tokens)
    assert initial.whitened.is_chance
    # ε takes its share: tokens of variance 2 · 0.02² = 0.0008.
    assert initial.normed == pytest.approx(0.0008 / 0.00081, rel=1e-3)
    queries = initial.normed * 768 * 0.02**2
    assert queries == pytest.approx(0.307, rel=0.02)
    six = 6 * sqrt(2 / initial.whitened.freedom)
    assert initial.queries == pytest.approx(queries, rel=six)
    assert queries**2 == pytest.approx(0.094, rel=0.03)
    spread = variance_of_mean_square(d_head, tokens, tokens) / heads
    six = 6 * sqrt(spread) / d_head
    assert initial.scores == pytest.approx(queries**2, rel=six)
    assert six < 0.07


def test_what_tokens_have_in_common_is_taken_out():
    """With as many tokens as features, only the layer itself is left."""
    x = np.tri(5) + 0.1
    weight = generator().normal(scale=0.02, size=(5, 5))
    entries = whitened(x @ weight.T, x)
    assert entries.total == pytest.approx(((weight / 0.02) ** 2).sum())
    assert entries.freedom == 25
