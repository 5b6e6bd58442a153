import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from numpy_ref.masks import causal_mask, padding_mask

SIZES = st.integers(1, 9)


@given(queries=SIZES, keys=SIZES, past=st.integers(0, 5))
def test_the_causal_mask_is_a_triangle_moved_by_the_past(
    queries, keys, past
):
    triangle = torch.ones(queries, keys, dtype=torch.bool).tril(past)
    np.testing.assert_array_equal(
        causal_mask(queries, keys, past), triangle
    )


@given(keys=SIZES, split=st.integers(0, 8))
def test_with_a_cache_the_mask_is_the_last_rows_of_the_whole(keys, split):
    past = min(split, keys - 1)
    whole = causal_mask(keys, keys)
    np.testing.assert_array_equal(
        causal_mask(keys - past, keys, past), whole[past:]
    )


def test_a_long_causal_mask_is_a_triangle_too():
    triangle = torch.ones(300, 700, dtype=torch.bool).tril(400)
    np.testing.assert_array_equal(causal_mask(300, 700, 400), triangle)


def test_padding_hides_keys_and_no_queries():
    mask = padding_mask(np.array([3, 1, 0]), 3)
    assert mask.shape == (3, 1, 3)
    np.testing.assert_array_equal(
        mask[:, 0], [[True] * 3, [True, False, False], [False] * 3]
    )


@pytest.mark.parametrize("length", [0, 1, 2, 4])
def test_masks_join_with_and(length):
    joined = causal_mask(4, 4) & padding_mask(np.array([length]), 4)
    for query in range(4):
        for key in range(4):
            allowed = key <= query and key < length
            assert joined[0, query, key] == allowed
