"""The built-in: what PyTorch brings for a step, run on the same example."""

import tomllib
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from parity_tests.exact import exact_steps
from parity_tests.twins.comparing import is_float, within
from parity_tests.twins.gradients import output_name

from .examples import example_of
from .values import result_of

TABLE = Path(__file__).with_name("builtins.toml")
BUILTINS = tomllib.loads(TABLE.read_text("utf-8"))


def builtin_of(name: str) -> dict[str, str]:
    """The call and its convention.

    Raises AssertionError when it does not give what the step gives.
    """
    check(name, BUILTINS[name]["call"])
    return BUILTINS[name]


def check(name: str, call: str) -> None:
    """Raise AssertionError unless a call gives the result of the step."""
    case = example_of(name)
    names = {"torch": torch, "F": functional, "module": case.module}
    with torch.no_grad():
        theirs = eval(call, names | case.torch_arguments()).numpy()
    ours = np.asarray(result_of(case))
    if not is_float(ours):
        assert np.array_equal(ours, theirs), f"{name}: {call} differs"
        return
    exact = exact_steps(name, case.arguments, case.params)
    error = exact[output_name(case.twin)].error
    comparison = within(call, ours, np.asarray(theirs), 2 * error)
    assert comparison.holds, str(comparison)
