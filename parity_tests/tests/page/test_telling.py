"""Wording of the page: a head as a sentence, a token made visible."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_viz.measures.metric_table import metric_table
from bert_viz.measures.patterns import named_heads
from bert_viz.page.packing import pack_weights, unpack

from .cases import attention as attention
from .cases import in_words, state_of
from .cases import script as script


@pytest.mark.parametrize("head", [0, 2])
def test_a_summary_has_the_strongest_weights_and_the_entropy(
    script, attention, head
):
    script.hold(attention)
    summary = script(
        "(() => { const panel = panelsOf(data, 'first')[0]; return "
        "plain(summaryOf(panel, 1, head, matrixOf(panel, 1, head, state)))"
        "})()",
        head=head,
        state=state_of(),
    )
    steps = unpack(pack_weights(attention.weights))[1, head]
    order = np.argsort(-steps, axis=None, kind="stable")[:3]
    strongest = "; ".join(
        f"{visible(attention.tokens[row])} to "
        f"{visible(attention.tokens[key])} {in_words(steps[row, key])} "
        "± 0.002"
        for row, key in zip(
            *np.unravel_index(order, steps.shape), strict=True
        )
    )
    table = metric_table(attention)
    entropy = in_words(table.values["entropy"][1, head])
    assert summary.startswith(f"Layer 1, head {head}. ")
    assert f"Strongest weights: {strongest}. " in summary
    assert f"Entropy over all tokens: {entropy}, where" in summary
    for name, heads in named_heads(table).items():
        here = any(named[:2] == (1, head) for named in heads)
        assert (f"{name} (" in summary) == here


def test_a_masked_cell_is_said_to_be_masked(script):
    matrix = {
        "weights": [0, 0],
        "masked": [False, True],
        "keys": [0, 0],
        "errors": [0.002, 0.002],
    }
    texts = script("[0, 1].map((at) => weightText(m, at))", m=matrix)
    assert texts == ["0.000 ± 0.002", "masked"]


def visible(token: str) -> str:
    """A space at an end, as the page shows it."""
    return re.sub(r"^ +| +$", lambda spaces: "␣" * len(spaces[0]), token)


@given(st.text(max_size=60))
def test_a_token_is_never_shown_empty_or_long(script, token):
    shown = script("visible(token)", token=token)
    assert shown
    assert len(shown) <= 41
    assert not re.search(r"^ | $|[\n\r\t]", shown)


def test_white_space_is_shown_by_signs(script):
    tokens = ["", " a ", "a\nb", "a\r\nb", "\t", "x" * 41, "👩" * 41]
    shown = script("tokens.map((token) => visible(token))", tokens=tokens)
    assert shown == [
        *("(empty)", "␣a␣", "a↵b", "a↵b", "⇥"),
        *("x" * 40 + "…", "👩" * 40 + "…"),
    ]
