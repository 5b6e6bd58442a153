"""No kernel of a profile passes its bound, and several come near it."""

from dataclasses import replace
from itertools import product
from math import inf

import numpy as np
import pytest

from parity_tests.bounds.half_precision import (
    FORMATS,
    HalfBound,
    Profile,
    attention_bound,
)
from parity_tests.judge.half.inputs import (
    KINDS,
    LONG_SHAPES,
    MASKS,
    SHAPES,
    half_inputs,
    half_mask,
)
from parity_tests.judge.half.kernels import (
    EAGER,
    FLOAT32,
    FUSED,
    BaseTwoKernel,
    FastExpKernel,
    RoundsTheProduct,
    TiledKernel,
    WholeKernel,
    half_type,
)

MANY = 250  # inputs for each; the right kernels of the judge get 1,000
SUMMED = replace(FUSED, summed="rounded")
NORMALISED = replace(EAGER, score_roundings=0)
BOTH_SCALED = replace(NORMALISED, scaled_before="both", score_roundings=1)
KEY_SCALED = replace(BOTH_SCALED, scaled_before="key")
SCALE_ROUNDED = replace(
    BOTH_SCALED, scaled_before="query", scale_rounded=True
)
HALF_SOFTMAX = Profile(softmax="half", normalised=True, score_roundings=2)
ALL_IN_HALF = Profile(
    softmax="half",
    normalised=True,
    score_roundings=1,
    scores_in="half",
    sum_in="half",
    context_in="half",
)
FLUSHING = replace(NORMALISED, flushes_subnormals=True)

KERNELS = {
    "float32 inside": (WholeKernel, FLOAT32),
    "tiles": (TiledKernel, FLOAT32),
    "fused": (TiledKernel, FUSED),
    "fused, of rounded weights": (TiledKernel, SUMMED),
    "fused, either": (TiledKernel, replace(SUMMED, summed="either")),
    "powers of two": (BaseTwoKernel, FUSED),
    "fast exp": (
        FastExpKernel,
        replace(FUSED, exp_error=1.2e-4, rescale_error=1.2e-4),
    ),
    "eager": (WholeKernel, EAGER),
    "a product is rounded": (
        *(RoundsTheProduct, replace(EAGER, score_roundings=1)),
    ),
    "normalised weights": (WholeKernel, NORMALISED),
    "query and key scaled": (WholeKernel, BOTH_SCALED),
    "key scaled": (WholeKernel, KEY_SCALED),
    "scale rounded": (WholeKernel, SCALE_ROUNDED),
    "softmax in half": (WholeKernel, HALF_SOFTMAX),
    "all in half": (WholeKernel, ALL_IN_HALF),
    "context in half": (
        *(WholeKernel, replace(FLOAT32, context_in="half")),
    ),
    "output rounded twice": (
        *(WholeKernel, replace(FUSED, output_roundings=2)),
    ),
    "flushing": (WholeKernel, FLUSHING),
}


def shares(outputs, bound) -> np.ndarray:
    """Errors as a share of their bound; 0 where nothing is known."""
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(outputs.astype(np.float64) - bound.value)
        share = error / bound.error
    return np.where(np.isinf(bound.error), 0, np.nan_to_num(share, nan=inf))


def worst_share(name, dtype, generator, inputs, shapes) -> float:
    """The largest share of the bound in so many inputs of any kind."""
    kernel_class, profile = KERNELS[name]
    profile = replace(profile, dtype=dtype)
    kernel, worst = kernel_class(profile), 0.0
    for _ in range(inputs):
        shape = shapes[generator.integers(len(shapes))]
        arrays = half_inputs(
            generator, shape, generator.choice([*KINDS]), dtype
        )
        mask = half_mask(generator, shape, generator.choice(MASKS))
        bound = attention_bound(*arrays, profile, mask)
        worst = max(worst, shares(kernel(*arrays, mask), bound).max())
    return worst


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_stays_within_the_bound_of_its_profile(name, dtype):
    generator = np.random.default_rng(0)
    assert worst_share(name, dtype, generator, 2, SHAPES[:4]) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("name", KERNELS)
def test_in_many_inputs_there_is_no_false_alarm(name, dtype):
    generator = np.random.default_rng(1)
    shapes = SHAPES + LONG_SHAPES
    worst = worst_share(name, dtype, generator, MANY, shapes)
    print(f"{dtype}, {name}: {worst:.2f} of the bound")
    assert worst <= 1


def all_signs(count: int):
    """Every pattern of so many signs: count columns of 2^count."""
    return iter(np.array([*product([-1, 1], repeat=count)]).T[..., None])


