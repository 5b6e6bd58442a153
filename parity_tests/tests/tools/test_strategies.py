"""Strategies: the generator of inputs is tested itself."""

import inspect

import numpy as np
import pytest
import torch
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from numpy_ref.attention import attention_scores
from parity_tests.twins.case import laid_out, to_torch
from parity_tests.twins.finding import find_twins
from parity_tests.twins.strategies import cases

TWINS = {twin.name: twin for twin in find_twins()}
ATTENTION = cases(TWINS["scaled_dot_product_attention"], "float64")
SEARCH = settings(max_examples=500, phases=[Phase.generate], database=None)


@given(ATTENTION)
def test_axes_of_other_names_have_other_sizes(case):
    query, key, value = (
        case.arguments[n] for n in ("query", "key", "value")
    )
    sizes = [*query.shape[-2:], key.shape[-2], value.shape[-1]]
    assert len(set(sizes)) == 4
    assert query.shape[-1] == key.shape[-1]
    assert key.shape[-2] == value.shape[-2]


def is_found(condition, search=SEARCH) -> bool:
    try:
        find(ATTENTION, condition, settings=search)
    except NoSuchExample:
        return False
    return True


def spread(case) -> float:
    scores = attention_scores(
        case.arguments["query"], case.arguments["key"]
    )
    return float(scores.std())


KINDS = {
    "a fully masked row": lambda c: (~c.arguments["mask"].any(-1)).any(),
    "no batch": lambda c: c.arguments["query"].ndim == 2,
    "two batch axes": lambda c: c.arguments["query"].ndim == 4,
    "one query": lambda c: c.arguments["query"].shape[-2] == 1,
    "one key": lambda c: c.arguments["key"].shape[-2] == 1,
    "a mask for all queries": lambda c: (
        c.arguments["mask"].shape[-2] == 1
        and c.arguments["query"].shape[-2] > 1
    ),
    "nearly uniform scores": lambda c: 0 < spread(c) < 0.05,
    "nearly one-hot scores": lambda c: spread(c) > 20,
    "an expanded axis": lambda c: 0 in c.arguments["query"].strides,
    "strided features": lambda c: c.arguments["key"].strides[-1] == 16,
}


@pytest.mark.parametrize("kind", KINDS)
def test_there_are_inputs_with(kind):
    assert is_found(KINDS[kind])


@pytest.mark.slow
def test_most_masks_have_rows_that_are_partly_masked():
    useful = []

    @given(ATTENTION)
    @settings(max_examples=300, database=None, derandomize=True)
    def look(case):
        mask = case.arguments["mask"]
        some, all_of_them = mask.any(-1), mask.all(-1)
        useful.append((some & ~all_of_them).any())

    look()
    assert np.mean(useful) > 0.5


def test_what_no_input_has_is_not_found():
    brief = settings(SEARCH, max_examples=20)
    assert not is_found(lambda c: c.arguments["query"].ndim == 7, brief)


@pytest.mark.parametrize("layout", ["plain", "strided", "transposed"])
def test_a_layout_changes_no_number(layout):
    array = np.arange(24.0).reshape(2, 3, 4)
    moved = laid_out(array, layout)
    np.testing.assert_array_equal(moved, array)
    assert (moved.strides != array.strides) == (layout != "plain")
    assert to_torch(moved).data_ptr() == moved.ctypes.data
    assert to_torch(moved).stride() == tuple(s // 8 for s in moved.strides)


@given(data=st.data())
def test_both_sides_get_the_same_weights(data):
    case = data.draw(cases(TWINS["linear"], "float32"))
    weight = case.module.weight.detach()
    assert weight.dtype == torch.float32
    np.testing.assert_array_equal(case.params.weight, weight)


@pytest.mark.parametrize("twin", TWINS.values(), ids=str)
@given(data=st.data())
@settings(max_examples=1)
def test_every_argument_of_every_step_can_be_drawn(twin, data):
    case = data.draw(cases(twin, "float32"))
    names = set(inspect.signature(twin.reference).parameters)
    assert set(case.numpy_arguments()) == names
