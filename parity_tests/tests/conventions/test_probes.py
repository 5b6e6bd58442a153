"""Each convention is told of an attention that was made to have it."""

from math import inf

import numpy as np
import pytest

from parity_tests.conventions.table import WITHOUT_SCALE, conventions
from parity_tests.judge.files.judging import hosted


def made_up(
    meaning=lambda mask: mask,
    past=lambda queries, keys: 0,
    fill=-inf,
    default=lambda d_head: d_head**-0.5,
    grouped=np.repeat,
    joined=np.logical_and,
    row=np.nan,
    safe_value=lambda value: value,
    takes_scale=True,
):
    """An attention with these conventions."""

    def attention(
        query, key, value, mask=None, is_causal=False, scale=None
    ):
        if query.ndim == 4 and query.shape[1] > key.shape[1]:
            shared = query.shape[1] // key.shape[1]
            key, value = (grouped(each, shared, 1) for each in (key, value))
        queries, keys = query.shape[-2], key.shape[-2]
        visible = np.ones((queries, keys), bool)
        if mask is not None:
            visible = meaning(mask)
        if is_causal:
            tri = np.tri(queries, keys, past(queries, keys), dtype=bool)
            visible = tri if mask is None else joined(visible, tri)
        scores = query @ key.swapaxes(-2, -1)
        scores = scores * (scale or default(query.shape[-1]))
        scores = np.where(visible, scores, fill)
        powers = np.exp(scores - scores.max(-1, keepdims=True))
        weights = powers / powers.sum(-1, keepdims=True)
        context = weights @ safe_value(value)
        sees_any = visible.any(-1, keepdims=True) | (fill > -inf)
        return np.where(sees_any, context, row).astype(value.dtype)

    def without_scale(query, key, value, mask=None, is_causal=False):
        return attention(query, key, value, mask, is_causal)

    return attention if takes_scale else without_scale


def tiled(array, times, axis):
    return np.concatenate([array] * times, axis)


def refused(*_):
    raise ValueError("one or the other")


def not_grouped(array, times, axis):
    raise ValueError("as many key heads as query heads")


def of_one_query(queries, keys):
    return keys - 1 if queries == 1 else 0


MADE = [
    ("mask", "True may attend", {}),
    ("mask", "True is masked", {"meaning": np.logical_not}),
    ("mask_of_numbers", "not taken", {}),
    ("alignment", "upper left", {}),
    ("alignment", "lower right", {"past": lambda q, k: k - q}),
    (
        "alignment",
        "upper left, but one query sees all",
        {"past": of_one_query},
    ),
    ("causal_and_mask", "both hold", {}),
    (
        "causal_and_mask",
        "the mask alone holds",
        {"joined": lambda mask, tri: mask},
    ),
    (
        "causal_and_mask",
        "the causal one alone holds",
        {"joined": lambda mask, tri: tri},
    ),
    ("causal_and_mask", "something else", {"joined": np.logical_or}),
    ("causal_and_mask", "raises ValueError", {"joined": refused}),
    (
        "causal_and_mask",
        "NaN",
        {"joined": lambda mask, tri: mask & ~mask},
    ),
    ("fully_masked_row", "NaN", {}),
    ("fully_masked_row", "zeros", {"row": 0}),
    ("fully_masked_row", "the mean of all values", {"fill": -1e9}),
    ("nan_in_masked_key", "is stopped", {}),
    ("nan_in_masked_value", "spreads", {}),
    ("nan_in_masked_value", "is stopped", {"safe_value": np.nan_to_num}),
    ("scale", "1/√d_head, or as given", {}),
    ("scale", "1/√d_head", {"takes_scale": False}),
    ("scale", "1, or as given", {"default": lambda d_head: 1}),
    ("scale", "1/d_head, or as given", {"default": lambda d: 1 / d}),
    ("scale", "something else, or as given", {"default": lambda d: 2 / d}),
    ("grouping", "neighbours share a key head", {}),
    ("grouping", "key heads are tiled", {"grouped": tiled}),
    ("grouping", "not taken", {"grouped": not_grouped}),
]


@pytest.mark.parametrize(("column", "expected", "changed"), MADE)
def test_a_convention_is_told_of_what_has_it(column, expected, changed):
    host, thing = hosted(made_up(**changed), "attention")
    assert conventions(host, thing)[column] == expected


def added(query, key, value, mask=None):
    scores = query @ key.swapaxes(-2, -1) / query.shape[-1] ** 0.5
    scores = scores if mask is None else scores + mask
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True) @ value


def test_a_mask_that_is_added_lets_nan_through():
    row = conventions(*hosted(added, "attention"))
    assert row["mask"] == "added"
    assert row["mask_of_numbers"] == "are added"
    assert row["nan_in_masked_key"] == "spreads"
    assert row["alignment"] == row["causal_and_mask"] == "not tested"


def test_where_two_widths_go_two_ways_both_are_told():
    function = made_up()

    def attention(query, key, value, mask=None, is_causal=False):
        wider = value.shape[-1] > key.shape[-1]
        if mask is not None and is_causal and wider:
            raise RuntimeError("one or the other")
        return function(query, key, value, mask, is_causal)

    row = conventions(*hosted(attention, "attention"))
    assert row["causal_and_mask"] == "both hold or raises RuntimeError"


@pytest.mark.parametrize(
    ("without_scale", "expected"),
    [
        (lambda query, key, value: query @ None, "must be given"),
        (lambda query, key, value: value, "1/√d_head, or as given"),
    ],
)
def test_a_scale_without_a_default_must_be_given(without_scale, expected):
    host, thing = hosted(made_up(), "attention")
    host.things[WITHOUT_SCALE] = without_scale
    assert conventions(host, thing)["scale"] == expected
