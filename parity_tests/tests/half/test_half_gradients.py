"""No backward pass of a profile passes the bounds of its gradients."""

import numpy as np
import pytest

from parity_tests.bounds.half_gradients import (
    BackwardProfile,
    attention_gradient_bounds,
)
from parity_tests.bounds.half_precision import FORMATS, Profile
from parity_tests.judge.half.inputs import KINDS, half_inputs
from parity_tests.judge.half.kernels import half_type
from parity_tests.tests.half.test_half_bounds import shares

NAMES = "d_query", "d_key", "d_value"
SMALL = (2, 5, 4, 8, 8), (1, 3, 17, 16, 16), (1, 40, 9, 8, 8)
LARGER = (1, 100, 40, 16, 16), (1, 33, 33, 64, 64), (1, 5, 129, 64, 64)
FLOAT32 = {}
FUSED = {"weights": "rounded", "exp_error": 1.2e-4}
EAGER = {"weights": "rounded", "normalised": True, "score_roundings": 2}
BACKWARD = {
    "math": (FLOAT32, BackwardProfile()),
    "fused": (
        FUSED,
        BackwardProfile(
            d_scores_roundings=1,
            query_block=32,
            key_block=512,
            from_output=True,
        ),
    ),
    "eager": (EAGER, BackwardProfile(1, 2)),
}


def torch_gradients(name, d_context, query, key, value, mask, dtype):
    """What PyTorch's autograd gives: math, fused, or step by step."""
    torch = pytest.importorskip("torch")
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    kind = getattr(torch, dtype)

    def tensor(array):
        wide = torch.from_numpy(array.astype(np.float32))
        return wide.to(kind)[:, None]

    inputs = [tensor(a).requires_grad_() for a in (query, key, value)]
    mask = torch.from_numpy(mask)[:, None]
    if name == "eager":
        q, k, v = inputs
        scores = q @ k.mT * query.shape[-1] ** -0.5
        scores = scores.masked_fill(~mask, -torch.inf)
        weights = torch.softmax(scores, -1, dtype=torch.float32)
        context = weights.to(kind) @ v
    else:
        backend = {
            "math": SDPBackend.MATH,
            "fused": SDPBackend.FLASH_ATTENTION,
        }[name]
        with sdpa_kernel(backend):
            context = scaled_dot_product_attention(*inputs, attn_mask=mask)
    found = torch.autograd.grad(context, inputs, tensor(d_context))
    return [gradient[:, 0].double().numpy() for gradient in found]


def drawn(generator, shape, dtype):
    """Inputs of any kind, a gradient for the output, and a mask."""
    kind = generator.choice([*KINDS])
    arrays = half_inputs(generator, shape, kind, dtype)
    texts, queries, keys, _, d_value = shape
    d_context = generator.normal(size=(texts, queries, d_value))
    d_context = d_context * 10 ** generator.uniform(-1, 1)
    mask = generator.random((texts, queries, keys)) < 0.7
    mask[..., 0] = True
    return d_context.astype(half_type(dtype)), *arrays, mask


def worst_shares(name, dtype, generator, inputs, shapes):
    """The largest share of the bound of each gradient."""
    forward, backward = BACKWARD[name]
    profile, worst = Profile(dtype, **forward), np.zeros(3)
    for _ in range(inputs):
        shape = shapes[generator.integers(len(shapes))]
        *arrays, mask = drawn(generator, shape, dtype)
        found = torch_gradients(name, *arrays, mask, dtype)
        bounds = attention_gradient_bounds(*arrays, profile, backward, mask)
        share = [
            shares(gradient, bound).max()
            for gradient, bound in zip(found, bounds, strict=True)
        ]
        worst = np.maximum(worst, share)
    return dict(zip(NAMES, worst.round(3), strict=True))


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("name", BACKWARD)
def test_autograd_stays_within_the_bounds(name, dtype):
    worst = worst_shares(name, dtype, np.random.default_rng(0), 6, SMALL)
    assert max(worst.values()) <= 1, worst
    if name == "math":
        assert min(worst.values()) > 0.5, worst


@pytest.mark.slow
@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("name", BACKWARD)
def test_in_a_thousand_inputs_no_gradient_is_accused(name, dtype):
    generator = np.random.default_rng(1)
    worst = worst_shares(name, dtype, generator, 1000, SMALL + LARGER)
    print(f"{dtype}, {name}: {worst}")
    assert max(worst.values()) <= 1, worst


def gradients_by_hand(d_context, query, key, value, half, rounds):
    """A backward pass in NumPy, where each step may be rounded."""
    arrays = (a.astype(np.float64) for a in (d_context, query, key, value))
    d_context, query, key, value = arrays

    def rounded(name, numbers):
        return half(numbers) if name in rounds else numbers

    scale = query.shape[-1] ** -0.5
    scores = scale * (query @ key.mT)
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    weights = powers / powers.sum(-1, keepdims=True)
    d_weights = rounded("d_weights", d_context @ value.mT)
    mean = (weights * d_weights).sum(-1, keepdims=True)
    if "output" in rounds:
        output = half(weights @ value)
        mean = (output * d_context).sum(-1, keepdims=True)
    d_scores = rounded("d_scores", scale * weights * (d_weights - mean))
    d_value = rounded("weights", weights).mT @ d_context
    return half(d_scores @ key), half(d_scores.mT @ query), half(d_value)


