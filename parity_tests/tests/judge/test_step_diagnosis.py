"""Diagnosis of steps: each mutant is named, and nothing else."""

import inspect

import numpy as np
import pytest
import torch

from numpy_ref.attention import attention_scores, softmax
from numpy_ref.layers import gelu, layer_norm
from numpy_ref.masks import causal_mask
from parity_tests.judge import judge
from parity_tests.judge.files.judging import (
    NOTHING_DECLARED,
    hosted,
    judge_thing,
)
from parity_tests.judge.mutants.steps import MUTANTS
from parity_tests.judge.steps.probes import EXTREME, plain_cases
from parity_tests.judge.steps.step import (
    StepSubject,
    agree,
    reference,
)
from parity_tests.judge.verdict.diagnosis import causes_of
from parity_tests.judge.verdict.loop import Budget, judge_subject

pytestmark = pytest.mark.slow  # every mutant of every step is told apart


def cause_of_step(function, name):
    causes = causes_of(StepSubject(function, name))
    return causes.pop() if len(causes) == 1 else None


def in_order(mutant):
    """A mutant takes the arguments of the step in order, not by name."""
    return lambda **arguments: mutant(*arguments.values())


@pytest.mark.parametrize("name", MUTANTS)
def test_each_mutant_is_named_and_no_other(name):
    for cause, mutant in MUTANTS[name].items():
        plain, *_ = cause.split(" [")  # what follows is of variants
        assert cause_of_step(in_order(mutant), name) == plain


@pytest.mark.parametrize("name", MUTANTS)
def test_what_is_right_has_no_cause(name):
    assert cause_of_step(reference(name), name) is None


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("softmax", lambda scores: softmax(scores) ** 2),
        ("gelu", lambda x: gelu(x) + 1e-4),
        ("layer_norm", lambda **taken: layer_norm(**taken)[..., ::-1]),
        ("causal_mask", lambda **sizes: causal_mask(**sizes)[::-1]),
        ("windows", lambda ids, starts, length: (ids, ids)),
        ("has_merge", lambda ids, table: False),
    ],
)
def test_what_is_wrong_in_another_way_has_no_cause(name, wrong):
    assert cause_of_step(wrong, name) is None


@pytest.mark.parametrize("name", MUTANTS)
def test_no_output_has_no_cause(name):
    assert cause_of_step(lambda **_: 1 / 0, name) is None
    assert cause_of_step(lambda **_: None, name) is None


def in_place(x):
    x *= 2
    return x


def noisy(x):
    return x + np.random.default_rng().normal(size=x.shape)


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        (in_place, "it modifies its inputs in place"),
        (noisy, "the output is random"),
    ],
)
def test_what_is_in_no_table_is_named_too(wrong, cause):
    assert cause_of_step(wrong, "gelu") == cause


def tanh_gelu(x):
    return torch.nn.functional.gelu(x, approximate="tanh")


def test_which_gelu_it_is_is_a_convention():
    host, thing = hosted(tanh_gelu, "mine")
    report = judge_thing(host, thing, "gelu", NOTHING_DECLARED, Budget(2))
    assert report.name == "mine"
    assert report.holds
    assert report.conventions == {"activation": "GPT-2's form, with tanh"}


def test_a_report_without_a_failure_has_no_cause():
    report = judge_subject(StepSubject(reference("gelu"), "gelu"))
    assert report.holds
    assert report.cause is None


def test_of_two_bugs_the_one_on_plain_numbers_is_named():
    def neither_shifted_nor_last(scores):
        powers = np.exp(scores)
        return powers / powers.sum(axis=0, keepdims=True)

    assert cause_of_step(neither_shifted_nor_last, "softmax") == (
        "the softmax runs over the first axis, not the last"
    )


def mask_ignored(query, key, value, mask=None):
    return softmax(attention_scores(query, key)) @ value


def mask_added_late(query, key, value, mask):
    weights = softmax(attention_scores(query, key))
    return (weights + np.where(mask, 0, -np.inf)) @ value


def earlier_only(query, key, value, mask=None, is_causal=False):
    past = key.shape[-2] - query.shape[-2] - 1
    visible = np.tri(query.shape[-2], key.shape[-2], past, dtype=bool)
    visible = visible if is_causal else np.ones_like(visible)
    visible = visible if mask is None else visible & mask
    scores = np.where(visible, attention_scores(query, key), -np.inf)
    return softmax(scores) @ value


def sums_not_kept(query, key, value):
    powers = np.exp(attention_scores(query, key))
    return powers / powers.sum(axis=-1) @ value


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        (mask_ignored, "the mask is ignored"),
        (
            sums_not_kept,
            "the sums of rows divide columns: "
            "the axis of the sum is not kept",
        ),
        (mask_added_late, "the mask is added after the softmax, as -inf"),
        (
            earlier_only,
            "a token does not see itself; "
            "the first, fully masked, gets NaN",
        ),
    ],
)
def test_a_mutant_of_attention_that_is_not_in_the_zoo_is_named(
    wrong, cause
):
    assert judge(wrong, "wrong").cause == cause


def test_inputs_stand_in_the_order_of_the_step():
    for name in MUTANTS:
        names = list(inspect.signature(reference(name)).parameters)
        for probe in [*plain_cases(name), *EXTREME.get(name, ())]:
            assert list(probe) == names, name


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (np.zeros(3), np.zeros((3, 1))),
        (np.array([1, 2]), np.array([1, 3])),
        (np.array([1.0, 2.0]), np.array([1.0, 2.00001])),
        ((np.zeros(1),), (np.zeros(1), np.zeros(1))),
        (np.zeros(1), (np.zeros(1),)),
        (["a"], np.zeros(1)),
        (None, np.zeros(1)),
        (2**40 + 1, 2**40),
    ],
)
def test_what_differs_does_not_agree(output, expected):
    assert agree(expected, expected)
    assert not agree(output, expected)
