"""Half precision: rounding by its bits, attention by PyTorch's own."""

import re
import struct
from math import sqrt
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from numpy_ref import attention
from numpy_ref.parameters import from_state_dict
from numpy_ref.variants.half_precision import (
    attention_inside_float32,
    attention_rounded_within,
    round_to,
    sum_in_half,
)
from parity_tests.bounds.half_precision import Profile, attention_bound
from parity_tests.tests.conftest import one_in
from parity_tests.twins.case import to_torch, tuple_of
from parity_tests.twins.comparing import is_float
from parity_tests.twins.finding import find_twins
from parity_tests.twins.replaying import to_numpy
from parity_tests.twins.strategies import cases
from torch_impl import attention as torch_attention
from torch_impl.variants import half_precision as torch_half

HALVES = {
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float16": np.dtype(np.float16),
}
BITS = {"bfloat16": 8, "float16": 11}
PAGE = "docs/half_precision.md"
EACH_HALF = pytest.mark.parametrize("half", HALVES)


def bfloat16_by_bits(number: float) -> float:
    """Round a float32 by hand: its upper 16 bits, a tie to even ones."""
    (bits,) = struct.unpack("<I", struct.pack("<f", number))
    upper, lower = bits >> 16, bits & 0xFFFF
    upper += lower > 0x8000 or (lower == 0x8000 and upper & 1)
    return struct.unpack("<f", struct.pack("<I", upper << 16))[0]


def float16_by_struct(number: float) -> float:
    """Round as Python's own `struct` does."""
    return struct.unpack("<e", struct.pack("<e", number))[0]


BY_HAND = {"bfloat16": bfloat16_by_bits, "float16": float16_by_struct}


def numbers(count: int) -> np.ndarray:
    """float32 numbers of float16's normal range, many of them ties."""
    rng = np.random.default_rng(0)
    size = np.exp2(rng.uniform(-14, 15, count))
    drawn = (rng.choice([-1, 1], count) * size).astype(np.float32)
    # Between two numbers of so many bits lies an odd one of a bit more.
    odd = [
        2 * rng.integers(2 ** (bits - 1), 2**bits, count) + 1
        for bits in BITS.values()
    ]
    ties = odd * np.exp2(rng.integers(-20, 3, count))
    return np.concatenate([drawn, *ties]).astype(np.float32)


@EACH_HALF
def test_rounding_is_what_the_bits_say(half):
    x = numbers(150)
    expected = np.array([BY_HAND[half](float(number)) for number in x])
    rounded = x.astype(HALVES[half])
    assert np.array_equal(rounded.astype(float), expected)
    assert np.array_equal(round_to(x, BITS[half]), expected)
    theirs = torch_half.round_to(torch.from_numpy(x), BITS[half])
    assert np.array_equal(theirs.numpy(), expected)


