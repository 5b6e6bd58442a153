"""The map of heads: known points are recovered."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_viz import from_arrays
from bert_viz.measures import head_map
from parity_tests.bounds.rounding import Rounding

from .cases import attentions, expect_near


def between(points):
    """The distances of all pairs of points."""
    return np.linalg.norm(points[:, None] - points, axis=-1)


@pytest.mark.parametrize("seed", range(5))
def test_points_in_a_plane_are_recovered(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    attention = from_arrays(["a"], np.ones((2, 4, 1, 1)))
    apart = between(rng.normal(size=(8, 2)) * [3, 1])
    monkeypatch.setattr(head_map, "head_distances", lambda _: apart)
    drawn = head_map.head_map(attention)
    assert drawn.points.shape == (2, 4, 2)
    # A squared distance is made of four entries of the centred matrix,
    # each off by the roundings of its sums; the two eigenvalues and their
    # vectors are those of one that is off by n roundings of its norm
    # (backward stability), which is at most the sum of the squares.
    squared = between(drawn.points.reshape(-1, 2)) ** 2
    expect_near("map", squared, apart**2, 4 * 8, (apart**2).sum())
    expect_near("share", np.float64(drawn.share), 1.0, 4 * 8 * 8)


def test_three_equidistant_heads_fit_into_a_plane_and_four_do_not():
    """Each head looks at a token of its own: all distances are 1."""
    for heads, share in ((2, 1), (3, 1), (4, 2 / 3), (5, 2 / 4)):
        rows = np.repeat(np.eye(5)[:heads, None], 5, axis=1)
        drawn = head_map.head_map(from_arrays([*"abcde"], rows[None]))
        rounding = 4 * heads * heads
        expect_near("share", np.float64(drawn.share), share, rounding)
        if heads <= 3:
            apart = between(drawn.points[0])
            expect_near("map", apart, 1 - np.eye(heads), rounding, 1.0)


@pytest.mark.parametrize("heads", [2, 3])
def test_two_or_three_heads_are_shown_without_loss(heads):
    rng = np.random.default_rng(heads)
    for _ in range(50):
        rows = rng.dirichlet(np.ones(5), size=(1, heads, 5))
        share = head_map.head_map(from_arrays([*"abcde"], rows)).share
        rounding = Rounding.of(float).gamma(4 * heads * heads)
        assert 1 - rounding <= share <= 1


@given(attention=attentions())
def test_the_share_of_a_map_is_from_0_to_1(attention):
    drawn = head_map.head_map(attention)
    assert drawn.points.shape == (*attention.weights.shape[:2], 2)
    assert 0 <= drawn.share <= 1


@given(
    attention=attentions(),
    signs=st.tuples(*[st.sampled_from([-1, 1])] * 2),
)
def test_a_map_does_not_depend_on_the_signs_of_eigenvectors(
    attention, signs
):
    def turned(matrix):
        spread, directions = eigh(matrix)
        turns = np.resize(signs, len(spread))
        return spread, directions * turns

    expected, eigh = head_map.head_map(attention), np.linalg.eigh
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np.linalg, "eigh", turned)
        drawn = head_map.head_map(attention)
    np.testing.assert_array_equal(drawn.points, expected.points)
    flat = drawn.points.reshape(-1, 2)
    assert (flat.max(axis=0) >= -flat.min(axis=0)).all()


@pytest.mark.parametrize("heads", [1, 2])
def test_one_head_and_equal_heads_have_a_map(heads):
    rows = np.full((1, heads, 3, 3), 1 / 3)
    drawn = head_map.head_map(from_arrays([*"abc"], rows))
    assert drawn.points.tolist() == [[[0, 0]] * heads]
    assert drawn.share == 1