def outputs_of_all_roundings(scores, value, profile) -> np.ndarray:
    """The outputs for whichever way each number is rounded, at its worst.

    Few keys, whose scores come exactly; float32 rounds nothing here.
    """
    u, keys, in_half = profile.u, len(scores), profile.softmax == "half"
    roundings = profile.score_roundings + 2 * in_half
    roundings += in_half or profile.weights == "rounded"
    signs = all_signs(keys * roundings + in_half + 1)

    def rounded(numbers):
        if numbers.shape[-1] == 1:
            return numbers * (1 + u * next(signs))
        factors = [1 + u * next(signs) for _ in range(keys)]
        return numbers * np.concatenate(factors, -1)

    for _ in range(profile.score_roundings):
        scores = rounded(np.atleast_2d(scores))
    distance = scores - np.max(scores, -1, keepdims=True)
    distance = rounded(distance) if in_half else np.atleast_2d(distance)
    weights = rounded(np.exp(distance)) if in_half else np.exp(distance)
    used = weights
    if profile.weights == "rounded" and not in_half:
        used = rounded(weights)
    if profile.sums_rounded:
        weights = used
    total = weights.sum(-1, keepdims=True)
    total = rounded(total) if in_half else total
    shares = rounded(used / total) if in_half else used / total
    return rounded((shares * value).sum(-1, keepdims=True))


