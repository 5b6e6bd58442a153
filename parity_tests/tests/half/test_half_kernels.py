"""Kernels in half precision: right ones are within their bound, and who
of the wrong ones is caught; and the rules that the bound is compared with.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.tolerance_kernels import to_torch
from benchmarks.tolerance_rules import (
    RULES,
    Trial,
    share,
    this_bound,
    trials,
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
    FLOAT32,
    RIGHT_KERNELS,
    TiledKernel,
    half_type,
)
from parity_tests.judge.half.wrong_kernels import HIDDEN, WRONG_KERNELS

FORMATS = "bfloat16", "float16"
SMALL = [shape for shape in SHAPES if shape[2] <= 129 and shape[3] <= 64]
ALL = (*SHAPES, *LONG_SHAPES)

EACH_FORMAT = pytest.mark.parametrize("dtype", FORMATS)
EACH_RULE = pytest.mark.parametrize("name", RULES)


def worst_share(kernel, profile, tried) -> float:
    """The largest error of all, as a share of its bound."""
    return max(
        this_bound(trial, profile, trial.output(kernel)) for trial in tried
    )


# --- right kernels --------------------------------------------------------


@EACH_FORMAT
def test_right_kernels_are_within_their_bound(dtype):
    tried = list(trials(dtype, 5, SMALL, list(KINDS), seed=1))
    for kernel in RIGHT_KERNELS.values():
        right = kernel.in_format(dtype)
        assert worst_share(right, right.profile, tried) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT_KERNELS)
@EACH_FORMAT
def test_right_kernels_are_within_their_bound_a_thousand_times(dtype, name):
    right = RIGHT_KERNELS[name].in_format(dtype)
    tried = trials(dtype, 1000, ALL, list(KINDS), seed=2)
    assert worst_share(right, right.profile, tried) <= 1


@EACH_FORMAT
def test_whole_and_tiled_kernels_agree_with_attention_in_float64(dtype):
    """In their own words, on inputs that no rounding moves: lattices."""
    kinds = ["lattice"]
    for trial in trials(dtype, 3, SMALL, kinds, seed=3):
        output = trial.output(TiledKernel().in_format(dtype))
        assert output.dtype == half_type(dtype)
        rounded = trial.exact.astype(half_type(dtype)).astype(float)
        step = np.spacing(np.abs(rounded).astype(np.float32)) * 2.0**16
        assert np.all(np.abs(output.astype(float) - rounded) <= step)


# --- wrong kernels --------------------------------------------------------


def caught(dtype: str, names, tried: list[Trial]) -> set[str]:
    """The wrong kernels whose error is above the bound that they claim."""
    return {
        name
        for name in names
        if any(
            this_bound(
                trial,
                WRONG_KERNELS[name].profile(dtype),
                trial.output(WRONG_KERNELS[name].kernel(dtype)),
            )
            > 1
            for trial in tried
        )
    }


def test_there_are_thirty_wrong_kernels_each_with_a_cause_of_its_own():
    causes = [wrong.cause for wrong in WRONG_KERNELS.values()]
    assert len(set(causes)) == len(causes) >= 30
    for names in HIDDEN.values():
        assert names.keys() <= WRONG_KERNELS.keys()


def test_most_wrong_kernels_are_caught_by_one_input_of_each_kind():
    tried = list(trials("float16", len(KINDS), SMALL, list(KINDS), seed=4))
    found = caught("float16", WRONG_KERNELS, tried)
    assert len(found) >= 45
    assert not found & HIDDEN["float16"].keys()


@pytest.mark.slow
@EACH_FORMAT
def test_wrong_kernels_are_caught_but_those_that_are_hidden(dtype):
    tried = list(trials(dtype, 250, ALL, list(KINDS)))
    found = caught(dtype, WRONG_KERNELS, tried)
    assert found == WRONG_KERNELS.keys() - HIDDEN[dtype].keys()


# --- inputs ---------------------------------------------------------------


@EACH_FORMAT
def test_inputs_are_finite_and_of_their_shape(dtype):
    generator = np.random.default_rng(5)
    for kind in KINDS:
        for shape in SMALL[:3]:
            arrays = half_inputs(generator, shape, kind, dtype)
            texts, queries, keys, d_head, d_value = shape
            assert [array.shape for array in arrays] == [
                (texts, queries, d_head),
                (texts, keys, d_head),
                (texts, keys, d_value),
            ]
            for array in arrays:
                assert array.dtype == half_type(dtype)
                assert np.isfinite(array.astype(float)).all()


def test_a_mask_leaves_each_query_a_key():
    generator = np.random.default_rng(6)
    for kind in MASKS[1:]:
        for shape in SHAPES:
            mask = half_mask(generator, shape, kind)
            assert mask.shape == shape[:3]
            assert mask.any(-1).all()


# --- rules ----------------------------------------------------------------


@pytest.fixture(scope="module", params=FORMATS)
def trial(request) -> Trial:
    shape, generator = (2, 4, 33, 64, 64), np.random.default_rng(7)
    arrays = half_inputs(generator, shape, "plain", request.param)
    return Trial(request.param, "plain", *arrays, None)


def profile_of(trial: Trial):
    return replace(FLOAT32, dtype=trial.dtype)


@EACH_RULE
def test_a_rule_accepts_the_rounded_result(trial, name):
    exact = trial.exact.astype(half_type(trial.dtype))
    assert RULES[name](trial, profile_of(trial), exact) <= 1


@EACH_RULE
def test_a_rule_accuses_what_is_far_from_right(trial, name):
    exact = trial.exact.astype(half_type(trial.dtype))
    far = exact + exact.dtype.type(60_000)
    not_a_number = exact * exact.dtype.type(np.nan)
    if name == "global gamma":  # and this one may allow anything
        trial = replace(trial, query=trial.query * exact.dtype.type(0))
        far = trial.exact.astype(exact.dtype) + exact.dtype.type(60_000)
    assert RULES[name](trial, profile_of(trial), far) > 1
    assert RULES[name](trial, profile_of(trial), not_a_number) > 1


def test_only_this_bound_sees_a_last_digit(trial):
    exact = trial.exact.astype(half_type(trial.dtype))
    once = np.array(1.0, exact.dtype)
    off = (exact.astype(float) * (1 + 2.2 * step_of(once))).astype(
        exact.dtype
    )
    profile = profile_of(trial)
    assert RULES["this bound"](trial, profile, off) > 1
    assert RULES["allclose(1e-2)"](trial, profile, off) <= 2


def step_of(one: np.ndarray) -> float:
    bits = 7 if one.dtype.name == "bfloat16" else 10
    return 2.0**-bits


def test_assert_close_and_allclose_say_what_torch_says(trial):
    exact = trial.exact.astype(half_type(trial.dtype))
    expected = to_torch(exact)
    for factor in (1, 1.0005, 1.002, 1.005, 1.02, 1.05, 2):
        output = (trial.exact * factor).astype(exact.dtype)
        actual = to_torch(output)
        ours = RULES["assert_close"](trial, profile_of(trial), output)
        try:
            torch.testing.assert_close(actual, expected)
            theirs = True
        except AssertionError:
            theirs = False
        assert theirs == (ours <= 1)
        ours = RULES["allclose(1e-2)"](trial, profile_of(trial), output)
        close = torch.allclose(actual, expected, rtol=1e-2, atol=1e-2)
        assert close == (ours <= 1)


def test_a_share_is_of_what_is_allowed():
    allowed = np.array([2.0, 0.0, np.inf])
    assert share(np.array([1.0, 0.0, np.nan]), allowed) == 0.5
    assert share(np.array([1.0, 1.0, 0.0]), allowed) == np.inf
    assert share(np.array([np.nan, 0.0, 0.0]), allowed) == np.inf