@EACH_HALF
def test_both_sides_round_every_float32_alike(half):
    """Ties, subnormals, infinities and what overflows among them."""
    rng = np.random.default_rng(1)
    x = rng.integers(0, 2**32, 50_000, dtype=np.uint32)
    x[::4] = x[::4] & 0xFFFF0000 | 0x8000  # a tie of bfloat16
    x = x.view(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        ours = x.astype(HALVES[half]).astype(np.float32)
    theirs = torch.from_numpy(x).to(getattr(torch, half)).float().numpy()
    assert np.array_equal(ours, theirs, equal_nan=True)
    assert np.array_equal(np.signbit(ours), np.signbit(theirs)) or (
        np.isnan(ours).any()
    )


def test_so_many_bits_leave_a_number_as_it_is():
    x = numbers(50)
    assert np.array_equal(round_to(x, 24), x)
    assert not np.array_equal(round_to(x, 23), x)


@EACH_HALF
@pytest.mark.parametrize("side", ["NumPy", "PyTorch"])
def test_a_sum_in_half_is_that_of_single_roundings(half, side):
    rng = np.random.default_rng(2)
    terms = rng.normal(size=(40, 3)).astype(HALVES[half])
    total = np.zeros(3, HALVES[half])
    if side == "NumPy":
        found = sum_in_half(total, terms)
    else:
        tensors = map(to_torch, (total, terms))
        found = to_numpy(torch_half.sum_in_half(*tensors))
    expected = [0.0, 0.0, 0.0]
    for row in terms.astype(float):
        pairs = zip(expected, row, strict=True)
        # A float64 holds the sum of two halves exactly.
        expected = [BY_HAND[half](old + term) for old, term in pairs]
    assert found.dtype == HALVES[half]
    assert found.astype(float).tolist() == expected


@EACH_HALF
def test_ones_are_counted_no_further_than_the_bits_go(half):
    most = 2 ** BITS[half]
    terms = np.ones((most + 50, 1), HALVES[half])
    assert float(sum_in_half(terms[0], terms)[0]) == most


def inputs(half: str, keys: int = 20, batch: int = 200):
    """Query, key, value and a causal mask, without empty rows."""
    rng = np.random.default_rng(3)
    shapes = ((batch, 6, 8), (batch, keys, 8), (batch, keys, 5))
    arrays = [rng.normal(size=s).astype(HALVES[half]) for s in shapes]
    mask = np.tril(np.ones((1, 6, keys), bool), keys - 6)
    return *arrays, mask


def by_pytorch_in_float32(query, key, value, mask):
    wide = [tensor.float() for tensor in (query, key, value)]
    context = F.scaled_dot_product_attention(*wide, attn_mask=mask)
    return context.to(query.dtype)


def by_pytorch_in_half(query, key, value, mask):
    """PyTorch's operations in half, but for the scaled score."""
    scores = torch.einsum("bqi,bki->bqk", query.double(), key.double())
    scores = (scores / sqrt(query.shape[-1])).to(query.dtype)
    hidden = scores.masked_fill(~mask, -torch.inf)
    weights = F.softmax(hidden, dim=-1, dtype=torch.float32)
    return weights.to(query.dtype) @ value


ORACLES = {
    attention_inside_float32: by_pytorch_in_float32,
    attention_rounded_within: by_pytorch_in_half,
}


def neighbours_apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How many numbers of their format two halves are apart."""
    places = []
    for array in (a, b):
        bits = array.view(np.int16).astype(int)
        places.append(np.where(bits < 0, -(bits & 0x7FFF), bits))
    return abs(places[0] - places[1])


@EACH_HALF
@pytest.mark.parametrize("step", ORACLES, ids=lambda step: step.__name__)
def test_attention_in_half_is_pytorchs(half, step):
    arrays = inputs(half)
    tensors = [to_torch(array) for array in arrays]
    theirs = to_numpy(ORACLES[step](*tensors))
    for ours in (
        step(*arrays),
        to_numpy(getattr(torch_half, step.__name__)(*tensors)),
    ):
        assert ours.dtype == theirs.dtype == HALVES[half]
        # float32's order of a sum may carry a number over a border.
        apart = neighbours_apart(ours, theirs)
        assert (apart > 0).mean() < 0.02
        assert np.median(abs(ours.astype(float))) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("half", "step", "differ"),
    [
        ("bfloat16", attention_inside_float32, 18),
        ("float16", attention_rounded_within, 308),
    ],
)
def test_how_often_the_twins_differ_is_as_the_docs_say(half, step, differ):
    """As the docs say, or nearly: a library may add up otherwise."""
    rng = np.random.default_rng(0)
    for name in HALVES:  # one after the other, from one generator
        query = rng.normal(size=(400, 32, 16)).astype(HALVES[name])
        key, value = rng.normal(size=(2, 400, 64, 16)).astype(HALVES[name])
        if name == half:
            break
    arrays = query, key, value, np.ones((1, 32, 64), bool)
    tensors = map(to_torch, arrays)
    theirs = to_numpy(getattr(torch_half, step.__name__)(*tensors))
    apart = neighbours_apart(step(*arrays), theirs)
    assert apart.size == 204_800
    assert differ / 4 < (apart > 0).sum() < 4 * differ
    text = (Path(torch_half.__file__).parents[2] / PAGE).read_text("utf-8")
    assert re.search(rf"\b{differ}\b(?: differ)? in {half}", text)


@EACH_HALF
def test_rounding_within_costs_more_than_rounding_once(half):
    arrays = inputs(half)
    wide = [array.astype(float) for array in arrays[:3]]
    exact = attention.scaled_dot_product_attention(*wide, arrays[3])
    errors = [
        abs(step(*arrays).astype(float) - exact).max()
        for step in (attention_inside_float32, attention_rounded_within)
    ]
    once = 2.0 ** -BITS[half] * abs(exact).max()
    assert errors[0] <= once * (1 + 2.0**-10)
    assert errors[1] > 2 * errors[0]


WRONG = {
    "float32": ("bfloat16 or float16, got float32", [np.float32] * 3),
    "two kinds": (
        "expected one float dtype, got query bfloat16 and key float16",
        [ml_dtypes.bfloat16, np.float16, np.float16],
    ),
    "integers": ("bfloat16 or float16, got int64", [np.int64] * 3),
}


@pytest.mark.parametrize("step", ORACLES, ids=lambda step: step.__name__)
@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_half_is_refused_on_both_sides(wrong, step):
    message, dtypes = WRONG[wrong]
    arrays = [np.ones((3, 2), dtype) for dtype in dtypes]
    mask = np.ones((3, 3), bool)
    with pytest.raises(ValueError, match=message):
        step(*arrays, mask)
    with pytest.raises(ValueError, match=message):
        getattr(torch_half, step.__name__)(*map(to_torch, (*arrays, mask)))


def in_half(value, half: str):
    """The same in half precision, inside of tuples and lists, too."""
    if isinstance(value, list):
        return [in_half(member, half) for member in value]
    if isinstance(value, tuple):
        return tuple_of(type(value), [in_half(v, half) for v in value])
    if isinstance(value, dict):
        return {name: in_half(v, half) for name, v in value.items()}
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return value.astype(HALVES[half])
    return value


def computes_in_half(twin) -> bool:
    return twin.reference.__module__.endswith("half_precision")


TWINS = [twin for twin in find_twins() if not computes_in_half(twin)]
ONE_INPUT = settings(
    max_examples=1,
    phases=[Phase.generate],
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@EACH_HALF
@pytest.mark.parametrize("twin", one_in(16, TWINS), ids=str)
@ONE_INPUT
@given(data=st.data())
def test_no_step_of_numpy_widens_a_half_in_silence(twin, half, data):
    case = data.draw(cases(twin, "float32"))
    arguments = in_half(case.arguments, half)
    message = rf"expected .*float32 or float64, got {half} .*half_precision"
    if case.params is not None:
        kind = type(case.params)
        state = in_half(to_numpy(case.module.state_dict()), half)
        with pytest.raises(ValueError, match=message):
            from_state_dict(kind, state)
    if any(map(is_float, arguments.values())):
        holder = {} if case.params is None else {"params": case.params}
        with pytest.raises(ValueError, match=message):
            twin.reference(**arguments, **holder)


# PyTorch has no triangular solve in half precision on the CPU.
LACKING = {
    *("forward_substitution", "gated_delta_chunk"),
    "chunkwise_gated_delta",
}


@EACH_HALF
@pytest.mark.parametrize("twin", one_in(16, TWINS), ids=str)
@ONE_INPUT
@given(data=st.data())
def test_a_step_of_pytorch_gives_the_half_that_it_got(twin, half, data):
    case = data.draw(cases(twin, "float32"))
    arguments = in_half(case.arguments, half)
    step, dtype = case.torch_step(), getattr(torch, half)
    tensors = {name: to_torch(value) for name, value in arguments.items()}
    if case.module is not None:
        step = step.to(dtype)
    elif not any(map(is_float, arguments.values())):
        return
    if twin.name in LACKING:
        with pytest.raises(NotImplementedError, match="triangular_solve"):
            step(**tensors)
        return
    for tensor in floats(step(**tensors)):
        assert tensor.dtype == dtype


def floats(value) -> list[torch.Tensor]:
    if isinstance(value, list | tuple):
        return [tensor for member in value for tensor in floats(member)]
    is_tensor = isinstance(value, torch.Tensor)
    return [value] if is_tensor and value.is_floating_point() else []


def test_a_half_is_refused_by_the_name_of_what_takes_it():
    x = np.ones((2, 3), ml_dtypes.bfloat16)
    message = (
        "softmax: expected scores: float32 or float64, got bfloat16 (2, 3);"
        " numpy_ref.variants.half_precision computes in half"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        attention.softmax(x)
    weights = torch_attention.softmax(to_torch(x))
    assert weights.dtype == torch.bfloat16


def profile_of(step, half: str) -> Profile:
    """Where a step rounds, as its lines say."""
    if step is attention_inside_float32:
        return Profile(half)
    return Profile(
        half, score_roundings=1, weights="rounded", normalised=True
    )


@EACH_HALF
@pytest.mark.parametrize("step", ORACLES, ids=lambda step: step.__name__)
def test_both_sides_are_within_the_bound_of_their_profile(half, step):
    arrays = inputs(half)
    bound = attention_bound(
        *arrays[:3], profile_of(step, half), mask=arrays[3]
    )
    tensors = [to_torch(array) for array in arrays]
    theirs = to_numpy(getattr(torch_half, step.__name__)(*tensors))
    for output in (step(*arrays), theirs):
        shares = abs(output.astype(float) - bound.value) / bound.error
        assert 0.3 < shares.max() <= 1


@EACH_HALF
def test_who_rounds_within_does_not_round_once(half):
    arrays = inputs(half)
    once = profile_of(attention_inside_float32, half)
    bound = attention_bound(*arrays[:3], once, mask=arrays[3])
    output = attention_rounded_within(*arrays).astype(float)
    assert (abs(output - bound.value) > bound.error).mean() > 0.1