EXACT_EXP = {"exp_error": 0.0, "rescale_error": 0.0}
NEARLY_REACHED = {
    "float32 inside": (FLOAT32, 0.99),
    "weights rounded": (FUSED, 0.99),
    "rounded ones summed": (SUMMED, 0.98),
    "scores rounded": (replace(FLOAT32, score_roundings=2), 0.97),
    "eager": (EAGER, 0.97),
    "softmax in half": (replace(HALF_SOFTMAX, score_roundings=0), 0.9),
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("case", NEARLY_REACHED)
def test_the_worst_of_all_roundings_nearly_reaches_the_bound(case, seed):
    profile, reached = NEARLY_REACHED[case]
    rng = np.random.default_rng(seed)
    keys = 2 + seed % 2
    scores = rng.normal(size=keys) * rng.choice([1, 5])
    value = rng.normal(size=keys) + rng.choice([0, 5])
    outputs = outputs_of_all_roundings(scores, value, profile)
    bound = attention_bound(
        np.ones((1, 1)),
        scores[:, None],
        value[:, None],
        replace(profile, **EXACT_EXP),
    )
    share = np.abs(outputs - bound.value).max() / bound.error.item()
    assert reached <= share <= 1


def inputs(dtype="bfloat16", keys=6, seed=0):
    rng = np.random.default_rng(seed)
    shapes = (2, 3, 4), (2, keys, 4), (2, keys, 5)
    return [rng.normal(size=s).astype(half_type(dtype)) for s in shapes]


def test_one_key_leaves_the_outputs_rounding():
    query, key, value = inputs(keys=1)
    profile = Profile(summed="unrounded")
    error = attention_bound(query, key, value, profile).error
    size = np.broadcast_to(np.abs(value.astype(float)), error.shape)
    np.testing.assert_allclose(
        error, FORMATS["bfloat16"].u * size, rtol=0.01
    )


def test_a_row_without_a_key_is_zero_but_for_the_outputs_rounding():
    mask = np.ones((3, 6), bool)
    mask[1] = False
    bound = attention_bound(*inputs("float16"), Profile("float16"), mask)
    assert (bound.value[:, 1] == 0).all()
    assert (bound.error[:, 1] == 2.0**-25).all()
    assert (bound.error[:, 0] > 2.0**-25).all()


def test_a_masked_key_changes_nothing():
    query, key, value = inputs()
    mask = np.ones((3, 6), bool)
    mask[:, 4:] = False
    seen = attention_bound(query, key, value, EAGER, mask)
    key[:, 4:], value[:, 4:] = 3, 1e4
    other = attention_bound(query, key, value, EAGER, mask)
    np.testing.assert_array_equal(seen.value, other.value)
    np.testing.assert_array_equal(seen.error, other.error)
    alone = attention_bound(query, key[:, :4], value[:, :4], EAGER)
    np.testing.assert_allclose(seen.error, alone.error, rtol=1e-4)


def test_leading_axes_are_attentions_of_their_own():
    query, key, value = inputs()
    heads = query[:, None], key[:, None], value[:, None]
    both = attention_bound(*heads, EAGER)
    for text in range(2):
        alone = attention_bound(query[text], key[text], value[text], EAGER)
        np.testing.assert_array_equal(both.value[text, 0], alone.value)
        np.testing.assert_array_equal(both.error[text, 0], alone.error)


@pytest.mark.parametrize(
    "change",
    [
        {"score_roundings": 1},
        {"scores_in": "half"},
        {"scaled_before": "query", "score_roundings": 1},
    ],
)
def test_scores_that_may_leave_the_format_leave_nothing_known(change):
    """Two products of 300 x 300 cancel; each is more than 65504."""
    query, key, value = inputs("float16")
    query[:, 1:] = key[:, 3:] = 300
    known = Profile("float16")
    assert not attention_bound(query, key, value, known).overflow.any()
    bound = attention_bound(query, key, value, replace(known, **change))
    assert bound.overflow[:, 1:].all()
    assert not bound.overflow[:, 0].any()
    assert np.isinf(bound.error[:, 1:]).all()
    assert not bound.accumulation


def test_partial_sums_may_leave_the_format_where_the_score_does_not():
    query, key, value = inputs("float16")
    query[..., :2], key[..., 0], key[..., 1] = 300, 300, -300
    profile = replace(ALL_IN_HALF, dtype="float16", score_roundings=0)
    assert attention_bound(query, key, value, profile).overflow.all()
    outputs = WholeKernel(profile)(query, key, value)
    assert not np.isfinite(outputs.astype(float)).all()


def test_values_may_leave_the_format_before_they_are_normalised():
    query, key, value = inputs("float16")
    query[:], value[:] = 0, 30000
    profile = Profile("float16", context_in="half")
    assert attention_bound(query, key, value, profile).overflow.all()
    outputs = WholeKernel(profile)(query, key, value)
    assert np.isinf(outputs.astype(float)).all()
    before = replace(profile, normalised=True, weights="rounded")
    assert not attention_bound(query, key, value, before).overflow.any()


def test_an_output_next_to_the_greatest_number_may_overflow():
    query, key, value = inputs("float16")
    value[..., 0] = 65504
    bound = attention_bound(query, key, value, Profile("float16"))
    np.testing.assert_array_equal(bound.overflow[0, 0], [1, 0, 0, 0, 0])


@pytest.mark.parametrize(
    "change", [{"sum_in": "half"}, {"context_in": "half"}]
)
def test_of_sums_in_half_nothing_is_known_when_they_are_long(change):
    profile = replace(FLOAT32, **change)
    short = attention_bound(*inputs(keys=200), profile)
    long = attention_bound(*inputs(keys=256), profile)
    assert np.isfinite(short.error).all()
    assert not short.accumulation
    assert np.isinf(long.error).all()
    assert long.accumulation
    assert not long.overflow.any()


def test_a_total_is_off_by_what_its_parts_are_and_by_its_own_roundings():
    value, error = np.full((2, 3), 1 / 3), np.full((2, 3), 0.25)
    error[1, 2] = np.inf
    whole = HalfBound(value, error, error > 1).total()
    assert whole.error[1] == np.inf
    assert 2.0**-54 < whole.error[0] - 0.75 < 2.0**-50
    assert [*whole.overflow[:, 0]] == [False, True]


def test_what_is_flushed_is_allowed_for():
    query, key, value = inputs("float16")
    value[:] = value * np.float16(2.0**-16)
    assert (np.abs(value[value != 0]) < 2.0**-14).any()
    flushing = replace(FLUSHING, dtype="float16")
    bound = attention_bound(query, key, value, flushing)
    assert (np.abs(bound.value) <= bound.error).all()
    keeping = replace(flushing, flushes_subnormals=False)
    narrow = attention_bound(query, key, value, keeping)
    assert (narrow.error < bound.error).all()


def test_either_is_as_wide_as_the_wider():
    arrays = inputs()
    open_ended = replace(FUSED, weights="either", summed="either")
    error = attention_bound(*arrays, open_ended).error
    each = [
        attention_bound(
            *arrays, replace(FUSED, weights=one, summed=other)
        ).error
        for one in ("rounded", "unrounded")
        for other in ("rounded", "unrounded")
    ]
    np.testing.assert_array_equal(error, np.max(each, axis=0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"score_roundings": 0},
        {"weights": "unrounded"},
    ],
)
def test_a_kernel_that_rounds_more_than_its_profile_breaks_the_bound(wrong):
    claimed = replace(EAGER, **wrong)
    generator = np.random.default_rng(0)
    broken = 0
    for _ in range(5):
        shape = (2, 4, 16, 16, 8)
        arrays = half_inputs(generator, shape, "plain", "bfloat16")
        bound = attention_bound(*arrays, claimed)
        broken += shares(WholeKernel(EAGER)(*arrays), bound).max() > 1
    assert broken > 0


