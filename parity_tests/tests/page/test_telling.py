"""What the page says in words: of a head, and of a token."""

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
    said = script(
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
    assert said.startswith(f"Layer 1, head {head}. ")
    assert f"The strongest weights: {strongest}. " in said
    assert f"Entropy, of all tokens, {entropy}, where" in said
    for name, heads in named_heads(table).items():
        here = any((one.layer, one.head) == (1, head) for one in heads)
        assert (f"{name} (" in said) == here


def visible(token: str) -> str:
    """A space at an end, as the page shows it."""
    return re.sub(r"^ +| +$", lambda found: "·" * len(found[0]), token)


@given(st.text(max_size=60))
def test_what_is_shown_of_a_token_is_never_empty_or_long(script, token):
    shown = script("visible(token)", token=token)
    assert shown
    assert len(shown) <= 41
    assert not re.search(r"^ | $|[\n\r\t]", shown)


def test_what_cannot_be_seen_has_a_sign(script):
    tokens = ["", " a ", "a\nb", "a\r\nb", "\t", "x" * 41, "👩" * 41]
    found = script("tokens.map((token) => visible(token))", tokens=tokens)
    assert found == [
        *("(empty)", "·a·", "a↵b", "a↵b", "⇥"),
        *("x" * 40 + "…", "👩" * 40 + "…"),
    ]
