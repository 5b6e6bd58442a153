import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import get_cosine_with_min_lr_schedule_with_warmup

from numpy_ref.layers import FeedForward
from numpy_ref.optimizer import adamw_step, clip_gradients, learning_rate
from numpy_ref.parameters import from_state_dict, state_dict
from numpy_ref.training.adamw import adamw, clip_all, no_moments
from parity_tests.exact import exact_steps
from parity_tests.tests.conftest import expect_holds
from parity_tests.twins.comparing import within
from parity_tests.twins.finding import find_twins
from parity_tests.twins.replaying import to_numpy
from parity_tests.twins.strategies import cases
from torch_impl import layers

TWINS = {twin.name: twin for twin in find_twins()}
DTYPES = st.sampled_from(["float32", "float64"])
CHOICES = {"betas": (0.8, 0.95), "epsilon": 1e-7, "decay": 0.1}


def their_adamw(parameters, rate):
    return torch.optim.AdamW(
        parameters,
        lr=rate,
        betas=CHOICES["betas"],
        eps=CHOICES["epsilon"],
        weight_decay=CHOICES["decay"],
    )


@given(seed=st.integers(0, 99), dtype=DTYPES, scale=st.floats(-9, 3))
def test_each_step_is_that_of_pytorchs_adamw(seed, dtype, scale):
    rng = np.random.default_rng(seed)
    weight = torch.from_numpy(rng.normal(size=(3, 4)).astype(dtype))
    optimizer = their_adamw([weight.requires_grad_()], 0.01)
    mean = square = np.zeros((3, 4), dtype)
    for step in range(1, 6):
        gradient = (np.exp(scale) * rng.normal(size=(3, 4))).astype(dtype)
        arguments = {
            "weight": weight.detach().numpy().copy(),
            "gradient": gradient,
            "mean": mean,
            "square": square,
            "step": step,
            "rate": 0.01,
            **CHOICES,
        }
        ours = adamw_step(**arguments)
        weight.grad = torch.from_numpy(gradient)
        optimizer.step()
        state = optimizer.state[weight]
        mean = state["exp_avg"].numpy().copy()
        square = state["exp_avg_sq"].numpy().copy()
        theirs = weight.detach().numpy(), mean, square
        exact = exact_steps("adamw_step", arguments)
        names = ("new_weight", "new_mean", "new_square")
        for name, mine, other in zip(names, ours, theirs, strict=True):
            path = f"adamw_step[0]/{name}"
            comparison = within(path, mine, other, 2 * exact[name].error)
            expect_holds(
                f"NumPy and torch.optim.AdamW, {dtype}", comparison
            )


def test_a_model_learns_as_with_pytorchs_adamw():
    torch.manual_seed(0)
    module = layers.FeedForward(3, 5).double()
    params = from_state_dict(FeedForward, to_numpy(copied(module)))
    wide = [p for p in module.parameters() if p.ndim > 1]
    flat = [p for p in module.parameters() if p.ndim <= 1]
    optimizer = their_adamw(
        [{"params": wide}, {"params": flat, "weight_decay": 0.0}], 0.01
    )
    moments = no_moments(params)
    for step in range(1, 21):
        optimizer.zero_grad()
        module(
            torch.randn(7, 3, dtype=torch.float64)
        ).square().sum().backward()
        slopes = {n: p.grad for n, p in module.named_parameters()}
        gradients = from_state_dict(FeedForward, to_numpy(slopes))
        params, moments = adamw(
            params, gradients, moments, step, 0.01, **CHOICES
        )
        optimizer.step()
        for name, array in state_dict(params).items():
            theirs = module.state_dict()[name].numpy()
            assert abs(array - theirs).max() <= 1e-10 * abs(theirs).max()


def copied(module):
    return {name: a.clone() for name, a in module.state_dict().items()}


def test_a_step_leaves_what_it_was_given_as_it_was():
    params = from_state_dict(
        FeedForward, to_numpy(copied(layers.FeedForward(3, 5)))
    )
    before = {name: a.copy() for name, a in state_dict(params).items()}
    moments = no_moments(params)
    new, _ = adamw(params, params, moments, 1, 0.1)
    for name, array in state_dict(params).items():
        np.testing.assert_array_equal(array, before[name])
        assert not moments.mean[name].any()
        assert (state_dict(new)[name] != array).any()


def test_gradients_of_another_model_are_refused():
    params = from_state_dict(
        FeedForward, to_numpy(copied(layers.FeedForward(3, 5)))
    )
    with pytest.raises(ValueError, match="expected gradients of inner"):
        adamw(params, params.inner, no_moments(params), 1, 0.1)


def test_steps_count_from_one():
    array = np.ones(3)
    with pytest.raises(ValueError, match="step to be at least 1, got 0"):
        adamw_step(*[array] * 4, 0, 0.1, (0.9, 0.99), 1e-8, 0.0)


@given(data=st.data(), dtype=DTYPES)
def test_gradients_are_clipped_as_by_pytorch(data, dtype):
    case = data.draw(cases(TWINS["clip_gradients"], dtype)).arguments
    tensors = [torch.zeros(2, 3) for _ in case["gradients"]]
    for tensor, gradient in zip(tensors, case["gradients"], strict=True):
        tensor.data = torch.zeros(2, 3, dtype=getattr(torch, dtype))
        tensor.grad = torch.from_numpy(gradient.copy())
    torch.nn.utils.clip_grad_norm_(tensors, float(case["most"]))
    ours = clip_gradients(**case)
    exact = exact_steps("clip_gradients", case)["clipped"]
    for mine, tensor, part in zip(ours, tensors, exact, strict=True):
        comparison = within(
            "clip_gradients[0]", mine, tensor.grad.numpy(), 2 * part.error
        )
        expect_holds(f"NumPy and clip_grad_norm_, {dtype}", comparison)


def test_a_whole_model_s_gradients_are_clipped_together():
    gradients = from_state_dict(
        FeedForward, to_numpy(copied(layers.FeedForward(3, 5).double()))
    )
    clipped = clip_all(gradients, 0.25)
    flat, before = (
        np.concatenate([a.ravel() for a in state_dict(g).values()])
        for g in (clipped, gradients)
    )
    length = np.sqrt((before * before).sum())
    assert length > 0.25
    # 1e-6 stands beside the norm in what is divided by.
    near = before * (0.25 / (length + 1e-6))
    assert abs(flat - near).max() <= 1e-10 * abs(near).max()


@given(
    warm_up=st.integers(0, 9),
    further=st.integers(1, 30),
    highest=st.floats(1e-5, 1),
    share=st.floats(0, 1),
)
def test_the_schedule_is_transformers(warm_up, further, highest, share):
    steps = warm_up + further
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=highest)
    schedule = get_cosine_with_min_lr_schedule_with_warmup(
        optimizer, warm_up, steps, min_lr=share * highest
    )
    for step in range(steps + 1):
        ours = learning_rate(step, warm_up, steps, highest, share * highest)
        (theirs,) = schedule.get_last_lr()
        assert abs(ours - theirs) <= 1e-10 * highest
        optimizer.step()
        schedule.step()


def test_after_the_last_step_the_rate_stays_lowest():
    rates = [learning_rate(step, 2, 5, 1.0, 0.125) for step in range(5, 9)]
    assert rates == [0.125] * 4


def test_a_warm_up_as_long_as_the_training_is_refused():
    with pytest.raises(ValueError, match="steps to be at least 6, got 5"):
        learning_rate(1, 5, 5, 1.0, 0.0)
