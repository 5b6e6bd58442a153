"""Claims about softmax: saturation, both halves of it, and temperature."""

from itertools import pairwise, product
from math import exp, log

import mpmath
import numpy as np
import pytest

from numpy_ref.attention import (
    scaled_dot_product_attention_backward,
    softmax,
)
from parity_tests.claims.softmax import (
    at_temperature,
    block_sizes,
    concentration_limit,
    entropy,
    gradient_norms,
    jacobian_norms,
    saturation,
    sorted_rows,
)

# Sequences of 64 rows each. A median varies more where there is less left.
SEQUENCES = {16: 200, 64: 200, 256: 30, 1024: 30}


@pytest.fixture(scope="module")
def measured():
    """By scaled or not, a list over the sizes of a head."""
    both = [
        saturation(np.random.default_rng(0), sequences, d_head)
        for d_head, sequences in SEQUENCES.items()
    ]
    return dict(zip((False, True), zip(*both, strict=True), strict=True))


def test_most_gradients_vanish_without_the_scale(measured):
    medians = [size.jacobian_median for size in measured[False]]
    assert medians[0] == pytest.approx(0.33, rel=0.03)
    assert medians[1] == pytest.approx(0.20, rel=0.05)
    assert medians[2] == pytest.approx(0.024, rel=0.3)
    assert log(medians[3]) == pytest.approx(log(2.5e-4), abs=log(2))


def test_with_the_scale_they_stay(measured):
    for size in measured[True]:
        assert size.jacobian_median == pytest.approx(0.18, rel=0.03)
        assert size.jacobian_rms == pytest.approx(0.185, rel=0.02)
        assert size.gradient_rms == pytest.approx(0.185, rel=0.03)


def test_but_their_mean_square_falls_only_like_the_root_of_d(measured):
    squares = [size.jacobian_rms**2 for size in measured[False]]
    falls = [after / before for before, after in pairwise(squares)]
    # A limit: at 16 features it is not there yet.
    assert falls[0] > 0.7
    assert falls[-1] == pytest.approx(1 / 2, rel=0.2)
    medians = [size.jacobian_median for size in measured[False]]
    assert medians[-1] / medians[-2] < 1 / 20


def test_and_that_of_the_query_s_gradient_grows_like_the_root(measured):
    squares = [size.gradient_rms**2 for size in measured[False]]
    growths = [after / before for before, after in pairwise(squares)]
    assert growths[0] > 2.8
    assert growths[-1] == pytest.approx(2, rel=0.25)
    assert measured[False][-1].gradient_median < 0.02


def test_one_key_takes_all_as_d_grows(measured):
    bare, scaled = measured[False], measured[True]
    assert [size.concentration for size in bare] == sorted(
        size.concentration for size in bare
    )
    for size in bare:  # the limit for many keys is still below it
        assert size.concentration > concentration_limit(
            size.d_head, 64, scaled=False
        )
    assert bare[0].concentration == pytest.approx(0.44, rel=0.03)
    assert concentration_limit(16, 64, False) == pytest.approx(
        0.28, abs=0.005
    )
    for size in scaled:
        limit = concentration_limit(size.d_head, 64, scaled=True)
        assert size.concentration == pytest.approx(limit, rel=0.12)
    assert bare[-1].entropy < 0.05 * log(64)
    assert min(size.entropy for size in scaled) > 0.85 * log(64)


def test_many_keys_bring_the_concentration_near_its_limit():
    shares = []
    for keys in (64, 1024):
        generator = np.random.default_rng(0)
        _, scaled = saturation(generator, 1, 64, tokens=keys)
        limit = concentration_limit(64, keys, scaled=True)
        shares.append(scaled.concentration / limit)
    assert abs(shares[1] - 1) < abs(shares[0] - 1) < 0.15


def test_the_norm_is_that_of_the_jacobian_itself():
    generator = np.random.default_rng(3)
    weights = softmax(generator.normal(size=(5, 7)))
    key = generator.normal(size=(7, 4))
    jacobians = weights[..., None] * (np.eye(7) - weights[:, None])
    np.testing.assert_allclose(
        jacobian_norms(weights),
        np.linalg.norm(jacobians, axis=(1, 2)),
        rtol=1e-13,
    )
    np.testing.assert_allclose(
        gradient_norms(weights, key @ key.T),
        np.linalg.norm(jacobians @ key, axis=(1, 2)),
        rtol=1e-13,
    )