def crossed(rng, dtype):
    """Two keys of nearly equal score, each from large numbers."""
    half = half_type(dtype)
    x, y = rng.uniform(1, 2, size=(2, 64)).astype(half).astype(float)
    none = np.zeros_like(x)
    query = np.stack([x, y], -1)[:, None]
    large = 7.0 if dtype == "bfloat16" else 61.0
    first = np.stack([large * y, none], -1)
    key = np.stack([first, np.stack([none, large * x], -1)], 1)
    value = np.broadcast_to([[1.0], [-1.0]], (64, 2, 1))
    return [array.astype(half) for array in (query, key, value)]


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("scaled", ["query", "key", "both"])
def test_what_is_scaled_first_is_rounded_first(scaled, dtype):
    arrays = crossed(np.random.default_rng(0), dtype)
    profile = replace(FLOAT32, dtype=dtype, scaled_before=scaled)
    output = WholeKernel(profile)(*arrays)
    share = shares(output, attention_bound(*arrays, profile)).max()
    assert 0.4 < share <= 1
    never = replace(profile, scaled_before="nothing")
    assert shares(output, attention_bound(*arrays, never)).max() > 1


def test_scores_that_are_added_up_in_half_lose_what_is_small():
    """256 and -256 leave none of what stood between them."""
    query = np.ones((1, 1, 64), half_type("bfloat16"))
    key = np.zeros((1, 2, 64), query.dtype)
    key[0, 0, :20] = [256] * 2 + [0.5] * 16 + [-256] * 2
    value = np.array([[[1.0], [-1.0]]], query.dtype)
    profile = replace(FLOAT32, scores_in="half")
    output = WholeKernel(profile)(query, key, value)
    bound = attention_bound(query, key, value, profile)
    assert output == 0
    assert shares(output, bound).max() <= 1
    single = attention_bound(query, key, value, FLOAT32)
    assert shares(output, single).max() > 1


def test_a_worse_exp_is_allowed_where_the_profile_says_so():
    """Both keys' contributions cancel, but for what their exp is off."""
    distance = np.linspace(0.1, 3, 200)
    query = np.ones((200, 1, 1), np.float16)
    key = -np.stack([0 * distance, distance], -1)[..., None]
    key = key.astype(np.float16)
    value = np.ones((200, 2, 1), np.float16)
    value[:, 0] = -np.exp(key[:, 1].astype(float))
    profile = Profile("float16", exp_error=1.2e-4)
    output = FastExpKernel(profile)(query, key, value)
    bound = attention_bound(query, key, value, profile)
    assert 0.1 < shares(output, bound).max() <= 1
    exact = replace(profile, exp_error=Profile().exp_error)
    bound = attention_bound(query, key, value, exact)
    assert shares(output, bound).max() > 1


def test_a_rounded_scale_is_the_scale():
    arrays = inputs()
    scale = float(np.array(3**-0.5, half_type("bfloat16")))
    query, key = (array[..., :3] for array in arrays[:2])
    rounded = replace(FLOAT32, scale_rounded=True)
    value = attention_bound(query, key, arrays[2], rounded).value
    same = attention_bound(query, key, arrays[2], FLOAT32, scale=scale)
    np.testing.assert_array_equal(value, same.value)


def test_a_scale_that_may_be_rounded_has_a_bound_for_both():
    arrays = inputs()
    query, key = (array[..., :3] for array in arrays[:2])
    open_ended, exact, rounded = (
        attention_bound(
            query, key, arrays[2], replace(FLOAT32, scale_rounded=scale)
        )
        for scale in ("either", False, True)
    )
    np.testing.assert_array_equal(open_ended.value, exact.value)
    assert (open_ended.error >= exact.error).all()
    ends = rounded.value + [[[[1]]], [[[-1]]]] * rounded.error
    apart = np.abs(ends - exact.value).max(axis=0)
    assert (apart <= open_ended.error * (1 + 1e-12)).all()
    assert (apart > exact.error).any()


def test_a_weight_that_vanishes_takes_its_large_value_along():
    query = np.ones((1, 1), np.float16)
    key = np.array([[0], [-18]], np.float16)
    value = np.array([[0], [60000]], np.float16)
    profile = replace(NORMALISED, dtype="float16")
    output = WholeKernel(profile)(query, key, value)
    bound = attention_bound(query, key, value, profile)
    assert output == 0 < bound.value.item()
    assert 0.2 < shares(output, bound).max() <= 1


def test_a_product_may_leave_the_format_where_its_score_would_not():
    query, key, value = inputs("float16")
    query[:], key[:] = 150, 150  # 90000, which the scale halves
    profile = Profile("float16", score_roundings=1)
    outputs = RoundsTheProduct(profile)(query, key, value)
    assert np.isnan(outputs.astype(float)).all()
    assert attention_bound(query, key, value, profile).overflow.all()
