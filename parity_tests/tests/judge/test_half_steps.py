"""Steps in half precision as the judge sees them: two formats, all bits."""

import ml_dtypes
import numpy as np
import pytest
import torch

from numpy_ref.variants import half_precision as ours
from parity_tests.exact import described
from parity_tests.exact.numbers import bounded
from parity_tests.judge.attention import half_verdict
from parity_tests.judge.files.judging import (
    NOTHING_DECLARED,
    candidates,
    hosted,
    judge_thing,
)
from parity_tests.judge.files.remote import Limits, Remote
from parity_tests.judge.steps.cases import StepCase
from parity_tests.judge.steps.probes import plain_cases
from parity_tests.judge.steps.step import agree
from parity_tests.judge.verdict.diagnosis import digits_lost
from parity_tests.judge.verdict.loop import Budget
from torch_impl.variants import half_precision as theirs

STEPS = (
    *("round_to", "add_in_half", "sum_in_half"),
    *("attention_inside_float32", "attention_rounded_within"),
)
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def report_on(function, name):
    """The report on a function of a file that has this name."""
    host, thing = hosted(function, name)
    budget = Budget(6, shrunk=0)
    return judge_thing(host, thing, name, NOTHING_DECLARED, budget)


@pytest.mark.parametrize("side", [ours, theirs], ids=["NumPy", "PyTorch"])
@pytest.mark.parametrize("name", STEPS)
def test_each_side_is_right(name, side):
    report = report_on(getattr(side, name), name)
    verdicts = {finding.verdict for finding in report.findings}
    assert verdicts == {"holds"}, str(report)
    assert len(report.findings) >= 8  # its own, not the exact value alone


def float32_sum(total, terms):
    return (total.float() + terms.float().sum(dim=-2)).to(total.dtype)


def scores_in_half(query, key, value, mask):
    root = query.shape[-1] ** 0.5
    products = query.float() @ key.float().transpose(-2, -1)
    scores = (products / root).to(query.dtype).float()
    scores = scores.masked_fill(~mask, -torch.inf)
    weights = torch.softmax(scores, dim=-1).nan_to_num()
    return (weights @ value.float()).to(query.dtype)


def by_way_of_float16(total, term):
    total, dtype = total + term, total.dtype
    return total.astype(np.float16).astype(dtype)


def wide(total: np.ndarray, term: np.ndarray):
    return total.astype(np.float32) + term.astype(np.float32)


@pytest.mark.parametrize(
    ("name", "wrong", "cause"),
    [
        (
            *("sum_in_half", float32_sum),
            "it is added up in float32, and rounded once",
        ),
        (
            *("attention_inside_float32", scores_in_half),
            "the scores are rounded",
        ),
        ("add_in_half", by_way_of_float16, None),
        ("add_in_half", wide, "the sum stays in float32"),
    ],
)
def test_what_is_wrong_in_half_is_named(name, wrong, cause):
    report = report_on(wrong, name)
    assert report.cause == cause
    assert not report.holds


FILE = """
import torch

def add_in_half(total: torch.Tensor, term):
    total += term  # in its own memory
    return total

def sum_in_half(total: torch.Tensor, terms):
    return total + terms.sum(dim=-2)
"""


@pytest.mark.slow  # it starts a process
def test_halves_go_to_another_process_and_back(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE, "utf-8")
    with Remote(path, Limits(60)) as remote:
        things = remote.load(str(path), 20)["things"]
        added, summed = (
            judge_thing(remote, *each, NOTHING_DECLARED, Budget(4))
            for each in candidates(things)
        )
    failed = {finding.name for finding in added.failed}
    assert failed == {"inputs_are_left_as_they_were"}
    assert added.cause == "it modifies its inputs in place"
    script = summed.failed[0].failure.script
    assert "dtype=torch.bfloat16)" in script


def test_steps_in_half_are_compared_in_both_formats():
    for name in (*STEPS[1:], "attention_inside_float32_backward"):
        dtypes = {
            value.dtype
            for case in plain_cases(name)
            for value in case.values()
            if value.dtype != bool
        }
        assert dtypes == {BFLOAT16, np.dtype(np.float16)}


def test_without_bfloat16_they_are_not_judged(monkeypatch):
    monkeypatch.setattr(half_verdict, "find_spec", lambda name: None)
    report = report_on(ours.add_in_half, "add_in_half")
    assert "ml_dtypes" in report.trouble
    assert "[half]" in report.trouble
    assert report_on(ours.round_to, "round_to").holds


def test_a_case_in_bfloat16_can_be_pasted():
    array = np.array([1 / 3, -2 / 3], BFLOAT16)
    text = str(StepCase("add_in_half", {"total": array}))
    assert text.endswith("dtype=ml_dtypes.bfloat16))")
    call = text.removeprefix("add_in_half(total=").removesuffix(")")
    pasted = eval(call, {"np": np, "ml_dtypes": ml_dtypes})
    assert pasted.dtype == BFLOAT16
    assert np.array_equal(pasted, array)


HALVES = np.linspace(1, 2, 64).astype(np.float16)


def moved(count: int, steps: int = 1) -> np.ndarray:
    """As many of the halves, so many numbers further on."""
    bits = HALVES.copy().view(np.int16)
    bits[:count] += steps
    return bits.view(np.float16)


def test_few_halves_may_be_neighbours_of_what_they_should_be():
    assert agree(moved(2), HALVES)
    assert not agree(moved(3), HALVES)
    assert not agree(moved(1, steps=2), HALVES)
    assert not agree(moved(1)[:31], HALVES[:31])
    assert not agree(HALVES.astype(np.float32), HALVES)
    assert not agree(HALVES, HALVES.astype(BFLOAT16))
    assert not agree(HALVES[:2], HALVES)


def test_zeros_and_what_is_no_number_agree_whatever_their_sign():
    odd = np.array([0, np.nan, np.inf], BFLOAT16)
    assert agree(odd, np.array([-0.0, -np.nan, np.inf], BFLOAT16))
    assert not agree(odd, np.array([0, np.inf, np.inf], BFLOAT16))


def test_a_half_has_lost_no_digits():
    wrong = HALVES * np.tile(np.array([1.001, 0.999], np.float16), 32)
    assert digits_lost([wrong], [HALVES]) is None
    singles = (wrong.astype(np.float32), HALVES.astype(np.float32))
    assert "float16" in digits_lost([singles[0]], [singles[1]])


@pytest.mark.parametrize("dtype", [BFLOAT16, np.dtype(np.float16)], ids=str)
def test_the_exact_sum_is_rounded_at_each_term(dtype):
    rng = np.random.default_rng(4)
    total, terms = rng.normal(size=3), rng.normal(size=(20, 3))
    # Subnormal numbers of float16, too.
    size = np.exp2(-12 if dtype == np.float16 else 0)
    total, terms = (
        (size * total).astype(dtype),
        (size * terms).astype(dtype),
    )
    for digits in (False, True):
        arguments = bounded(total, digits), bounded(terms, digits)
        exact = described("sum_in_half")(*arguments)["total"]
        found = torch.from_numpy(total.astype(np.float32))
        half = getattr(torch, dtype.name)
        for row in terms.astype(np.float32):
            found = (found + torch.from_numpy(row)).to(half).float()
        assert exact.value.astype(float).tolist() == found.tolist()
        assert not exact.error.any()
