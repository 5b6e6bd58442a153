"""Attention that is more than plain is found by its numbers, and judged as
what it is; nobody is accused of a window, a cap or a bias."""

import numpy as np
import pytest
import torch

from parity_tests.judge.attention.as_variant import (
    AsVariant,
    far_scores_uncover_nothing,
)
from parity_tests.judge.attention.conventions import Declared
from parity_tests.judge.attention.function import AttentionFunction
from parity_tests.judge.files.judging import hosted, judge_thing
from parity_tests.judge.subject.cases import AttentionCase
from parity_tests.judge.subject.variants import Variant, of_its_code
from parity_tests.judge.verdict.loop import Budget

pytestmark = pytest.mark.slow  # each is judged twice


def report_on(function, **declared):
    host, thing = hosted(function, None)
    role, budget = "scaled_dot_product_attention", Budget(8, shrunk=0)
    return judge_thing(host, thing, role, Declared(**declared), budget)


def scores_of(q, k):
    return q @ k.mT / q.shape[-1] ** 0.5


def apart(q, k):
    return torch.arange(q.shape[-2])[:, None] - torch.arange(k.shape[-2])


def weighed(scores, seen, v):
    return scores.masked_fill(~seen, -torch.inf).softmax(-1) @ v


def local_attention(q, k, v):
    distance = apart(q, k)
    seen = (distance >= 0) & (distance < 4)
    return weighed(scores_of(q, k), seen, v)


def both_sides(q, k, v):
    return weighed(scores_of(q, k), apart(q, k).abs() <= 2, v)


def long_window(q, k, v):
    distance = apart(q, k)
    seen = (distance >= 0) & (distance < 64)
    return weighed(scores_of(q, k), seen, v)


def longer_window(q, k, v):
    """Longer than all that plain attention is asked with."""
    distance = apart(q, k)
    seen = (distance >= 0) & (distance <= 400)
    return weighed(scores_of(q, k), seen, v)


def capped_attention(q, k, v, mask=None):
    scores = 30 * torch.tanh(scores_of(q, k) / 30)
    seen = torch.ones_like(scores, dtype=torch.bool)
    return weighed(scores, seen if mask is None else mask, v)


def slopes_of(heads):
    return torch.from_numpy(of_its_code(heads))[:, None, None]


def alibi_attention(q, k, v):
    distance = apart(q, k)
    bias = -slopes_of(q.shape[-3]) * distance
    return weighed(scores_of(q, k) + bias.to(q.dtype), distance >= 0, v)


def capped_in_a_window(q, k, v):
    scores = 20 * torch.tanh(scores_of(q, k) / 20)
    distance = apart(q, k)
    return weighed(scores, (distance >= 0) & (distance < 3), v)


ALIBI = "a bias that falls with distance, slopes 2^-8h/H: ALiBi"
FOUND = {
    local_attention: "a window of the last 4 keys",
    both_sides: "a window of 2 keys to each side",
    long_window: "a window of the last 64 keys",
    longer_window: "a window of the last 401 keys",
    capped_attention: "scores capped at 30",
    alibi_attention: ALIBI,
    capped_in_a_window: (
        "a window of the last 3 keys, and scores capped at 20"
    ),
}


@pytest.mark.parametrize("function", FOUND, ids=lambda f: f.__name__)
def test_what_it_is_is_found_and_holds(function):
    report = report_on(function)
    assert report.verdict == "holds where asked", report
    assert report.conventions["variant"] == FOUND[function]
    assert "properties of plain attention" in report.not_asked


def test_whoever_says_it_is_plain_is_told_what_it_is():
    report = report_on(capped_attention, is_meant=True)
    assert report.verdict == "rejected"
    assert report.cause == (
        "it is not plain attention: it has scores capped at 30"
    )


def softmax_in_float32(q, k, v, mask=None):
    """As transformers has it."""
    scores = 30 * torch.tanh(scores_of(q, k) / 30)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1, dtype=torch.float32).to(q.dtype) @ v


