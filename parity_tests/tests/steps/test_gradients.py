"""Gradients by hand, held to autograd, differences and identities."""

import inspect
from dataclasses import is_dataclass, replace
from functools import wraps

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from numpy_ref import sublayers
from numpy_ref.parameters import from_state_dict, state_dict
from parity_tests.bounds.rounding import Bounded
from parity_tests.exact.numbers import bounded
from parity_tests.tests.conftest import examples, expect_holds
from parity_tests.twins.case import Case, to_torch
from parity_tests.twins.comparing import is_float, with_exact, within
from parity_tests.twins.finding import find_twins
from parity_tests.twins.gradients import (
    backward,
    difference_quotient,
    gradients,
    kept,
    kept_names,
    output_name,
    random_directions,
    slope_by_hand,
    with_gradient,
)
from parity_tests.twins.replaying import to_numpy
from parity_tests.twins.rules import GIVEN, WITHOUT_GRADIENT
from parity_tests.twins.strategies import SEEDS, cases, precision_of
from torch_impl.sublayers import FeedForwardSublayer

TWINS = with_gradient()
(ATTENTION,) = [
    twin for twin in TWINS if twin.name == "scaled_dot_product_attention"
]
# The bounds of a whole model, one step's on top of the other's, are too
# wide to see anything. Its parts are judged here, and it, end to end, in
# test_gpt2_training.py.
PARTS = [twin for twin in TWINS if not twin.name.endswith("_loss")]
DTYPES = st.sampled_from(["float32", "float64"])

# Named values whose gradients one formula steps over, function by function.
STEPPED_OVER = {
    "softmax": "maximum, shifted, exponentials, total",
    "masked_softmax": (
        "allowed, maximum, shift, exponentials, total, divisor"
    ),
    "sink_softmax": "allowed",
    "elu_plus_one": "slope",
    "attention_sublayer": "merged",
    "cross_entropy": "chosen, losses",
    "smoothed_cross_entropy": (
        "chosen, logarithm, surprise, mean_surprise, losses"
    ),
    "gpt2_loss": "hidden",
    "llama_loss": "hidden",
    "rotary_halves": "first, second, turned_first, turned_second",
    "rotary_neighbours": (
        "first, second, turned_first, turned_second, pairs"
    ),
    "llama_attention_sublayer": "merged",
    "recurrent_linear_attention": "outputs, output, new_state",
    "chunkwise_linear_attention": "outputs, output, new_state",
    "recurrent_gated_delta": "outputs, output, new_state",
    "kernel_attention": "left, new_state, new_normaliser",
    "post_norm_attention": "merged",
    "tiled_causal_attention": "outputs, sums, log_sum_exp",
    "split_heads_over_ranks": "parts",
    "split_heads": "separate",
    "merge_heads": "separate",
}


def drawn(data, twin, dtype):
    """A case, and a random upstream gradient for it."""
    case = data.draw(cases(twin, dtype))
    output = twin.reference(**case.numpy_arguments())
    output = output[0] if isinstance(output, tuple) else output
    rng = np.random.default_rng(data.draw(SEEDS))
    return case, rng.normal(size=output.shape).astype(output.dtype)


@pytest.mark.parametrize("twin", PARTS, ids=str)
@given(data=st.data(), dtype=DTYPES)
@settings(max_examples=examples(2))
def test_every_named_gradient_equals_autograds(twin, data, dtype):
    both = gradients(*drawn(data, twin, dtype))
    for comparison in both.compared(f"{twin.name}_backward").values():
        expect_holds(
            f"{twin.name}_backward, {precision_of(twin, dtype)}",
            replace(comparison, scale=both.scale),
        )


@pytest.mark.parametrize("twin", PARTS, ids=str)
@given(data=st.data(), dtype=DTYPES)
@settings(max_examples=examples(4))
def test_every_named_gradient_has_its_exact_value(twin, data, dtype):
    both = gradients(*drawn(data, twin, dtype), digits=True)
    for name, exact in both.exact.items():
        sides = {"NumPy": both.ours, "PyTorch": both.theirs}
        for side, values in sides.items():
            for comparison in with_exact(name, values[name], exact):
                expect_holds(
                    f"gradients by {side} and exact ones, "
                    + precision_of(twin, dtype),
                    replace(
                        comparison,
                        scale=both.scale,
                        sides=(side, "the exact value"),
                    ),
                )


