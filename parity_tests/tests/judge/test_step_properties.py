"""The properties of the steps: they hold for both sides, and can fail."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from numpy_ref.parameters import state_dict
from parity_tests.judge.attention.verdict import judgement
from parity_tests.judge.steps.all_properties import STEP_PROPERTIES
from parity_tests.judge.steps.property import Gradient, Step
from parity_tests.judge.steps.verdict import (
    BACKWARD,
    plain,
    step_cases,
    twin_of,
)
from parity_tests.tests.conftest import expect_holds
from parity_tests.twins.case import to_torch
from parity_tests.twins.gradients import backward
from parity_tests.twins.replaying import to_numpy
from parity_tests.twins.strategies import cases

from .step_mutants import MUTANTS, changed

# Each input is checked by all properties of its step, so a few do.
EXAMPLES = settings().max_examples // 3
STEPS = [name for name in STEP_PROPERTIES if not name.endswith(BACKWARD)]
PROPERTIES = {
    each.name: each
    for listed in STEP_PROPERTIES.values()
    for each in listed
}
DTYPES = st.sampled_from(["float32", "float64"])


def expect_all(name, subject, arguments, side):
    for each in STEP_PROPERTIES[name]:
        for comparison in each.check(subject, arguments):
            path = f"{name}: {each.name}: {comparison.path}"
            expect_holds(
                f"properties of {side}", replace(comparison, path=path)
            )


def ours(name, function=None):
    """The subject of that name: NumPy's function, or another one."""
    twin = twin_of(name)
    if name.endswith(BACKWARD):
        by_hand = function or backward(twin)
        return Gradient(twin.name, twin.reference, by_hand)
    return Step(name, function or twin.reference)


@pytest.mark.parametrize("name", STEP_PROPERTIES)
def test_properties_hold_for_numpy_ref(name):
    @given(case=step_cases(name))
    @settings(max_examples=EXAMPLES)
    def on_any_input(case):
        expect_all(name, ours(name), case.arguments, "numpy_ref")

    on_any_input()


@pytest.mark.parametrize("name", STEPS)
def test_properties_hold_for_torch_impl(name):
    @given(data=st.data(), dtype=DTYPES)
    @settings(max_examples=EXAMPLES)
    def on_any_input(data, dtype):
        case = data.draw(cases(twin_of(name), dtype))
        arguments = {n: plain(v) for n, v in case.numpy_arguments().items()}
        step = Step(name, by_torch(case))
        expect_all(name, step, arguments, "torch_impl")

    on_any_input()


def by_torch(case):
    """The twin as a function of NumPy values, `params` among them."""

    # The parameters of the case share the memory of its module.
    step_there = deepcopy(case.torch_step())

    def step(params=None, **arguments):
        if params is not None:
            state = {n: copied(a) for n, a in state_dict(params).items()}
            step_there.load_state_dict(to_torch_all(state))
        taken = {n: copied(value) for n, value in arguments.items()}
        with torch.no_grad():
            return to_numpy(step_there(**to_torch_all(taken)))

    return step


def to_torch_all(values):
    return {name: to_torch(value) for name, value in values.items()}


def copied(value):
    """PyTorch wants arrays that it may write into."""
    return value.copy() if isinstance(value, np.ndarray) else value


# --- every property can fail ---------------------------------------------


@pytest.mark.parametrize("name", PROPERTIES)
def test_every_property_can_fail(name):
    step, mutant = MUTANTS[name]
    tested, subject = PROPERTIES[name], ours(step, mutant)
    assert tested in STEP_PROPERTIES[step]
    with np.errstate(all="ignore"):
        finding = judgement(
            tested,
            lambda case: tested.check(subject, case.arguments),
            step_cases(step),
            examples=25,
            seed=0,
            shrink=False,
        )
    assert finding.verdict == "fails"


@pytest.mark.parametrize("name", STEP_PROPERTIES)
def test_a_result_that_is_off_by_an_eighth_is_rejected(name):
    right = ours(name)

    def wrong(**arguments):
        return spoiled(right(**arguments))

    subject = ours(name, wrong)
    verdicts = (
        judgement(
            each,
            lambda case, each=each: each.check(subject, case.arguments),
            step_cases(name),
            examples=EXAMPLES,
            seed=0,
            shrink=False,
        ).verdict
        for each in STEP_PROPERTIES[name]
    )
    assert "fails" in verdicts


def spoiled(value):
    """Floats too large by an eighth, ids by one, masks turned around."""
    if isinstance(value, tuple | list):
        return type(value)(spoiled(part) for part in value)
    if hasattr(value, "__dataclass_fields__"):
        return changed(value, lambda _, array: array * 1.125)
    if isinstance(value, bool) or value.dtype == bool:
        return np.logical_not(value)
    return value * 1.125 if value.dtype.kind == "f" else value + 1