def test_a_softmax_that_is_always_in_float32_is_not_accused():
    report = report_on(softmax_in_float32)
    assert report.verdict == "holds where asked", report
    assert report.conventions["variant"] == "scores capped at 30"


def after_the_mask(q, k, v, mask, cap):
    scores = scores_of(q, k)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return (cap * torch.tanh(scores / cap)).softmax(-1) @ v


def capped_at_30(q, k, v, mask=None):
    return after_the_mask(q, k, v, mask, 30.0)


def capped_at_50(q, k, v, mask=None):
    return after_the_mask(q, k, v, mask, 50.0)


@pytest.mark.parametrize("function", [capped_at_30, capped_at_50])
def test_a_cap_after_the_mask_shows_in_scores_far_below_zero(function):
    """e^-50 is nothing, beside scores that are about 0."""
    report = report_on(function)
    assert report.verdict == "rejected"
    cap = function.__name__[-2:]
    assert report.cause == f"scores are capped at {cap} after the mask"
    assert "variant" not in report.conventions


def test_scores_far_below_zero_uncover_what_a_cap_let_through():
    random = np.random.default_rng(0)
    arrays = random.normal(size=(3, 4, 4))
    case = AttentionCase(*arrays, np.eye(4, dtype=bool))
    for function, is_right in ((capped_attention, 1), (capped_at_30, 0)):
        host, thing = hosted(function, None)
        subject = AttentionFunction(host, thing)
        asked = AsVariant(subject, Variant(cap=30.0))
        above, below = far_scores_uncover_nothing(asked, case)
        assert above.holds
        assert below.holds == is_right


def forgets_its_window(q, k, v):
    window = 4 if k.shape[-2] < 64 else 1000
    distance = apart(q, k)
    seen = (distance >= 0) & (distance < window)
    return weighed(scores_of(q, k), seen, v)


def one_key_too_many(q, k, v):
    """Right with few tokens, where the window has room for all."""
    distance = apart(q, k)
    late = torch.arange(q.shape[-2])[:, None] > 40
    seen = (distance >= 0) & (distance < 4 + late)
    return weighed(scores_of(q, k), seen, v)


def rises_with_distance(q, k, v):
    bias = slopes_of(q.shape[-3]) * apart(q, k)
    seen = apart(q, k) >= 0
    return weighed(scores_of(q, k) + bias.to(q.dtype), seen, v)


@pytest.mark.parametrize(
    "function", [forgets_its_window, one_key_too_many, rises_with_distance]
)
def test_what_is_no_variant_is_not_said_to_be_one(function):
    report = report_on(function)
    assert not report.holds, report
    assert "variant" not in report.conventions


def two_masks(q, k, v, pad_mask=None, seq_mask=None):
    """
    pad_mask: (batch, keys), 1 is a real token and 0 is padding
    seq_mask: (1, queries, keys), 1 may be seen
    """
    scores = scores_of(q, k)
    if pad_mask is not None:  # on the queries
        scores = scores.masked_fill(pad_mask[:, None, :, None] == 0, -1e9)
    if seq_mask is not None:
        scores = scores.masked_fill(seq_mask[:, None] == 0, -1e9)
    return scores.softmax(-1) @ v


def test_a_fault_beside_plain_numbers_is_no_variant():
    report = report_on(two_masks)
    assert report.verdict == "rejected"
    assert "variant" not in report.conventions


def test_plain_attention_stays_plain():
    def attention(q, k, v):
        return scores_of(q, k).softmax(-1) @ v

    report = report_on(attention)
    assert report.holds
    assert "variant" not in report.conventions


def test_slopes_of_twelve_heads_are_those_of_eight_and_half_of_sixteen():
    sixteen = 2.0 ** (-np.arange(1, 17) / 2)
    eight = 2.0 ** -np.arange(1, 9)
    assert np.allclose(of_its_code(12), [*eight, *sixteen[::2][:4]])


def test_a_variant_says_what_it_is():
    assert str(Variant(cap=30.0)) == "scores capped at 30"
    assert str(Variant(alibi=("code", "signed"), sides="earlier")) == ALIBI
