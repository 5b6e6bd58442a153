from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import numpy_ref
import torch_impl

from .comparing import expect_equal, is_float, within
from .conftest import expect_holds
from .exact import exact_steps
from .recording import record
from .replaying import compare, to_numpy
from .rules import WITHOUT_TWIN, complaints
from .strategies import cases
from .twins import find_twins, twin_files

TWINS = find_twins()
DTYPES = st.sampled_from(["float32", "float64"])

# What looks at the numbers in its arguments, which meta tensors lack.
NEEDS_VALUES = {"decode", "covering_window_starts"}


def sources(file: str) -> tuple[str, str]:
    return tuple(
        Path(side.__path__[0], file).read_text(encoding="utf-8")
        for side in (numpy_ref, torch_impl)
    )


@pytest.mark.parametrize("file", twin_files())
def test_both_sides_take_the_same_named_steps(file):
    assert complaints(file, *sources(file)) == []


def test_what_has_no_twin_is_listed_with_its_reason(capsys):
    for name, reason in WITHOUT_TWIN.items():
        print(f"{name:28} {reason}")
    assert len(capsys.readouterr().out.splitlines()) == 5


@pytest.mark.parametrize("twin", TWINS, ids=str)
@given(data=st.data(), dtype=DTYPES)
def test_every_named_step_is_equal(twin, data, dtype):
    case = data.draw(cases(twin, dtype))
    _, ours = record(twin.reference, **case.numpy_arguments())
    with torch.no_grad():
        _, theirs = record(case.torch_step(), **case.torch_arguments())
    paths = [[call.path for call in side] for side in (ours, theirs)]
    expect_equal(twin.name, "calls", *paths)
    # The innermost calls first: a failure then names the step at fault.
    for comparison in compare(theirs[::-1]):
        expect_holds(f"NumPy and PyTorch, {dtype}", comparison)


@pytest.mark.parametrize("twin", TWINS, ids=str)
@given(data=st.data(), dtype=DTYPES)
@settings(max_examples=settings().max_examples // 2)
def test_every_named_step_is_near_its_exact_value(twin, data, dtype):
    case = data.draw(cases(twin, dtype))
    _, ours = record(twin.reference, **case.numpy_arguments())
    with torch.no_grad():
        _, theirs = record(case.torch_step(), **case.torch_arguments())
    if not any(map(is_float, to_numpy(theirs[0].steps).values())):
        return
    exact = exact_steps(twin.name, case.arguments, case.params, digits=True)
    for side, calls in (("NumPy", ours), ("PyTorch", theirs)):
        steps = to_numpy(calls[0].steps)
        for name, expected in exact.items():
            for part, value in enumerate(listed(steps.get(name, []))):
                should = listed(expected)[part]
                path = f"{calls[0].path}/{name}"
                comparison = within(path, value, should.value, should.error)
                expect_holds(f"{side} and mpmath, {dtype}", comparison)


def listed(value) -> list:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("twin", TWINS, ids=str)
@given(data=st.data())
@settings(max_examples=1)
def test_no_two_parameters_are_one(twin, data):
    module = data.draw(cases(twin, "float32")).module
    if module is not None:
        names = [name for name, _ in module.named_parameters()]
        assert names == list(module.state_dict())


@pytest.mark.parametrize("twin", TWINS, ids=str)
@given(data=st.data())
@settings(max_examples=2)
def test_new_tensors_stand_where_their_input_stands(twin, data):
    case = data.draw(cases(twin, "float32"))
    step, arguments = case.torch_step(), case.torch_arguments()
    expected = step(**arguments)
    if twin.name in NEEDS_VALUES:
        return
    if case.module is not None:
        step = step.to("meta")
    # Where no tensor comes in, a new one stands on the default device.
    default = "cpu" if tensors([*arguments.values()]) else "meta"
    with torch.device(default):
        found = step(
            **{name: to_meta(arguments[name]) for name in arguments}
        )
    for here, there in zip(tensors(found), tensors(expected), strict=True):
        assert here.is_meta
        assert (here.shape, here.dtype) == (there.shape, there.dtype)


def to_meta(value):
    return value.to("meta") if isinstance(value, torch.Tensor) else value


def tensors(value) -> list[torch.Tensor]:
    if isinstance(value, list | tuple):
        return [tensor for member in value for tensor in tensors(member)]
    return [value] if isinstance(value, torch.Tensor) else []
