"""For the tests: a dress as a module, and numbers that must be the same."""

from types import SimpleNamespace

import numpy as np
import torch

from parity_tests.tests.judge.street.dresses import dresses

CLOSE = 2**-40  # rounding in float64, as in `test_street_truth`


def worn(bug: str, dress: str) -> SimpleNamespace:
    """What the source of a dress defines."""
    names = {"__name__": dress}
    exec(compile(dresses(bug)[dress], f"{bug} as {dress}", "exec"), names)
    return SimpleNamespace(**names)


def tensor(x) -> torch.Tensor:
    """Whatever it was, in float64."""
    if not isinstance(x, torch.Tensor):
        x = torch.as_tensor(np.asarray(x))
    return x.detach().double()


def assert_same(got, wanted, close: float = CLOSE) -> None:
    got, wanted = tensor(got), tensor(wanted)
    assert got.shape == wanted.shape
    torch.testing.assert_close(
        got, wanted, rtol=close, atol=close, equal_nan=True
    )
