"""Variants of memory beside transformers and PyTorch, and what holds of
them: rings, latents, and states.

Twins, exact values and gradients are held by `test_twins` and
`test_gradients`, as for every step.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st

from numpy_ref.attention import scaled_dot_product_attention
from numpy_ref.variants.ring_buffer import (
    ring_mask,
    ring_positions,
    ring_window_attention,
    ring_write,
)
from numpy_ref.variants.rotary import rotary_halves, rotary_tables
from numpy_ref.variants.sliding_window import sliding_window_mask
from parity_tests.exact import exact_steps
from parity_tests.tests.conftest import expect_holds
from parity_tests.twins.comparing import within
from parity_tests.twins.strategies import SEEDS

DTYPES = st.sampled_from(["float32", "float64"])
PARTS = st.lists(st.integers(1, 7), min_size=1, max_size=5)
WINDOWS = st.integers(1, 5)


def drawn(seed, *shape, dtype="float64"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def expect_as(theirs, ours, step, output, arguments, oracle):
    """Ours and an oracle's, within twice the step's bound."""
    error = 2 * exact_steps(step, arguments)[output].error
    comparison = within(f"{step}[0]/{output}", ours, theirs, error)
    expect_holds(f"{step} and {oracle}", comparison)


def as_tensors(*arrays):
    return [torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]


# --- a ring for a window -------------------------------------------------


def read_in_parts(parts, window, query, key, value):
    """Each part's slice of the text, and what its attention takes."""
    *batch, _, features = key.shape
    ring_key, ring_value = np.zeros(
        (2, *batch, window, features), key.dtype
    )
    past = 0
    for part in parts:
        rows = np.s_[..., past : past + part, :]
        arguments = {"query": query[rows], "key": key[rows]}
        arguments |= {"value": value[rows], "past": past}
        arguments |= {"ring_key": ring_key, "ring_value": ring_value}
        yield rows, arguments
        ring_key = ring_write(ring_key, key[rows], past)
        ring_value = ring_write(ring_value, value[rows], past)
        assert ring_key.shape[-2] == ring_value.shape[-2] == window
        past += part


def window_of_pytorch(query, key, value, window):
    """The whole text at once, by PyTorch, in a band of ones."""
    tokens = query.shape[-2]
    band = torch.ones(tokens, tokens, dtype=torch.bool)
    band = band.tril().triu(1 - window)
    tensors = as_tensors(query, key, value)
    return F.scaled_dot_product_attention(*tensors, attn_mask=band).numpy()


@given(parts=PARTS, window=WINDOWS, seed=SEEDS, dtype=DTYPES)
def test_a_text_read_through_a_ring_is_read_in_its_window(
    parts, window, seed, dtype
):
    query, key, value = drawn(seed, 3, 2, sum(parts), 4, dtype=dtype)
    whole = window_of_pytorch(query, key, value, window)
    for rows, arguments in read_in_parts(parts, window, query, key, value):
        ours = ring_window_attention(**arguments)
        step = ("ring_window_attention", "context", arguments)
        expect_as(
            whole[rows], ours, *step, "F.scaled_dot_product_attention"
        )


@given(past=st.integers(0, 20), window=WINDOWS, queries=st.integers(0, 9))
@example(past=1, window=4, queries=2)  # empty slots
def test_the_mask_of_a_ring_is_the_windows_in_the_order_of_the_slots(
    past, window, queries
):
    tokens = past + queries
    whole = sliding_window_mask(queries, tokens, window, past)
    mask = ring_mask(queries, window, past)
    positions = ring_positions(past, window)
    for slot, position in enumerate(positions):
        expected = whole[:, position] if position >= 0 else False
        assert (mask[:, slot] == expected).all()
        assert position < 0 or position % window == slot
    assert np.array_equal(mask[:, window:], whole[:, past:])
    # What is in no slot is seen by nobody.
    gone = [p for p in range(past) if p not in positions]
    assert not whole[:, gone].any()


@given(past=st.integers(0, 20), window=WINDOWS, count=st.integers(0, 9))
def test_a_ring_holds_the_last_tokens_each_in_its_slot(past, window, count):
    text = np.arange(1.0, past + count + 1)[:, None]
    ring = ring_write(np.zeros((window, 1)), text[:past], 0)
    ring = ring_write(ring, text[past:], past)
    last = [p for p in range(past + count) if p >= past + count - window]
    expected = np.zeros((window, 1))
    for position in last:
        expected[position % window] = position + 1
    assert np.array_equal(ring, expected)


@given(seed=SEEDS, past=st.integers(0, 12))
def test_a_ring_may_be_turned_if_its_mask_is(seed, past):
    generator = np.random.default_rng(seed)
    query, key, value = drawn(seed, 3, 3, 4)
    ring_key, ring_value = drawn(seed + 1, 2, 5, 4)
    context = ring_window_attention(
        query, key, value, ring_key, ring_value, past
    )
    order = generator.permutation(5)
    columns = [*order, *range(5, 8)]
    mask = ring_mask(3, 5, past)[:, columns]
    turned = scaled_dot_product_attention(
        query,
        np.concatenate([ring_key[order], key]),
        np.concatenate([ring_value[order], value]),
        mask,
    )
    np.testing.assert_allclose(turned, context, rtol=1e-11, atol=1e-13)


@given(parts=PARTS, window=WINDOWS, seed=SEEDS)
def test_a_rotary_key_is_turned_by_its_position_and_not_by_its_slot(
    parts, window, seed
):
    query, key, value = drawn(seed, 3, sum(parts), 4)
    positions = np.arange(float(sum(parts)))
    turn = rotary_tables(positions, 4, 10.0)
    query, key = rotary_halves(query, *turn), rotary_halves(key, *turn)
    whole = window_of_pytorch(query, key, value, window)
    for rows, arguments in read_in_parts(parts, window, query, key, value):
        ours = ring_window_attention(**arguments)
        step = ("ring_window_attention", "context", arguments)
        expect_as(whole[rows], ours, *step, "rotary keys in a window")


def test_keys_turned_by_their_slots_are_other_keys():
    query, key, value = drawn(0, 3, 7, 4)
    at = np.arange(7.0)
    by_position, by_slot = (
        rotary_halves(key, *rotary_tables(angle, 4, 10.0))
        for angle in (at, at % 3)
    )
    query = rotary_halves(query, *rotary_tables(at, 4, 10.0))
    right, wrong = (
        window_of_pytorch(query, turned, value, 3)
        for turned in (by_position, by_slot)
    )
    np.testing.assert_allclose(right[:3], wrong[:3])
    assert abs(right[3:] - wrong[3:]).max() > 0.01


def test_a_ring_without_a_slot_is_refused():
    with pytest.raises(ValueError, match="window to be at least 1, got 0"):
        ring_write(np.zeros((0, 2)), np.zeros((3, 2)), 0)
