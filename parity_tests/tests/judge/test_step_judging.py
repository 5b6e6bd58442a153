"""Verdicts on a function for a step, and on a gradient."""

from fractions import Fraction
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numpy_ref.layers import Linear
from numpy_ref.multi_head import StackedHeads
from numpy_ref.self_attention import SelfAttention
from numpy_ref.variants.warm_up import warm_up_rate
from parity_tests.judge.files.judging import (
    NOTHING_DECLARED,
    hosted,
    judge_thing,
)
from parity_tests.judge.steps.cases import StepCase, step_cases
from parity_tests.judge.steps.exact_value import equals_the_reference
from parity_tests.judge.steps.property import Step, leaves, twin_of
from parity_tests.judge.steps.step import StepSubject
from parity_tests.judge.verdict.loop import Budget, judgements
from parity_tests.twins.gradients import backward


def findings_on(function, name):
    """What is found of a function as the step or gradient `name`."""
    return judgements(StepSubject(function, name), Budget(8, shrunk=0))


def verdicts(function, name):
    findings = findings_on(function, name)
    return {finding.name: finding for finding in findings}


@pytest.mark.parametrize(
    "name", ["encode", "windows", "has_merge", "encoder_block"]
)
def test_a_step_without_floats_alone_is_judged_too(name):
    findings = verdicts(twin_of(name).reference, name)
    assert findings["equals_the_reference"].verdict == "holds"


@pytest.mark.parametrize("name", ["linear_backward", "gelu_backward"])
def test_a_gradient_is_judged_too(name):
    right = verdicts(backward(twin_of(name)), name)
    assert {finding.verdict for finding in right.values()} == {"holds"}
    wrong = verdicts(lambda **taken: None, name)
    assert "returned NoneType" in (
        wrong["gradients_equal_the_exact_ones"].failure.trouble
    )


def by_roots(step, d_model, warm_up_steps):
    falling = 1 / sqrt(step)
    rising = step / (warm_up_steps * sqrt(warm_up_steps))
    return min(falling, rising) / sqrt(d_model)


def test_a_number_that_is_rounded_otherwise_is_right():
    sizes = {"step": 3, "d_model": 7, "warm_up_steps": 5}
    assert by_roots(**sizes) != warm_up_rate(**sizes)
    right = verdicts(by_roots, "warm_up_rate")
    assert {finding.verdict for finding in right.values()} == {"holds"}
    off = verdicts(lambda **t: by_roots(**t) * 1.000001, "warm_up_rate")
    assert off["equals_the_reference"].verdict == "fails"


# --- in another form -----------------------------------------------------


def as_hosted(function, name):
    """The report on a function of a file that has this name."""
    host, thing = hosted(function, name)
    return judge_thing(
        host, thing, name, NOTHING_DECLARED, Budget(8, shrunk=0)
    )


def of_the_weights(upstream, probs):
    inner = (upstream * probs).sum(axis=-1, keepdims=True)
    return probs * (upstream - inner)


def weights_first(probs, upstream):
    return of_the_weights(upstream, probs)


def of_a_sigmoid(upstream, probs):
    return upstream * probs * (1 - probs)


def test_the_gradient_of_softmax_may_take_the_weights():
    assert as_hosted(of_the_weights, "softmax_backward").holds
    assert as_hosted(weights_first, "softmax_backward").holds
    report = as_hosted(of_a_sigmoid, "softmax_backward")
    assert report.verdict == "rejected"


def added_to_keys_of_texts(lengths, count):
    key = np.arange(count)[:, None]
    return np.where(key < np.asarray(lengths)[None], 0.0, -1e30)


def hidden_keys(lengths, count):
    return np.arange(count) >= np.asarray(lengths)[:, None]


def on_queries(lengths, count):
    return hidden_keys(lengths, count)[..., None]


def two_of_three(lengths, count):
    return np.arange(count) % 3 < np.asarray(lengths)[:, None]


def test_a_padding_mask_of_lengths_may_have_another_form():
    assert as_hosted(added_to_keys_of_texts, "padding_mask").holds
    assert as_hosted(hidden_keys, "padding_mask").holds
    assert not as_hosted(two_of_three, "padding_mask")
    assert not as_hosted(on_queries, "padding_mask")


def test_with_the_arguments_of_the_reference_it_has_its_form():
    def padding_mask(lengths, keys):
        return np.arange(keys) >= lengths[..., None, None]

    report = as_hosted(padding_mask, "padding_mask")
    assert report.failed


