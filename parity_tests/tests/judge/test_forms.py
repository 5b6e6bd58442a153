"""Forms of a mask: the same mask, as each function would have it."""

from math import inf

import numpy as np
import pytest

from parity_tests.judge.subject.forms import (
    AT_ONCE,
    AXES,
    IN_TURN,
    KEY,
    LENGTHS,
    MEANINGS,
    TEXTS_LAST,
    MaskForm,
    axes_to_try,
)
from parity_tests.judge.verdict.protocol import NotAsked

TEXTS, HEADS, QUERIES, KEYS = 2, 3, 4, 5
FOUR_AXES = TEXTS, HEADS, QUERIES, KEYS
FALLING = np.arange(KEYS) < 3


@pytest.mark.parametrize(
    ("meaning", "numbers"),
    [
        ("True may attend", [True, False]),
        ("True is masked", [False, True]),
        ("1 may attend", [1, 0]),
        ("1 is masked", [0, 1]),
        ("1.0 may attend", [1.0, 0.0]),
        ("1.0 is masked", [0.0, 1.0]),
        ("added", [0.0, -inf]),
        ("added, -1e9", [0.0, -1e9]),
    ],
)
def test_a_meaning_says_which_numbers_stand_for_may_attend(
    meaning, numbers
):
    mask = np.array([[True, False]])
    passed = MaskForm(meaning).passed(mask, (1, 2), np.float32)
    kind = np.float32 if isinstance(numbers[0], float) else type(numbers[0])
    assert passed.tolist() == [numbers]
    assert passed.dtype == np.dtype(kind)


def test_every_meaning_has_its_numbers_tested():
    assert len(MEANINGS) == 8


@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        ("any", (KEYS,)),
        ("all axes", FOUR_AXES),
        ("query, key", (QUERIES, KEYS)),
        ("text, 1, query, key", (TEXTS, 1, QUERIES, KEYS)),
        ("text, query, key", (TEXTS, QUERIES, KEYS)),
        ("text, 1, 1, key", (TEXTS, 1, 1, KEYS)),
        ("text, 1, key", (TEXTS, 1, KEYS)),
        ("text, key", (TEXTS, KEYS)),
        (TEXTS_LAST, (QUERIES, KEYS, TEXTS)),
        (KEY, (KEYS,)),
        (LENGTHS, (TEXTS,)),
    ],
)
def test_a_mask_of_keys_can_be_said_with_any_axes(axes, shape):
    form = MaskForm("True may attend", axes)
    passed = form.passed(FALLING, FOUR_AXES, np.float64)
    assert passed.shape == shape
    expected = FALLING.sum() if axes == LENGTHS else FALLING
    if axes == TEXTS_LAST:
        passed = np.moveaxis(passed, -1, 0)
    assert (passed == expected).all()


def test_masks_of_windows_go_round_the_images_or_stand_together():
    """Of two images with two windows each, a mask for each window."""
    shape = 4, QUERIES, KEYS
    first, second = np.tri(QUERIES, KEYS), np.tri(QUERIES, KEYS, 1)
    windows = np.stack([first, second]).astype(bool)
    in_turn, at_once = np.tile(windows, (2, 1, 1)), windows.repeat(2, 0)
    for axes, mask, other in (
        (IN_TURN, in_turn, at_once),
        (AT_ONCE, at_once, in_turn),
    ):
        form = MaskForm("True may attend", axes)
        assert np.array_equal(form.passed(mask, shape, float), windows)
        with pytest.raises(NotAsked, match="its masks are of"):
            form.passed(other, shape, float)


def test_all_axes_are_tested_above():
    assert len(AXES) == 13


@pytest.mark.parametrize(
    ("axes", "differs_along"),
    [
        ("query, key", 0),
        ("text, query, key", 1),
        ("text, 1, query, key", 1),
        ("text, key", 2),
        ("text, 1, 1, key", 2),
        ("text, 1, key", 1),
        (TEXTS_LAST, 1),
        (KEY, 0),
        (KEY, 2),
        (LENGTHS, 2),
    ],
)
def test_what_a_form_cannot_say_is_not_asked(axes, differs_along):
    mask = np.ones(FOUR_AXES, bool)
    mask[..., 1:] = False
    np.moveaxis(mask, differs_along, 0)[0, ..., 1] = True
    with pytest.raises(NotAsked, match="its masks are of"):
        MaskForm("True may attend", axes).passed(mask, FOUR_AXES, float)


def test_lengths_count_from_the_first_token_on():
    rising = ~FALLING
    with pytest.raises(NotAsked):
        MaskForm("True may attend", LENGTHS).passed(
            rising, FOUR_AXES, float
        )


def test_a_mask_of_texts_needs_an_axis_of_texts():
    with pytest.raises(NotAsked):
        MaskForm("True may attend", "text, key").passed(
            FALLING, (QUERIES, KEYS), float
        )
    assert "text, key" not in axes_to_try(0, "mask", False)
    assert axes_to_try(0, "lengths", True) == []


def test_padding_is_tried_along_the_keys_first():
    assert axes_to_try(1, "key_padding_mask", False)[0] == "text, key"
    assert axes_to_try(1, "mask", False)[0] == "any"
    tried = {*axes_to_try(1, "pad", False), LENGTHS}
    assert tried == AXES.keys() - {IN_TURN, AT_ONCE, KEY}
    assert KEY in axes_to_try(0, "mask", False)
