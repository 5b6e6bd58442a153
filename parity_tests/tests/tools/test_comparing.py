"""Comparing: the comparisons are tested themselves, also that they fail."""

from types import FunctionType

import numpy as np
import pytest
import torch

import torch_impl.attention
from parity_tests.exact import attention as exact_attention
from parity_tests.exact.numbers import bounded
from parity_tests.tests import conftest
from parity_tests.twins.comparing import Tally, compare_step, within
from parity_tests.twins.recording import record
from parity_tests.twins.replaying import compare

X = np.random.default_rng(0).normal(size=(3, 4))


def compared(name="softmax", *arrays):
    arrays = arrays or (X,)
    tensors = map(torch.from_numpy, arrays)
    _, calls = record(getattr(torch_impl.attention, name), *tensors)
    return list(compare(calls))


def broken(monkeypatch, change):
    """Softmax of `torch_impl`, with a change to each call of torch.exp."""
    right = torch.exp
    monkeypatch.setattr(torch, "exp", lambda a: change(right(a)))


def test_right_steps_hold():
    assert [c.path for c in compared()] == [
        f"softmax[0]/{name}"
        for name in (
            "maximum",
            "shifted",
            "exponentials",
            "total",
            "weights",
        )
    ]
    assert all(comparison.holds for comparison in compared())


def test_a_wrong_step_fails_under_its_own_name(monkeypatch):
    broken(monkeypatch, lambda a: a * (1 + 1e-13))
    failed = [c.path for c in compared() if not c.holds]
    assert failed == ["softmax[0]/exponentials", "softmax[0]/total"]


def test_a_failure_says_what_both_sides_had(monkeypatch):
    broken(
        monkeypatch,
        lambda a: a.clone().index_fill_(0, torch.tensor(1), 9.0),
    )
    first = next(c for c in compared() if not c.holds)
    assert str(first).startswith(
        "softmax[0]/exponentials differs: NumPy has "
    )
    assert "PyTorch 9.0 at [1, " in str(first)
    assert "the bound" in str(first)


def test_another_dtype_fails(monkeypatch):
    broken(monkeypatch, torch.Tensor.float)
    message = "softmax.0./exponentials: the kinds differ: float64"
    with pytest.raises(AssertionError, match=message):
        compared()


def test_another_precision_than_came_in_fails_on_both_sides_too():
    wide = X.astype(np.float64)
    came_in = bounded(X.astype(np.float32))
    message = "step: expected the precision of what came in, .*got float64"
    with pytest.raises(AssertionError, match=message):
        compare_step("step", wide, wide, came_in)


def test_another_shape_fails():
    with pytest.raises(AssertionError, match=r"\(3, 4\) in NumPy, float64"):
        compare_step("step", X, X[:2], bounded(X))


def test_other_steps_fail(monkeypatch):
    def softmax(scores):
        weights = torch.softmax(scores, -1)
        return weights

    # Only what belongs to one of the two sides is recorded.
    names = {"__name__": "torch_impl.attention", "torch": torch}
    wrong = FunctionType(softmax.__code__, names)
    monkeypatch.setattr(torch_impl.attention, "softmax", wrong)
    with pytest.raises(AssertionError, match="the steps differ"):
        compared()


def test_a_step_that_no_one_described_fails(monkeypatch):
    monkeypatch.delattr(exact_attention, "softmax")
    with pytest.raises(
        LookupError, match="expected softmax to be described"
    ):
        compared()


def test_a_local_that_no_one_described_fails(monkeypatch):
    monkeypatch.setattr(exact_attention, "softmax", lambda scores: {})
    with pytest.raises(LookupError, match=r"softmax\[0\]/maximum to be"):
        compared()


def test_integers_must_be_equal():
    ids = np.arange(5)
    assert compare_step("ids", ids, ids.copy(), None).holds
    other = compare_step("ids", ids, ids[::-1], None)
    assert not other.holds
    assert "ids differs" in str(other)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("a", "b"), (["a", "b"], ["b", "a"]), ({"a": 1}, {"a": 2}), (1, 2)],
)
def test_what_is_no_array_must_be_equal(ours, theirs):
    assert compare_step("step", ours, ours, None).holds
    assert not compare_step("step", ours, theirs, None).holds


def test_a_nan_on_one_side_fails_and_infinities_agree():
    ours = np.array([1.0, -np.inf, 3.0])
    assert within("step", ours, ours.copy(), 0 * X[0, :3]).holds
    for wrong in (np.nan, np.inf, -np.inf):
        theirs = np.array([1.0, -np.inf, wrong])
        comparison = within("step", ours, theirs, np.ones(3))
        assert not comparison.holds
        assert comparison.at == (2,)


def test_what_is_no_bound_is_refused():
    for bound in (np.nan, -1.0):
        with pytest.raises(ValueError, match="step: expected a bound, got"):
            within("step", X, X, np.full_like(X, bound))


def test_an_infinite_difference_within_an_infinite_bound_fails():
    theirs = np.where(X > 0, np.inf, X)
    assert not within("step", X, theirs, np.full_like(X, np.inf)).holds


def test_arrays_that_would_broadcast_differ():
    with pytest.raises(AssertionError, match="step: the shapes differ"):
        within("step", X, X[:1], np.ones_like(X))


def test_a_bound_of_zero_asks_for_equality():
    assert within("step", X, X.copy(), np.zeros_like(X)).holds
    other = np.nextafter(X, 9)
    assert not within("step", X, other, np.zeros_like(X)).holds


def test_a_bound_is_for_its_own_entry():
    theirs = X.copy()
    theirs[1, 2] += 1e-3
    bound = np.full_like(X, 1.0)
    bound[1, 2] = 1e-4
    comparison = within("step", X, theirs, bound)
    assert comparison.at == (1, 2)
    assert comparison.share == pytest.approx(10)


def test_a_wide_bound_is_counted():
    tally = Tally()
    for width in (1e-9, 1e-2 * abs(X).max()):
        tally.add(within("step", X, X, np.full_like(X, width)))
    assert (tally.compared, tally.wide, tally.failed) == (2, 1, 0)
    assert tally.holds


def test_a_tally_holds_only_if_all_do():
    tally = Tally()
    tally.add(within("right", X, X, np.ones_like(X)))
    tally.add(within("wrong", X, X + 2, np.ones_like(X)))
    tally.add(within("right", X, X, np.ones_like(X)))
    assert not tally.holds
    assert tally.worst.path == "wrong"


def test_the_reference_is_called_with_what_the_twin_got(monkeypatch):
    right = torch_impl.attention.softmax

    def off(scores):
        return right(scores) + 1e-9

    monkeypatch.setattr(torch_impl.attention, "softmax", off)
    scores = torch.from_numpy(X)
    _, calls = record(
        torch_impl.attention.softmax_with_temperature, scores, 2.0
    )
    failed = [c.path for c in compare(calls) if not c.holds]
    # The step inside is right; what was done to its result is not.
    assert failed == ["softmax_with_temperature[0]/weights"]


def test_a_comparison_that_sees_nothing_is_named(monkeypatch):
    def tally(width, count):
        made = Tally()
        for _ in range(count):
            made.add(within("step", X, X, np.full_like(X, width)))
        return made

    wide, many = abs(X).max(), conftest.ENOUGH
    tallies = {
        "a, float64": tally(1e-9, many),
        "b": tally(wide, many),
        "c, float32": tally(wide, many),
        "d, of few": tally(wide, many // 10),
    }
    monkeypatch.setattr(conftest, "TALLIES", tallies)
    assert conftest.blind() == ["b"]