STEPS = {
    "d_weights": BackwardProfile(d_weights_roundings=1),
    "d_scores": BackwardProfile(d_scores_roundings=1),
    "output": BackwardProfile(from_output=True),
    "weights": BackwardProfile(),
}


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("step", STEPS)
def test_each_rounding_of_a_backward_pass_is_allowed_and_needed(
    step, dtype
):
    """Without it in its profile the same gradients break a bound."""
    rng = np.random.default_rng(0)
    to = half_type(dtype)
    shapes = (40, 3, 4), (40, 3, 4), (40, 5, 4), (40, 5, 4)
    arrays = [rng.normal(size=shape) for shape in shapes]
    arrays[3] += 4  # so that the mean is large beside the differences
    arrays = [array.astype(to) for array in arrays]

    def half(numbers):
        return numbers.astype(to).astype(np.float64)

    found = gradients_by_hand(*arrays, half, {step})
    weights = "rounded" if step == "weights" else "unrounded"
    allowing = Profile(dtype, weights=weights), STEPS[step]
    forgetting = Profile(dtype), BackwardProfile()
    worst = []
    for profile, backward in (allowing, forgetting):
        bounds = attention_gradient_bounds(*arrays, profile, backward)
        worst.append(
            max(
                shares(gradient, bound).max()
                for gradient, bound in zip(found, bounds, strict=True)
            )
        )
    assert worst[0] <= 1 < worst[1]


def test_a_row_without_a_key_has_no_part_in_any_gradient():
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(3, 4)).astype(np.float16) for _ in range(4)]
    mask = np.ones((3, 3), bool)
    mask[1] = False
    profile, backward = Profile("float16"), BackwardProfile()
    bounds = attention_gradient_bounds(*arrays, profile, backward, mask)
    assert (bounds[0].value[1] == 0).all()
    assert (bounds[0].error[1] <= 2.0**-24).all()
    rows = [array[[0, 2]] for array in arrays[:2]]
    alone = attention_gradient_bounds(
        *rows, *arrays[2:], profile, backward, mask[[0, 2]]
    )
    for bound, other in zip(bounds[1:], alone[1:], strict=True):
        np.testing.assert_allclose(bound.value, other.value)
        np.testing.assert_allclose(bound.error, other.error, rtol=1e-2)


def test_a_gradient_that_may_leave_the_format_leaves_nothing_known():
    arrays = [np.full((2, 4), n, np.float16) for n in (200, 1, 1, 200)]
    profile = Profile("float16")
    held = attention_gradient_bounds(*arrays, profile, BackwardProfile())
    assert all(np.isfinite(bound.error).all() for bound in held)
    rounding = BackwardProfile(d_weights_roundings=1)  # of 160 000
    lost = attention_gradient_bounds(*arrays, profile, rounding)
    for bound in lost[:2]:
        assert bound.overflow.all()
        assert np.isinf(bound.error).all()
    assert np.isfinite(lost[2].error).all()


def test_sums_in_half_over_blocks_of_queries_are_allowed():
    """One key of weight 1: after 1, no 0.003 counts, nor do 40 of them."""
    d_context = np.full((41, 1), 0.003).astype(half_type("bfloat16"))
    d_context[0] = 1
    tokens = np.zeros((41, 1), d_context.dtype)
    arrays = d_context, tokens, tokens[:1], tokens[:1]
    stuck = np.ones((1, 1))
    for query_block, holds in ((1, True), (0, False)):
        backward = BackwardProfile(query_block=query_block)
        bounds = attention_gradient_bounds(*arrays, Profile(), backward)
        assert (shares(stuck, bounds[2]) <= 1) == holds


def test_a_recomputed_weight_is_off_by_its_score_and_by_the_sum():
    """Scores next to 20 are rounded, one up and the other down."""
    rng = np.random.default_rng(0)
    scores = rng.uniform(15, 25, size=(300, 2, 1))
    computed = scores.astype(half_type("bfloat16")).astype(float)
    powers = np.exp(computed - computed.max(1, keepdims=True))
    d_value = powers / powers.sum(1, keepdims=True)
    one = np.ones((300, 1, 1))
    bounds = attention_gradient_bounds(
        *(one, one, scores, np.ones((300, 2, 1))),
        Profile(score_roundings=1),
        BackwardProfile(),
        scale=1,
    )
    worst = shares(d_value, bounds[2]).max()
    assert 0.6 < worst <= 1


def test_of_long_sums_in_half_nothing_is_known():
    arrays = [np.zeros((1, 4)), np.zeros((1, 4)), *np.zeros((2, 256, 4))]
    in_half = BackwardProfile(sums_in="half")
    d_query, *_ = attention_gradient_bounds(*arrays, Profile(), in_half)
    assert d_query.accumulation
    assert not d_query.overflow.any()
    assert np.isinf(d_query.error).all()


def test_a_scale_of_zero_leaves_only_the_values_gradient():
    arrays = [np.ones((3, 4)) for _ in range(4)]
    d_query, d_key, d_value = attention_gradient_bounds(
        *arrays, Profile(), BackwardProfile(0, 1), scale=0.0
    )
    assert (d_query.value == 0).all()
    assert (d_key.value == 0).all()
    np.testing.assert_allclose(d_value.value, 1)


def test_a_score_that_may_leave_the_format_takes_all_gradients_along():
    d_context, query, key, value = np.ones((4, 2, 4))
    arrays = d_context, 300 * query, 300 * key, value
    profile = Profile("float16", score_roundings=1)
    bounds = attention_gradient_bounds(*arrays, profile, BackwardProfile())
    assert all(bound.overflow.all() for bound in bounds)
    single = Profile("float16")
    bounds = attention_gradient_bounds(*arrays, single, BackwardProfile())
    assert not bounds[2].overflow.any()