def test_next_to_nothing_may_come_through_a_norm():
    """Automatic differentiation rounds a large sum twice then."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    module = FeedForwardSublayer(8, 8)
    weights = to_numpy(module.state_dict()) | {
        "norm.weight": np.full(8, 1e-7, np.float32)
    }
    module.load_state_dict({n: to_torch(a) for n, a in weights.items()})
    (twin,) = [t for t in TWINS if t.name == "feed_forward_sublayer"]
    x, upstream = rng.normal(size=(2, 100, 8)).astype(np.float32)
    params = from_state_dict(sublayers.FeedForwardSublayer, weights)
    case = Case(twin, {"x": x, "epsilon": 1e-5}, params, module)
    both = gradients(case, upstream, digits=True)
    (comparison,) = with_exact("x", both.theirs["x"], both.exact["x"])
    assert comparison.holds
    assert not comparison.is_wide
    rounded_once = Bounded(
        both.exact["x"].value,
        np.spacing(np.abs(upstream)) / 2,
        both.exact["x"].rounding,
    )
    (once,) = with_exact("x", both.theirs["x"], rounded_once)
    assert not once.holds


@pytest.mark.parametrize("twin", TWINS, ids=str)
@given(data=st.data())
@settings(max_examples=2)
def test_no_named_gradient_is_left_out(twin, data):
    case, upstream = drawn(data, twin, "float64")
    both = gradients(case, upstream)
    missing = both.theirs.keys() - both.ours.keys() - {output_name(twin)}
    stepped_over = STEPPED_OVER.get(twin.name, "")
    assert ", ".join(n for n in both.theirs if n in missing) == stepped_over


@pytest.mark.parametrize(
    "twin", [twin for twin in PARTS if kept_names(twin)], ids=str
)
@given(data=st.data())
@settings(max_examples=1)
def test_what_a_step_has_kept_is_pytorchs_own(twin, data):
    """NumPy's own would be off by other roundings than autograd's."""

    @wraps(twin.reference)
    def never(*_, **__):
        raise AssertionError("NumPy's forward was asked for what it keeps")

    case, upstream = drawn(data, twin, "float64")
    asked = replace(case, twin=replace(twin, reference=never))
    assert gradients(asked, upstream).ours


@pytest.mark.parametrize("twin", PARTS, ids=str)
@given(data=st.data(), seed=SEEDS)
@settings(max_examples=examples(5))
def test_a_small_move_changes_the_output_as_the_gradient_says(
    twin, data, seed
):
    case, upstream = drawn(data, twin, "float64")
    both = gradients(case, upstream)
    directions = random_directions(case, np.random.default_rng(seed))
    by_hand, error = slope_by_hand(both, directions)
    slope = difference_quotient(case, upstream, directions)
    # Where nothing is rounded, the difference itself is off by 1e-30.
    assert abs(by_hand - slope) <= error + 1e-20


@pytest.mark.parametrize(
    "twin",
    [twin for twin in TWINS if isinstance(twin.torch, type)],
    ids=str,
)
@given(data=st.data())
@settings(max_examples=1)
def test_the_gradient_of_parameters_is_the_same_dataclass(twin, data):
    case, upstream = drawn(data, twin, "float64")
    d_params = results_by_hand(case, upstream)[-1]
    assert type(d_params) is type(case.params)
    theirs = {name for name, _ in case.module.named_parameters()}
    assert state_dict(d_params).keys() == theirs


def results_by_hand(case, upstream) -> tuple:
    """What the gradient by hand returns, in the order of the inputs."""
    _, *order = inspect.signature(backward(case.twin)).parameters
    arguments = case.numpy_arguments()
    arguments |= kept(case.twin, arguments)
    result = backward(case.twin)(
        upstream[()], *(arguments[name] for name in order)
    )
    return result if isinstance(result, tuple) else (result,)


# That of `gpt2_loss` gives the loss as well, before them.
@pytest.mark.parametrize("twin", PARTS, ids=str)
@given(data=st.data())
@settings(max_examples=1)
def test_gradients_come_in_the_order_of_the_inputs(twin, data):
    case, upstream = drawn(data, twin, "float64")
    results = results_by_hand(case, upstream)
    learned = [
        value
        for name in inspect.signature(twin.reference).parameters
        if has_gradient(value := case.numpy_arguments()[name])
        and name not in GIVEN
    ]
    for gradient, value in zip(results, learned, strict=True):
        assert type(gradient) is type(value)
        if isinstance(value, np.ndarray):
            assert (gradient.shape, gradient.dtype) == (
                value.shape,
                value.dtype,
            )


def has_gradient(value) -> bool:
    """Floats have one, and parameters."""
    floats = isinstance(value, np.ndarray) and is_float(value)
    return floats or is_dataclass(value)


def test_every_step_has_a_gradient_or_a_reason_not_to(capsys):
    without = [
        twin.name
        for twin in find_twins()
        if twin not in TWINS and makes_floats_of_floats(twin)
    ]
    for name in without:
        print(f"{name:24} {WITHOUT_GRADIENT[name]}")
    assert len(capsys.readouterr().out.splitlines()) == len(
        WITHOUT_GRADIENT
    )


def makes_floats_of_floats(twin) -> bool:
    *taken, returned = [
        getattr(annotation, "__name__", "").startswith(("Float", "Half"))
        for annotation in annotations(twin.reference)
    ]
    learns = isinstance(twin.torch, type)
    return returned and (learns or any(taken))


def annotations(function) -> list:
    """Of the arguments, and of the result."""
    signature = inspect.signature(function)
    taken = [part.annotation for part in signature.parameters.values()]
    return [*taken, signature.return_annotation]


# What must hold whatever the numbers (PROPERTIES.md, 27): each sum is
# within its terms' errors and its own roundings of what it should be.


@given(data=st.data(), dtype=DTYPES)
def test_gradients_of_attention_obey_its_identities(data, dtype):
    case, upstream = drawn(data, ATTENTION, dtype)
    both, mask = gradients(case, upstream), case.arguments["mask"]
    mask = np.broadcast_to(mask, both.ours["scores"].shape)
    query, key = case.arguments["query"], case.arguments["key"]
    d = {name: bounded_by(both, name) for name in both.ours}

    expect_zero("sum of d_scores over keys", d["scores"].total())
    keys = d["key"].moved(lambda part: part.swapaxes(-2, -1))
    expect_zero("sum of d_key over keys", keys.total())
    values = d["value"].moved(lambda part: part.swapaxes(-2, -1))
    asking = bounded(np.where(mask.any(-1, keepdims=True), upstream, 0))
    answers = asking.moved(lambda part: part.swapaxes(-2, -1))
    expect_zero(
        "d_value against d_context", values.total() - answers.total()
    )
    along_query = inner(d["query"], bounded(query))
    along_key = inner(d["key"], bounded(key))
    expect_zero(
        "d_query and d_key along their own", along_query - along_key
    )

    unseen = ~mask.any(axis=-2)
    assert not both.ours["scores"][~mask].any()
    assert not both.ours["key"][unseen].any()
    assert not both.ours["value"][unseen].any()


def bounded_by(both, name) -> Bounded:
    """A gradient by hand, which may be off by its bound."""
    exact = both.exact[name]
    return Bounded(
        both.ours[name].astype(np.float64), exact.error, exact.rounding
    )


def inner(a: Bounded, b: Bounded) -> Bounded:
    """For each batch entry the sum of all products."""
    flat = (a * b).moved(lambda part: part.reshape(*part.shape[:-2], -1))
    return flat.total()


def expect_zero(path: str, a: Bounded) -> None:
    zero = np.zeros_like(a.value)
    comparison = within(path, a.value, zero, a.error)
    assert comparison.holds, comparison
