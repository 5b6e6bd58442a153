"""The extremes of an uncertain weighted mean are reached, not passed."""

from itertools import product

import mpmath
import numpy as np
import pytest

from parity_tests.bounds.weighted_means import greatest_mean, least_mean


def means_of_all_signs(log_weights, errors, values):
    """The mean for each of the 2^n corners: (corner, feature)."""
    signs = np.array(list(product([-1, 1], repeat=len(errors))))
    weights = np.exp(log_weights + signs * errors)
    return weights @ values / weights.sum(-1, keepdims=True)


def uncertain(seed, keys=7):
    rng = np.random.default_rng(seed)
    log_weights = 3 * rng.normal(size=keys)
    errors = rng.uniform(0, 1, size=keys) * rng.choice([0, 0.01, 3], keys)
    values = rng.normal(size=(keys, 3)) * 10.0 ** rng.integers(-3, 3)
    values[:, 2] = np.round(values[:, 2])  # equal ones among them
    return log_weights, errors, values


@pytest.mark.parametrize("seed", range(20))
def test_no_corner_passes_the_extremes_and_one_reaches_each(seed):
    log_weights, errors, values = uncertain(seed)
    corners = means_of_all_signs(log_weights, errors, values)
    highest = greatest_mean(log_weights[None], errors[None], values)
    lowest = least_mean(log_weights[None], errors[None], values)
    np.testing.assert_allclose(highest[0], corners.max(0), rtol=1e-12)
    np.testing.assert_allclose(lowest[0], corners.min(0), rtol=1e-12)


def exact_greatest(log_weights, errors, values):
    """The greatest of all corners in 60 digits, for one feature."""
    with mpmath.workdps(60):
        exponents = [
            (mpmath.mpf(weight), mpmath.mpf(error))
            for weight, error in zip(log_weights, errors, strict=True)
        ]
        means = []
        for signs in product([-1, 1], repeat=len(errors)):
            weights = [
                mpmath.exp(weight + sign * error)
                for sign, (weight, error) in zip(
                    signs, exponents, strict=True
                )
            ]
            total = mpmath.fdot(zip(weights, values, strict=True))
            means.append(total / sum(weights))
        return float(max(means))


def test_a_key_that_may_be_heavy_does_not_swallow_the_others():
    """2^60 and more would be lost from a difference of sums."""
    log_weights, errors, values = uncertain(0, keys=5)
    values[3], errors[3] = -9, 60
    exact = exact_greatest(log_weights, errors, values[:, 0])
    highest = greatest_mean(log_weights[None], errors[None], values)
    assert highest[0, 0] == pytest.approx(exact, rel=1e-12)


def test_leading_axes_are_rows_of_their_own():
    rng = np.random.default_rng(1)
    log_weights = rng.normal(size=(2, 3, 4, 6))
    errors = rng.uniform(size=(2, 3, 4, 6))
    values = rng.normal(size=(2, 1, 6, 5))
    highest = greatest_mean(log_weights, errors, values)
    assert highest.shape == (2, 3, 4, 5)
    for text, head in product(range(2), range(3)):
        alone = greatest_mean(
            log_weights[text, head], errors[text, head], values[text, 0]
        )
        np.testing.assert_array_equal(highest[text, head], alone)


def test_a_key_without_weight_takes_no_part():
    log_weights = np.array([[0.0, -np.inf, -1.0], [-np.inf] * 3])
    errors = np.array([[0.5, np.inf, 0.5], [1, 1, 1]])
    values = np.array([[1.0], [9.0], [2.0]])
    alone = greatest_mean(
        log_weights[:1, ::2], errors[:1, ::2], values[::2]
    )
    highest = greatest_mean(log_weights, errors, values)
    np.testing.assert_array_equal(highest, [[alone[0, 0]], [-np.inf]])
    assert least_mean(log_weights, errors, values)[1] == np.inf


@pytest.mark.parametrize("error", [301.0, 1e6, np.inf])
def test_an_unknown_weight_leaves_the_ends(error):
    log_weights = np.array([[0.0, -1000.0]])
    errors = np.array([[error, 100.0]])
    values = np.array([[0.0], [1.0]])
    assert greatest_mean(log_weights, errors, values) == 1
    assert least_mean(log_weights, errors, values) == 0


def test_errors_of_three_hundred_are_still_reached():
    log_weights = np.array([[0.0, -500.0]])
    errors = np.full((1, 2), 300.0)
    values = np.array([[0.0], [1.0]])
    with mpmath.workdps(50):
        share = 1 / (1 + mpmath.exp(500 - 600))
    assert greatest_mean(log_weights, errors, values)[0, 0] == float(share)
