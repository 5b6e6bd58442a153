"""Chi-square tails against printed tables and mpmath."""

from math import exp, log

import mpmath
import pytest

from parity_tests.claims.chi_square import (
    TAIL,
    SumOfSquares,
    is_missed,
    lower_quantile,
    lower_tail,
    pairs_needed,
    upper_quantile,
    upper_tail,
)

# Abramowitz and Stegun 1964, table 26.8: tail above, freedom, quantile.
TABLE = [
    (0.05, 1, 3.84146),
    (0.01, 1, 6.63490),
    (0.05, 2, 5.99146),
    (0.001, 5, 20.515),
    (0.05, 10, 18.3070),
    (0.005, 30, 53.6720),
    (0.05, 100, 124.342),
]


@pytest.mark.parametrize(("tail", "freedom", "printed"), TABLE)
def test_the_quantiles_of_the_tables(tail, freedom, printed):
    digits = 6 if printed != 20.515 else 5
    quantile = upper_quantile(tail, freedom)
    assert float(f"{quantile:.{digits}g}") == printed


@pytest.mark.parametrize("freedom", [1, 2, 7, 64, 629, 32_885])
@pytest.mark.parametrize("deviations", [-6, -1, 0, 1, 6])
def test_both_tails_are_those_of_mpmath(freedom, deviations):
    total = freedom + deviations * (2 * freedom) ** 0.5
    if total <= 0:
        total = freedom / 100
    half = mpmath.mpf(freedom) / 2
    with mpmath.workdps(40):
        below = mpmath.gammainc(half, 0, total / 2, regularized=True)
        above = mpmath.gammainc(half, total / 2, regularized=True)
    accuracy = 5e-16 * (100 + freedom / 2 * log(freedom / 2 + 1))
    assert lower_tail(total, freedom) == pytest.approx(
        float(below), rel=accuracy, abs=0
    )
    assert upper_tail(total, freedom) == pytest.approx(
        float(above), rel=accuracy, abs=0
    )


def test_two_degrees_of_freedom_decay_like_an_exponential():
    assert upper_tail(700.0, 2) == pytest.approx(exp(-350), rel=1e-13)
    assert lower_tail(0.0, 2) == 0


@pytest.mark.parametrize("freedom", [1, 2, 65, 2_000_000])
def test_a_quantile_cuts_off_its_tail(freedom):
    low, high = (f(TAIL, freedom) for f in (lower_quantile, upper_quantile))
    assert low < freedom < high
    # The next sum in float64 is one rounding away, and moves a tail by
    # at most that, times the sum.
    accuracy = 1e-15 * (100 + freedom)
    assert lower_tail(low, freedom) == pytest.approx(TAIL, rel=accuracy)
    assert upper_tail(high, freedom) == pytest.approx(TAIL, rel=accuracy)


@pytest.mark.parametrize(
    ("ratio", "pairs"),
    [(2, 629), (1.5, 1_825), (1.25, 6_008), (1.1, 32_885)],
)
def test_so_many_pairs_show_a_wrong_variance(ratio, pairs):
    assert pairs_needed(ratio) == pairs
    assert is_missed(pairs - 1, ratio)
    assert not is_missed(pairs, ratio)


def test_what_chance_can_do_is_not_called_wrong():
    pairs = 629
    low, high = (f(TAIL, pairs) for f in (lower_quantile, upper_quantile))
    assert SumOfSquares(1.0001 * low, pairs).is_chance
    assert SumOfSquares(0.9999 * high, pairs).is_chance
    assert not SumOfSquares(0.9999 * low, pairs).is_chance
    assert not SumOfSquares(1.0001 * high, pairs).is_chance
