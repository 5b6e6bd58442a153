"""The properties of the steps: they hold for both sides, and can fail."""

from copy import deepcopy
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from numpy_ref.parameters import state_dict
from parity_tests.judge.mutants.steps import MUTANTS
from parity_tests.judge.steps import all_properties
from parity_tests.judge.steps.all_properties import (
    judged_steps,
    properties_of,
)
from parity_tests.judge.steps.cases import plain, step_cases
from parity_tests.judge.steps.property import (
    BACKWARD,
    Step,
    moved,
    twin_of,
)
from parity_tests.judge.steps.step import StepSubject
from parity_tests.judge.verdict.loop import Budget, drawn_inputs, judgement
from parity_tests.tests.conftest import expect_holds
from parity_tests.twins.case import to_torch
from parity_tests.twins.gradients import backward
from parity_tests.twins.replaying import to_numpy
from parity_tests.twins.strategies import cases

# Each input is checked by all properties of its step, so a few do.
EXAMPLES = settings().max_examples // 3
STEPS = sorted(judged_steps())
FORWARD = [name for name in STEPS if not name.endswith(BACKWARD)]
PROPERTIES = {each.name: each for each in all_properties.PROPERTIES}
DTYPES = st.sampled_from(["float32", "float64"])


def expect_all(name, step, arguments, side):
    for each in properties_of(name):
        for comparison in each.check(step, arguments):
            path = f"{name}: {each.name}: {comparison.path}"
            expect_holds(
                f"properties of {side}", replace(comparison, path=path)
            )


def ours(name, function=None):
    """The subject of that name: NumPy's function, or another one."""
    twin = twin_of(name)
    own = backward(twin) if name.endswith(BACKWARD) else twin.reference
    return StepSubject(function or own, name)


@pytest.mark.parametrize("name", STEPS)
def test_properties_hold_for_numpy_ref(name):
    @given(case=step_cases(name))
    @settings(max_examples=EXAMPLES)
    def on_any_input(case):
        expect_all(name, ours(name).asked, case, "numpy_ref")

    on_any_input()


@pytest.mark.parametrize("name", FORWARD)
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


@cache
def drawn(name):
    return drawn_inputs(step_cases(name), Budget(25))


def fails(each, subject) -> bool:
    with np.errstate(all="ignore"):
        inputs = drawn(subject.name)
        found = judgement(each, subject, Budget(25), inputs, shrink=False)
    return found.verdict == "fails"


@pytest.mark.slow
@pytest.mark.parametrize("name", PROPERTIES)
def test_every_property_can_fail(name):
    """By a mutant that the diagnosis knows."""
    tested = PROPERTIES[name]
    assert any(
        fails(tested, ours(step, in_their_order(mutant)))
        for step in sorted(tested.of)
        for mutant in MUTANTS.get(step, {}).values()
    )


def test_an_input_that_is_changed_in_place_is_seen():
    def in_place(x):
        x *= 2
        return x

    *_, shared = properties_of("gelu")
    assert shared.name == "inputs_are_left_as_they_were"
    assert fails(shared, ours("gelu", in_place))


def in_their_order(mutant):
    """A mutant takes the arguments of the step in order, not by name."""
    return lambda **arguments: mutant(*arguments.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", STEPS)
def test_a_result_that_is_off_by_an_eighth_is_rejected(name):
    right = ours(name).function

    def wrong(**arguments):
        return spoiled(right(**arguments))

    subject = ours(name, wrong)
    assert any(fails(each, subject) for each in properties_of(name))


def spoiled(value):
    """Floats too large by an eighth, ids by one, masks turned around."""
    if isinstance(value, tuple | list):
        # A named tuple takes its members one by one.
        make = getattr(type(value), "_make", type(value))
        return make(spoiled(part) for part in value)
    if hasattr(value, "__dataclass_fields__"):
        return moved({"": value}, lambda _, array: array * 1.125)[""]
    if isinstance(value, float):
        return value * 1.125
    if isinstance(value, bool) or value.dtype == bool:
        return np.logical_not(value)
    return value * 1.125 if value.dtype.kind == "f" else value + 1
