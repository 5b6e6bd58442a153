"""A worse exp is measured, allowed for and reported; nothing else is."""

import re
from importlib import import_module

import numpy as np
import pytest

from parity_tests.bounds.exponentials import MOST_ROUNDINGS
from parity_tests.judge import judge
from parity_tests.judge.attention import fast_exp
from parity_tests.judge.attention.fast_exp import roundings_of
from parity_tests.judge.attention.function import AttentionFunction
from parity_tests.judge.files.judging import hosted

FEW = 4  # inputs of each property
WRONG = (  # functions of the bug zoo, in NumPy
    *("first_tile_masked", "mask_after_softmax", "maximum_of_masked_keys"),
    *("no_shift_by_maximum", "scale_without_root", "softmax_twice"),
    "softmax_in_half_precision",
)


def attention_with(off, cut=0):
    """Attention in NumPy: the exp of every other key is off by `off` u,
    and values lose their last `cut` bits."""

    def attention(query, key, value, mask=None):
        kind, keys = query.dtype.type, np.arange(key.shape[-2])
        scores = query @ key.mT * kind(query.shape[-1] ** -0.5)
        if mask is not None:
            scores = np.where(mask, scores, kind(-np.inf))
        powers = np.exp(scores - scores.max(-1, keepdims=True))
        wrong = 1 + keys % 2 * off * np.finfo(kind).eps / 2
        powers = (powers * wrong).astype(kind)
        large = value * kind(2**cut + 1)
        kept = large - (large - value) if cut else value
        return powers @ kept / powers.sum(-1, keepdims=True)

    return attention


def subject_of(function) -> AttentionFunction:
    return AttentionFunction(*hosted(function, None))


# --- verdicts ------------------------------------------------------------


@pytest.mark.slow
def test_a_right_attention_with_a_fast_exp_holds_and_it_is_reported():
    report = judge(attention_with(100), examples=FEW)
    assert report.verdict == "holds", str(report)
    said = report.conventions["exp"]
    assert re.fullmatch(
        r"off by 10\d u in float32, 10\d u in float64 \(8 assumed\)", said
    )


@pytest.mark.slow
def test_one_that_the_common_bound_allows_is_not_measured(monkeypatch):
    def unwanted(subject):
        raise AssertionError("measured")

    monkeypatch.setattr(fast_exp, "roundings_of", unwanted)
    report = judge(attention_with(14), examples=FEW)
    assert report.verdict == "holds", str(report)
    assert "exp" not in report.conventions


@pytest.mark.slow
def test_an_approximation_of_exp_is_rejected():
    off = 1e-4 * 2**24
    report = judge(attention_with(off), examples=FEW)
    assert report.verdict == "rejected"
    assert "exp" not in report.conventions


@pytest.mark.slow
def test_what_a_fast_exp_does_not_explain_is_rejected():
    """Values of 15 bits are off by too little to be told at once."""
    report = judge(attention_with(100, cut=9), examples=FEW)
    assert report.verdict == "rejected"
    assert "exp" not in report.conventions


class FastNumPy:
    """NumPy, but for an exp that is off by 100 u every other time."""

    def __getattr__(self, name):
        return getattr(np, name)

    @staticmethod
    def exp(numbers):
        powers = np.exp(numbers)
        odd = np.arange(powers.shape[-1]) % 2
        wrong = 1 + odd * 100 * np.finfo(powers.dtype).eps / 2
        return (powers * wrong).astype(powers.dtype)


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG)
def test_a_fast_exp_rescues_no_wrong_formula(monkeypatch, name):
    module = import_module(f"parity_tests.bug_zoo.{name}")
    monkeypatch.setattr(module, "np", FastNumPy())
    report = judge(module.scaled_dot_product_attention, examples=FEW)
    assert report.verdict == "rejected", str(report)
    assert "exp" not in report.conventions


# --- parts ---------------------------------------------------------------


def test_an_exp_that_is_worse_with_a_mask_only_is_seen():
    def attention(query, key, value, mask=None):
        return attention_with(0 if mask is None else 100)(
            query, key, value, mask
        )

    found = roundings_of(subject_of(attention))
    assert set(found) == {"float32", "float64"}
    assert all(100 <= seen <= 106 for seen in found.values())


@pytest.mark.parametrize("off", [0, 2 * MOST_ROUNDINGS])
def test_a_librarys_exp_and_what_is_none_change_no_bound(off):
    assert roundings_of(subject_of(attention_with(off))) == {}


def test_answers_that_are_no_numbers_change_no_bound():
    right = attention_with(100)

    def attention(query, key, value, mask=None):
        output = right(query, key, value, mask)
        is_wide = key.shape[-2] == 64
        return output * np.float32(np.nan) if is_wide else output

    assert roundings_of(subject_of(attention)) == {}


def test_no_exp_is_seen_through_a_causal_mask_of_its_own():
    right = attention_with(100)

    def causal_attention(query, key, value):
        shape = query.shape[-2], key.shape[-2]
        return right(query, key, value, np.tri(*shape, dtype=bool))

    assert roundings_of(subject_of(causal_attention)) == {}
