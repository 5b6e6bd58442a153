"""Claims about heads: several express what one cannot, and they differ."""

from math import exp, log, sqrt

import numpy as np
import pytest

from parity_tests.claims import heads as claims_of_heads
from parity_tests.claims.heads import (
    LEAST_ERROR,
    best_head,
    divergences,
    error_of_two_heads,
    head_distances,
    heads_near_the_best,
    layers_of_bert,
    random_heads,
    score_variances,
    worst_errors,
)

ROUNDING = 4 * np.finfo(float).eps  # of an output of size 1
FIRST_AND_SECOND = np.array([[[0.9, 0.1]], [[0.1, 0.9]]])


@pytest.fixture(scope="module")
def layers():
    return layers_of_bert()


@pytest.mark.parametrize("width", [1, 2, 3, 64])
def test_no_single_head_of_any_width_errs_by_less(width):
    heads = random_heads(np.random.default_rng(width), 20_000, width)
    assert worst_errors(**heads).min() >= LEAST_ERROR


def test_not_even_one_near_the_best():
    heads = heads_near_the_best(np.random.default_rng(0), 50_000)
    errors = worst_errors(**heads)
    assert errors.min() >= LEAST_ERROR
    assert errors.min() < LEAST_ERROR + 1e-3


def test_the_best_one_reaches_the_bound_exactly():
    assert worst_errors(**best_head()).tolist() == [LEAST_ERROR]
    assert sqrt(2) / 4 == LEAST_ERROR


def test_another_weight_of_the_best_head_is_worse():
    best = best_head()
    for share in (0.0, 0.4, 0.6, 1.0):
        errors = worst_errors(**best | {"share": np.full((1, 3), share)})
        assert errors > LEAST_ERROR


@pytest.mark.parametrize("gap", [0.0, 0.5, log(3), 2.0, 5.0, 10.0, 30.0])
def test_two_heads_err_by_as_little_as_one_likes(gap):
    bound = sqrt(2) / (1 + exp(gap))
    error = error_of_two_heads(gap)
    assert error <= bound + ROUNDING
    assert error == pytest.approx(bound, abs=ROUNDING)


def test_from_a_gap_of_ln_3_on_two_heads_are_better_than_any_one():
    assert error_of_two_heads(log(3) - 0.01) > LEAST_ERROR
    assert error_of_two_heads(log(3) + 0.01) < LEAST_ERROR


def test_with_values_that_know_the_place_three_inputs_say_nothing(
    monkeypatch,
):
    """The limit of the claim: one head is then right on all of them."""
    inputs = claims_of_heads.INPUTS
    places = np.broadcast_to(np.eye(2), inputs.shape)
    placed = np.concatenate([inputs, places], axis=-1)
    monkeypatch.setattr(claims_of_heads, "INPUTS", placed)
    errors = worst_errors(
        matrix=np.array([[[0, 0], [-1, 0], [1, 1], [1, 0]]]),
        bias=np.zeros((1, 2)),
        share=np.array([[0, 1, 1]]),
    )
    assert errors.tolist() == [0]


def test_the_heads_of_a_real_bert_have_no_variance_1_either(layers):
    variances = score_variances(layers)
    assert variances.shape == (6, 12)
    assert round(float(variances.min()), 2) == 0.41
    assert round(float(variances.max())) == 102
    # The head that looks at the previous token alone.
    assert np.unravel_index(variances.argmax(), variances.shape) == (0, 2)


def test_the_heads_of_a_real_bert_do_not_all_do_the_same(layers):
    distances = head_distances(layers)
    assert distances.matrix.shape == (72, 72)
    np.testing.assert_array_equal(distances.matrix, distances.matrix.T)
    assert distances.matrix.diagonal().tolist() == [0] * 72
    assert 0.03 < distances.least < 0.035
    assert round(distances.median, 2) == 0.24
    assert round(distances.greatest, 2) == 0.91
    # The previous token against the next one.
    assert distances.farthest == ((0, 2), (1, 8))


def test_a_distance_is_0_for_equal_heads_and_1_for_strangers():
    shift = np.eye(4)[[1, 2, 3, 0]]
    heads = np.stack([np.eye(4), shift, shift])
    np.testing.assert_allclose(
        divergences(heads), [[0, 1, 1], [1, 0, 0], [1, 0, 0]], rtol=1e-15
    )


def test_a_distance_by_hand():
    """H of the middle, less the mean of both entropies, in bits."""

    def bits(p):
        return -(p * log(p) + (1 - p) * log(1 - p)) / log(2)

    distances = divergences(FIRST_AND_SECOND)
    assert distances[0, 1] == pytest.approx(1 - bits(0.1), rel=1e-14)
