from math import log

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st

from numpy_ref.loss import (
    cross_entropy,
    cross_entropy_backward,
    log_sum_exp,
)
from parity_tests.exact import exact_steps
from parity_tests.tests.conftest import expect_holds
from parity_tests.twins.comparing import within
from parity_tests.twins.finding import find_twins
from parity_tests.twins.strategies import IGNORED, cases

TWINS = {twin.name: twin for twin in find_twins()}
DTYPES = st.sampled_from(["float32", "float64"])


def by_pytorch(logits, targets, ignored):
    """`F.cross_entropy`, and the logits that its gradient will stand at."""
    leaf = torch.from_numpy(logits.copy()).requires_grad_()
    rows = leaf.reshape(-1, leaf.shape[-1])
    labels = torch.from_numpy(targets.copy()).reshape(-1)
    return F.cross_entropy(rows, labels, ignore_index=ignored), leaf


@given(data=st.data(), dtype=DTYPES)
def test_the_loss_is_pytorchs_own(data, dtype):
    case = data.draw(cases(TWINS["cross_entropy"], dtype))
    # Of one token the loss is 0: any bound is wide beside it.
    assume(case.arguments["logits"].shape[-1] > 1)
    ours = cross_entropy(**case.arguments)
    theirs, _ = by_pytorch(**case.arguments)
    assert ours.dtype == dtype
    exact = exact_steps("cross_entropy", case.arguments)["loss"]
    comparison = within(
        "cross_entropy[0]/loss",
        ours,
        theirs.detach().numpy(),
        2 * exact.error,
    )
    expect_holds(f"NumPy and F.cross_entropy, {dtype}", comparison)


@given(data=st.data(), dtype=DTYPES, above=st.floats(-2, 2))
def test_the_gradient_is_autograds(data, dtype, above):
    case = data.draw(cases(TWINS["cross_entropy"], dtype))
    d_loss = np.asarray(np.exp(above), dtype=dtype)
    ours = cross_entropy_backward(d_loss[()], **case.arguments)
    loss, leaf = by_pytorch(**case.arguments)
    loss.backward(torch.from_numpy(d_loss))
    assert ours.dtype == dtype
    exact = exact_steps(
        "cross_entropy_backward", {"d_loss": d_loss, **case.arguments}
    )["d_logits"]
    comparison = within(
        "cross_entropy_backward[0]/d_logits",
        ours,
        leaf.grad.numpy(),
        2 * exact.error,
    )
    expect_holds(f"gradients of the loss, {dtype}", comparison)


def test_the_gradient_is_the_slope():
    rng = np.random.default_rng(0)
    logits, along = rng.normal(size=(2, 3, 4, 5))
    targets = rng.integers(0, 5, (3, 4))
    targets[1, 2] = IGNORED
    gradient = cross_entropy_backward(
        np.float64(1), logits, targets, IGNORED
    )
    step = 1e-5  # cube root of u: truncation and rounding are alike
    ahead, behind = (
        cross_entropy(logits + sign * step * along, targets, IGNORED)
        for sign in (1, -1)
    )
    slope = (ahead - behind) / (2 * step)
    # A third derivative of the mean loss is below 1, |along| below 3.
    assert abs(slope - (gradient * along).sum()) <= 10 * step**2


def test_a_uniform_guess_costs_the_logarithm_of_the_vocabulary():
    loss = cross_entropy(np.zeros((2, 7)), np.array([0, 6]), IGNORED)
    exact = exact_steps(
        "cross_entropy",
        {
            "logits": np.zeros((2, 7)),
            "targets": np.array([0, 6]),
            "ignored": IGNORED,
        },
    )["loss"]
    assert abs(loss - log(7)) <= exact.error


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_logits_do_not_overflow(dtype):
    logits = np.array([1e30, 0, -1e30], dtype=dtype)
    assert log_sum_exp(logits) == logits[0]
    assert cross_entropy(logits, np.asarray(0), IGNORED) == 0


def test_an_ignored_target_leaves_no_trace():
    logits = np.random.default_rng(0).normal(size=(3, 5))
    targets = np.array([2, IGNORED, 4])
    kept = [0, 2]
    arguments = logits, targets, IGNORED
    assert cross_entropy(*arguments) == cross_entropy(
        logits[kept], targets[kept], IGNORED
    )
    gradient = cross_entropy_backward(np.float64(1), *arguments)
    assert not gradient[1].any()
    assert gradient[kept].all()


def test_a_loss_on_no_target_is_refused():
    message = "expected targets that count to be at least 1, got 0"
    for targets in (np.array([3, 3]), np.zeros(0, dtype=np.int64)):
        with pytest.raises(ValueError, match=message):
            cross_entropy(np.zeros((*targets.shape, 5)), targets, 3)


@pytest.mark.parametrize("target", [-1, 5])
def test_a_target_outside_the_vocabulary_is_refused(target):
    message = f"expected targets from 0 to 4, got {target}"
    with pytest.raises(ValueError, match=message):
        cross_entropy(np.zeros((2, 5)), np.array([0, target]), IGNORED)
