"""Packing arrays into a page: what they lose, and how they are unpacked."""

from base64 import b64encode

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bert_viz.page.packing import ERROR, pack_floats, pack_weights, unpack

from .cases import ATTENTION
from .cases import script as script

SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)
SHARES = st.sampled_from([np.float32, np.float64]).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        SHAPES,
        elements={"min_value": 0, "max_value": 1},
        fill=st.nothing(),
    )
)
FLOATS = hnp.arrays(
    np.float32,
    SHAPES,
    elements={"allow_nan": False, "allow_infinity": False},
    fill=st.nothing(),
)


@given(SHARES)
def test_weights_come_back_within_half_a_step(weights):
    packed = pack_weights(weights)
    unpacked = unpack(packed)
    assert packed["error"] == ERROR == 1 / 510
    assert unpacked.shape == weights.shape == tuple(packed["shape"])
    u = np.finfo(weights.dtype).eps  # of the product that is rounded
    assert abs(unpacked - weights).max(initial=0) <= ERROR + u


@given(FLOATS)
def test_float32_comes_back_to_the_last_bit(numbers):
    packed = pack_floats(numbers)
    unpacked = unpack(packed)
    assert (packed["error"], unpacked.dtype) == (0, np.float32)
    assert unpacked.shape == numbers.shape == tuple(packed["shape"])
    np.testing.assert_array_equal(
        unpacked.view(np.uint32), numbers.view(np.uint32)
    )


def test_an_array_with_odd_strides_is_packed_like_its_copy():
    view = ATTENTION.queries[::-1, :, 1::3].swapaxes(0, 2)
    assert pack_floats(view) == pack_floats(view.copy())
    weights = ATTENTION.weights[..., ::-2].swapaxes(1, 3)
    assert pack_weights(weights) == pack_weights(weights.copy())


def test_float64_states_what_it_lost():
    numbers = np.random.default_rng(0).normal(size=(3, 5))
    packed = pack_floats(numbers)
    lost = abs(unpack(packed).astype(np.float64) - numbers).max()
    assert 0 < packed["error"] == lost < 1e-6


@pytest.mark.parametrize("wrong", [np.nan, -0.01, 1.01, np.inf])
def test_numbers_that_are_not_weights_are_refused(wrong):
    with pytest.raises(ValueError, match="weights from 0 to 1, got"):
        pack_weights(np.array([0.5, wrong]))


@given(SHARES, FLOATS)
def test_the_page_unpacks_what_python_packs(script, weights, numbers):
    steps = script.unpacked(pack_weights(weights))
    np.testing.assert_array_equal(
        np.array(steps).reshape(weights.shape) / 255,
        unpack(pack_weights(weights)),
    )
    floats = np.array(script.unpacked(pack_floats(numbers)), np.float32)
    np.testing.assert_array_equal(floats.reshape(numbers.shape), numbers)


@given(st.binary(max_size=40))
def test_the_page_reads_base64(script, content):
    text = b64encode(content).decode()
    decoded = script("Array.from(bytesOf(text))", text=text)
    assert bytes(decoded) == content