@pytest.mark.parametrize("gap", [20, 40, 300])
def test_a_saturated_norm_is_exact_where_the_usual_form_is_nan(gap):
    """Two keys: the norm is 2 p (1 - p)."""
    weights = softmax(np.array([0.0, -float(gap)]))
    with mpmath.workdps(400):
        small = mpmath.exp(-gap)
        exact = float(2 * small / (1 + small) ** 2)
    assert jacobian_norms(weights) == pytest.approx(exact, rel=1e-14, abs=0)
    squares = (weights**2).sum()
    usual = squares - 2 * (weights**3).sum() + squares**2
    with np.errstate(invalid="ignore"):
        root = np.sqrt(usual)
    assert root != pytest.approx(exact, rel=1e-3, abs=0)


def test_the_usual_form_becomes_nan_in_saturated_rows():
    scores = 32 * np.random.default_rng(0).normal(size=(500, 64))
    weights = softmax(scores)
    squares = (weights**2).sum(axis=-1)
    usual = squares - 2 * (weights**3).sum(axis=-1) + squares**2
    with np.errstate(invalid="ignore"):
        assert np.isnan(np.sqrt(usual)).any()
    assert (jacobian_norms(weights) > 0).all()


SCORES = np.array([0.3, -1.2, 2.0, 1.5, -0.4, 0.0])


@pytest.mark.parametrize("temperature", [0.01, 0.03, 0.1, 1.0])
def test_cold_the_greatest_score_takes_all(temperature):
    tempered = at_temperature(SCORES, temperature)
    bound = 5 * exp(-0.5 / temperature)
    assert 1 - tempered.greatest <= bound + np.finfo(float).eps


def test_scores_that_tie_for_the_first_place_share_it():
    tied = np.array([1.0, 3.0, 3.0, -2.0, 3.0])
    tempered = at_temperature(tied, 0.001)
    assert (tempered.least, tempered.greatest) == (0, 1 / 3)
    assert tempered.entropy == pytest.approx(log(3), rel=1e-15)


@pytest.mark.parametrize("temperature", [1.0, 10.0, 1e3, 1e9])
def test_hot_all_keys_get_the_same(temperature):
    tempered = at_temperature(SCORES, temperature)
    reach = 3.2 / temperature
    assert exp(-reach) <= 6 * tempered.least <= 1
    assert 1 <= 6 * tempered.greatest <= exp(reach)
    assert tempered.entropy >= log(6) - reach


def test_the_entropy_only_grows_with_the_temperature():
    temperatures = np.geomspace(0.02, 200, 60).tolist()
    tempered = [at_temperature(SCORES, t).entropy for t in temperatures]
    assert all(before < after for before, after in pairwise(tempered))


@pytest.mark.parametrize("temperature", [0.2, 1.0, 5.0])
def test_its_slope_is_the_variance_of_the_scores(temperature):
    step = 1e-4 * temperature
    behind, here, ahead = (
        at_temperature(SCORES, temperature + sign * step)
        for sign in (-1, 0, 1)
    )
    slope = (ahead.entropy - behind.entropy) / (2 * step)
    assert here.slope == pytest.approx(slope, rel=1e-6)
    assert here.slope > 0


def test_equal_scores_have_all_entropy_at_any_temperature():
    tempered = at_temperature(np.ones(6), 0.1)
    assert tempered.entropy == pytest.approx(log(6), rel=1e-15)
    assert tempered.slope == pytest.approx(0, abs=np.finfo(float).eps)


def test_entropy_is_0_for_one_key():
    assert entropy(np.eye(3)).tolist() == [0, 0, 0]


def test_a_row_is_sorted_and_the_scale_flattens_it():
    bare, scaled = sorted_rows(np.random.default_rng(0), 256)
    for row in (bare, scaled):
        assert row.sum() == pytest.approx(1)
        assert (np.diff(row) <= 0).all()
    assert scaled[0] < 0.3 < bare[0]


def test_blocks_make_up_all_sequences():
    assert sum(block_sizes(19)) == 19


def test_the_gradient_is_that_of_attention_itself():
    """By its own backward, for values of one feature and all their signs.

    The mean square over them is that over any values of variance 1.
    """
    generator = np.random.default_rng(5)
    tokens, d_head = 4, 3
    _, scaled = saturation(generator, 1, d_head, tokens)
    query, key = np.random.default_rng(5).normal(
        size=(2, 1, tokens, d_head)
    )
    mask = np.ones((1, 1), dtype=bool)
    squares = []
    for signs in product((-1.0, 1.0), repeat=tokens):
        value = np.array(signs).reshape(1, tokens, 1)
        d_query, _, _ = scaled_dot_product_attention_backward(
            np.ones((1, tokens, 1)), query, key, value, mask
        )
        squares.append((d_query**2).sum(axis=-1).mean())
    assert scaled.gradient_rms == pytest.approx(
        np.mean(squares) ** 0.5, rel=1e-13
    )
