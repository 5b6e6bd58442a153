"""Two texts in a browser, side by side and as a difference."""

import numpy as np
import pytest

from bert_viz.measures.metric_table import metric_table
from bert_viz.page.packing import pack_weights, unpack
from parity_tests.tests.page.cases import WORDS

from .page import (
    ONE,
    SECOND,
    STEPS,
    eventually,
    expect_state,
    expect_table,
    read,
    texts,
)
from .page import browser as browser
from .page import folder as folder
from .page import opened as opened

pytestmark = pytest.mark.browser


def test_two_texts_stand_side_by_side_and_as_a_difference(opened):
    tab = opened("two", "view=head&layer=1&heads=2")
    assert texts(tab, "#view-head .panel > h3") == [
        *("First text", "Second text")
    ]
    seconds = '#view-head .panel[data-text="1"] .column.key .token'
    assert texts(tab, seconds) == [*SECOND.tokens]
    tab.select_option("#text", "difference")
    expect_state(tab, text="difference")
    difference = unpack(pack_weights(SECOND.weights)) - STEPS
    expect_table(tab, difference[1, 2], pieces=2)
    keys = texts(tab, "#view-head .column.key .token")
    assert keys == ["[CLS]", "a | the", *WORDS[2:]]
    tab.click("#tab-neuron")
    expect_state(tab, view="neuron")

    def refused():
        return "belongs to one text" in "".join(
            texts(tab, "#view-neuron .message")
        )

    eventually(tab, refused, True)


def test_a_difference_of_metrics_is_second_minus_first(opened):
    tab = opened("two", "view=model&text=difference&sort=entropy")
    ours, others = (metric_table(text).values for text in (ONE, SECOND))
    difference = others["entropy"] - ours["entropy"]
    shown = texts(tab, ".thumbnail .head-name .number")
    expected = np.sort(difference, axis=None)[::-1]
    numbers = np.array([read(text.replace("+", "")) for text in shown])
    assert abs(numbers - expected).max() <= 0.00501
    assert all(
        text.startswith("+")
        for text, number in zip(shown, numbers, strict=True)
        if number > 0
    )


def test_texts_of_different_lengths_say_why_there_is_no_difference(opened):
    tab = opened("unlike", "view=head&text=difference")
    assert "9 and 4 queries" in tab.inner_text("#view-head .message")
    tab.click("#tab-model")
    expect_state(tab, view="model")
    assert "side by side" in tab.inner_text("#view-model .message")


def test_only_a_pair_has_segments_and_only_two_texts_a_choice(opened):
    shown = {}
    for name in ("one", "pair", "two"):
        tab = opened(name, "view=head")
        shown[name] = tab.is_visible("#between"), tab.is_visible("#text")
    assert shown == {
        "one": (False, False),
        "pair": (True, False),
        "two": (False, True),
    }