def row_by_row(positions, params):
    return np.array([params.weight[int(place)] for place in positions])


def test_a_position_embedding_may_take_one_row_of_positions():
    findings = verdicts(row_by_row, "position_embedding").values()
    assert {finding.verdict for finding in findings} == {"holds"}


@pytest.mark.parametrize(
    ("name", "wrong", "trouble"),
    [
        (
            "gelu",
            lambda x: x.tolist(),
            "it returned list, expected an array",
        ),
        ("gelu", lambda x: x[None], "it returned shape (1,"),
        (
            "gelu",
            lambda x: x.astype(np.float16),
            "it returned float16, expected",
        ),
        ("gelu", lambda x: 2 * x, "y differs: got has"),
        (
            "has_merge",
            lambda ids, table: ids,
            "returned ndarray, expected",
        ),
        ("windows", lambda **_: [], "it returned 0 parts, expected 2"),
        ("windows", lambda ids, **_: ids, "returned ndarray, expected"),
        (
            "decode",
            lambda ids, vocabulary: "",
            "text differs: got has , exp",
        ),
        (
            "linear_backward",
            lambda d_y, **_: d_y,
            "it returned ndarray, expected",
        ),
    ],
)
def test_trouble_is_told_in_one_line(name, wrong, trouble):
    first = next(findings_on(wrong, name))
    assert first.verdict == "fails"
    assert trouble in first.failure.trouble


def test_an_error_is_no_wrong_answer():
    findings = list(findings_on(lambda x: 1 / 0, "gelu"))
    assert {finding.verdict for finding in findings} == {"raised"}
    assert "raised ZeroDivisionError: division" in findings[0].trouble


def test_ids_of_any_width_are_ids():
    wide = twin_of("byte_ids").reference
    narrow = verdicts(lambda data: wide(data).astype(np.int32), "byte_ids")
    assert {finding.verdict for finding in narrow.values()} == {"holds"}


@pytest.mark.parametrize(
    "name", ["masked_softmax", "stacked_heads", "cross_entropy_backward"]
)
@given(data=st.data())
@settings(max_examples=3)
def test_a_case_can_be_pasted_into_python(name, data):
    case = data.draw(step_cases(name))
    known = {
        kind.__name__: kind
        for kind in (Linear, SelfAttention, StackedHeads)
    }
    taken = {name: lambda **arguments: arguments, "np": np, **known}
    again = eval(str(case), taken)
    assert str(StepCase(name, again)) == str(case)
    for path, value in leaves(case).items():
        np.testing.assert_array_equal(leaves(again)[path], value)


def test_what_is_no_step_is_named():
    with pytest.raises(ValueError, match="the name of a step, got 'soft'"):
        list(findings_on(np.exp, "soft"))


@pytest.mark.slow
def test_parameters_that_are_modified_are_seen():
    def linear(x, params):
        y = x @ params.weight.T + params.bias
        params.bias[:] = 0
        return y

    host, thing = hosted(linear, "linear")
    report = judge_thing(
        host, thing, "linear", NOTHING_DECLARED, Budget(8, shrunk=0)
    )
    names = [finding.name for finding in report.failed]
    assert names == ["inputs_are_left_as_they_were"]


def test_a_result_may_be_off_on_either_side_of_the_exact_value():
    """What float64 makes of x Wᵀ is itself off: a result that is as far
    off on the other side is as right, and one that is twice as far not."""
    x, weight = np.random.default_rng(0).normal(size=(2, 200, 2))
    weight = weight[:1]
    arguments = {"x": x, "params": Linear(weight, np.zeros(1))}
    reference = x @ weight.T

    def off_by(roundings: float):
        """Rows off by so many u Σ|x||W|, away from the reference."""
        rows = []
        for row, own in zip(x, reference[:, 0], strict=True):
            terms = [
                Fraction(a) * Fraction(b)
                for a, b in zip(row, weight[0], strict=True)
            ]
            reach = Fraction(roundings * 2.0**-53) * sum(map(abs, terms))
            side = -1 if Fraction(own) > sum(terms) else 1
            rows.append([float(sum(terms) + side * reach)])
        step = Step("linear", lambda **_: np.array(rows))
        (comparison,) = equals_the_reference(step, arguments)
        return comparison.share

    assert off_by(2.9) <= 1
    assert off_by(7) > 1
