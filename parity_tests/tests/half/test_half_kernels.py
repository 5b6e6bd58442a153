"""Kernels in half precision: right ones are within their bound, and who
of the wrong ones is caught; and the rules that the bound is compared with.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import tolerances
from benchmarks.tolerance_kernels import to_torch
from benchmarks.tolerance_rules import (
    RULES,
    Trial,
    share,
    this_bound,
    trials,
)
from numpy_ref.files import read_json
from parity_tests.judge.half.inputs import (
    ALL_SHAPES,
    KINDS,
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
    tried = trials(dtype, 1000, ALL_SHAPES, list(KINDS), seed=2)
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
    assert not WRONG_KERNELS.keys() & RIGHT_KERNELS.keys()
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
    tried = list(trials(dtype, 250, ALL_SHAPES, list(KINDS)))
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


# --- the benchmark --------------------------------------------------------


def test_a_record_counts_alarms_and_keeps_the_largest_share(trial):
    record, profile = tolerances.Record(), profile_of(trial)
    exact = trial.exact.astype(half_type(trial.dtype))
    record.see(trial, profile, exact)
    assert set(record.alarms.values()) == {0}
    record.see(trial, profile, -exact)
    assert record.inputs == 2
    assert record.alarms["this bound"] == 1
    worst = record.worst["this bound"]
    assert worst["25"] == worst["250"] == worst["all"] > 1


def made_up(right: float, wrong: float) -> dict:
    """Records of one kernel of each sort, with these shares."""

    def record(share):
        shares = dict.fromkeys(("25", "250", "all"), share)
        return {
            "inputs": 250,
            "alarms": dict.fromkeys(RULES, int(share > 1)),
            "worst": dict.fromkeys(RULES, shares),
        }

    return {
        "right": {"good": record(right)},
        "wrong": {"bad": record(wrong)},
    }


def test_a_rule_that_accuses_is_loosened_before_it_may_catch():
    records = made_up(right=4.0, wrong=3.0)
    assert tolerances.looseness(records, "assert_close") == 4
    assert tolerances.caught(records, "assert_close", 25) == ["bad"]
    assert tolerances.caught(records, "assert_close", 25, 4.0) == []
    assert tolerances.looseness(made_up(0.5, 3), "assert_close") == 1


def test_tables_say_both_formats_side_by_side():
    results = {
        "bfloat16": made_up(0.5, 3),
        "float16": made_up(2, 3),
    }
    text = tolerances.tables(results)
    assert "| good | 250 | 0 / 1 | 0 / 1 |" in text
    assert "| this bound | 1 / 1 | 1 / 1 | - / 2 | 1 / 1 |" in text
    page = f"a\n{tolerances.BEGIN}\nb"
    new = tolerances.written(page, results)
    assert new == (
        f"a\n{tolerances.BEGIN}\n\n{text}\n\n{tolerances.END}\nb"
    )
    assert tolerances.written(new, results) == new
    with pytest.raises(ValueError, match="expected a page with"):
        tolerances.written("a page", results)


PAGE = tolerances.RESULTS.parents[1] / "docs" / "half_precision.md"


def test_the_page_shows_the_tables_of_the_results_file():
    text = PAGE.read_text(encoding="utf-8")
    results = read_json(tolerances.RESULTS)
    assert tolerances.written(text, results) == text


def test_the_results_accuse_no_right_kernel_and_approach_the_bound():
    results = read_json(tolerances.RESULTS)
    for dtype in FORMATS:
        records = results[dtype]
        rule = "this bound"
        assert tolerances.looseness(records, rule) == 1
        near = [
            name
            for name, record in records["right"].items()
            if record["worst"][rule]["all"] >= 0.5
        ]
        assert len(near) >= 4
        found = tolerances.caught(records, rule, 250)
        assert len(found) >= 30
        assert not set(found) & HIDDEN[dtype].keys()
