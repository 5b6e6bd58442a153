"""Properties of attention hold for ours, its twin, PyTorch's kernels.

With `pytest --implementation FILE` that file is judged instead, and
nothing else runs.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from numpy_ref.attention import scaled_dot_product_attention, softmax
from numpy_ref.masks import causal_mask
from parity_tests import bug_zoo
from parity_tests.judge.attention.all_properties import PROPERTIES, applies
from parity_tests.judge.attention.verdict import judge, judgement
from parity_tests.judge.files.submission import candidates, read
from parity_tests.judge.files.worker import judge_candidate
from parity_tests.judge.subject.cases import attention_cases
from parity_tests.judge.subject.conventions import (
    ADDED,
    NOTHING_DECLARED,
    Declared,
    subject_of,
)
from parity_tests.judge.subject.protocol import Conventions, Subject
from parity_tests.tests.conftest import expect_finding
from parity_tests.tests.steps.test_attention import builtin_attention
from torch_impl.attention import (
    scaled_dot_product_attention as torch_attention,
)

# --- the subjects --------------------------------------------------------


def reference(query, key, value, mask):
    return scaled_dot_product_attention(query, key, value, everywhere(mask))


def everywhere(mask):
    return np.ones((1, 1), bool) if mask is None else mask


def kernel(name: str):
    """PyTorch's own attention, checked to have run that kernel."""

    def call(query, key, value, mask):
        return builtin_attention(name, query, key, value, everywhere(mask))

    return call


def own_causal(call):
    """A causal form by a mask, for a function that has none."""

    def causal(query, key, value, mask=None):
        queries, keys = query.shape[-2], key.shape[-2]
        mine = causal_mask(queries, keys, max(0, keys - queries))
        return call(query, key, value, mine & everywhere(mask))

    return causal


def with_numbers(call) -> Subject:
    """A subject that takes numbers in a mask as well."""
    subject = with_causal(call)
    conventions = replace(subject.conventions, mask_of_numbers=ADDED)
    return replace(subject, biased=call, conventions=conventions)


def with_causal(call) -> Subject:
    conventions = Conventions(
        mask="True may attend",
        causal="by a mask",
        alignment="the last queries",
        causal_and_mask="both at once",
        fully_masked_row="zeros",
    )
    return Subject("", call, own_causal(call), conventions=conventions)


@cache
def twin() -> Subject:
    """Its gradients are autograd's."""
    return subject_of(torch_attention, "torch_impl", Declared("torch"))


SUBJECTS = {
    "numpy_ref": lambda: with_causal(reference),
    "torch_impl": twin,
    "F.scaled_dot_product_attention, math": lambda: with_numbers(
        kernel("math")
    ),
    "F.scaled_dot_product_attention, fused": lambda: with_numbers(
        kernel("fused")
    ),
}


@pytest.mark.parametrize("tested", PROPERTIES, ids=lambda p: p.name)
@pytest.mark.parametrize("name", SUBJECTS)
def test_attention_has_the_property(name, tested):
    subject = SUBJECTS[name]()
    if not applies(subject, tested):
        assert (name, tested.name) in INAPPLICABLE
        return
    finding = judgement(
        tested,
        lambda case: tested.check(subject, case),
        attention_cases(subject.conventions.limits),
        settings().max_examples,
        seed=0,
    )
    expect_finding(name, finding)


# Properties that do not apply: gradients come from autograd only,
# torch_impl has no causal form but a mask, and both of ours take
# booleans only.
INAPPLICABLE = {
    *(
        (name, each.name)
        for name in ("numpy_ref", "torch_impl")
        for each in PROPERTIES
        if each.needs[-1:] in (("numbers",), ("numbers are added",))
    ),
    *(
        (name, "a_scale_that_is_given_takes_the_place_of_the_root")
        for name in SUBJECTS
    ),
    *(
        (name, "gradients_obey_their_identities")
        for name in SUBJECTS
        if name != "torch_impl"
    ),
    *(
        ("torch_impl", claim)
        for claim in (
            "its_causal_form_sees_no_later_key",
            "its_causal_form_joins_another_mask",
            "its_causal_form_counts_from_the_end_of_a_cache",
            "no_mask_is_a_mask_that_allows_all",
        )
    ),
}


def test_an_implementation_given_on_the_command_line(pytestconfig):
    option = pytestconfig.getoption("--implementation")
    path = Path(option or EXAMPLE)
    examples = 25 if option else 5
    for candidate in candidates(read(path)):
        name = candidate.name
        report = judge_candidate(candidate, NOTHING_DECLARED, examples, 0)
        assert report.trouble is None, f"{name}: it {report.trouble}"
        for finding in report.findings:
            if finding.verdict != "not judged":
                expect_finding(f"{path.name}: {name}", finding)


def test_optional_arguments_are_used():
    def attention(query, key, value, mask=None, scale=None, dropout_p=0.1):
        assert dropout_p == 0
        factor = 1 if scale is None else scale * query.shape[-1] ** 0.5
        return reference(query * query.dtype.type(factor), key, value, mask)

    report = judge(attention, examples=5)
    assert report.holds
    holding = {f.name for f in report.findings if f.verdict == "holds"}
    assert "a_scale_that_is_given_takes_the_place_of_the_root" in holding


def test_an_optional_causal_form_without_any_mask():
    def attention(query, key, value, is_causal=False):
        attend = own_causal(reference) if is_causal else reference
        return attend(query, key, value, None)

    report = judge(attention, examples=5)
    assert report.holds
    holding = {f.name for f in report.findings if f.verdict == "holds"}
    assert "its_causal_form_sees_no_later_key" in holding


EXAMPLE = Path(bug_zoo.__path__[0], "right", "by_einsum.py")


# --- the judge itself ----------------------------------------------------


def wrong(query, key, value, mask):
    """Right except for one output."""
    context = reference(query, key, value, mask).copy()
    context[..., 0, 0] += 1
    return context


def test_a_failure_has_the_smallest_input_and_its_difference():
    report = judge(wrong, examples=5)
    (first, *_) = report.failed
    assert first.name == "equals_the_definition"
    assert first.failure.case.query.size <= 4
    apart = first.failure.comparison.difference
    assert apart == pytest.approx(1, rel=1e-5)
    assert not report.holds
    assert report.cause is None


def test_the_same_seed_gives_the_same_report():
    one, other = (judge(wrong, examples=5, seed=3) for _ in range(2))
    assert [f.examples for f in one.findings] == [
        f.examples for f in other.findings
    ]
    np.testing.assert_array_equal(
        one.failed[0].failure.case.query, other.failed[0].failure.case.query
    )


def noisy(query, key, value, mask):
    noise = np.random.default_rng().normal(size=(1,)).astype(query.dtype)
    return reference(query, key, value, mask) + noise


def test_a_random_output_is_a_finding_like_any_other():
    report = judge(noisy, examples=5)
    assert "called_twice_it_returns_the_same" in {
        finding.name for finding in report.failed
    }
    assert report.cause == "the output is random, as with dropout"


@pytest.mark.parametrize(
    ("broken", "trouble"),
    [
        (lambda query, key, value: None, "returned NoneType, expected"),
        (lambda query, key, value: value[..., :1], "returned shape"),
        (lambda query, key, value: 1 / 0, "raised ZeroDivisionError"),
        (lambda query, key, value: exit(3), "raised SystemExit: 3"),
    ],
)
def test_trouble_is_told_in_words(broken, trouble):
    report = judge(broken)
    assert not report.holds
    assert trouble in report.trouble


def test_float64_for_float32_is_reported_and_float16_rejected():
    def widened(query, key, value, mask):
        return reference(query, key, value, mask).astype(np.float64)

    def narrowed(query, key, value, mask):
        return reference(query, key, value, mask).astype(np.float16)

    report = judge(widened, examples=5)
    assert report.holds
    assert report.conventions.float32.startswith("returned as float64")
    assert "returned float16, expected float" in judge(narrowed).trouble


def test_what_is_not_attention_is_refused():
    with pytest.raises(ValueError, match="a query, a key and a value"):
        judge(lambda a, b: a)


def test_a_report_without_findings_does_not_hold():
    assert not replace(judge(reference, examples=1), findings=()).holds


def scaled(factor):
    return lambda *arrays: reference(*arrays) * factor


def changing(query, key, value, mask):
    context = reference(query, key, value, mask)
    value[...] = value + 1
    return context


def without_a_shift(query, key, value, mask):
    scores = query @ key.swapaxes(-2, -1) / query.shape[-1] ** 0.5
    powers = np.where(everywhere(mask), np.exp(scores), 0)
    return powers / powers.sum(axis=-1, keepdims=True) @ value


def of_sixteen_keys(query, key, value, mask):
    few = np.s_[..., :16, :]
    mask = np.broadcast_to(
        everywhere(mask), (*query.shape[:-1], key.shape[-2])
    )
    return reference(query, key[few], value[few], mask[..., :16])


def only_full_masks(query, key, value, mask):
    shape = (*query.shape[:-1], key.shape[-2])
    full = mask is not None and mask.shape == shape
    return reference(query, key, value, mask if full else None)


def causal_by_default(query, key, value, mask):
    tokens = query.shape[-2], key.shape[-2]
    return reference(
        query, key, value, causal_mask(*tokens) if mask is None else mask
    )


def only_contiguous(query, key, value, mask):
    off = not query.flags.c_contiguous
    return reference(query, key, value, mask) + value.dtype.type(off)


def only_float64(query, key, value, mask):
    off = value.dtype == np.float32
    return reference(query, key, value, mask) + value.dtype.type(off)


def top_left(query, key, value, mask=None):
    mine = causal_mask(query.shape[-2], key.shape[-2])
    return reference(query, key, value, mine)


def causal_alone(query, key, value, mask=None):
    return own_causal(reference)(query, key, value)


def adding(change):
    """Adds numbers, after one change to them, to the scores."""

    def biased(query, key, value, bias):
        scores = query @ key.swapaxes(-2, -1) / query.shape[-1] ** 0.5
        return softmax(scores + change(bias)) @ value

    return biased


def after_the_softmax(query, key, value, bias):
    scores = query @ key.swapaxes(-2, -1) / query.shape[-1] ** 0.5
    return (softmax(scores) + bias) @ value


LACKING_NUMBERS = {
    "a_boolean_mask_is_zeros_and_minus_infinity": adding(
        lambda bias: np.maximum(bias, -3)
    ),
    "a_number_for_a_whole_row_changes_nothing": after_the_softmax,
    "ln_2_on_a_key_doubles_its_odds": adding(lambda bias: bias / 2),
}

# For each property a mutant that lacks it.
LACKING = {
    "equals_the_definition": scaled(1.01),
    "inputs_are_left_as_they_were": changing,
    "called_twice_it_returns_the_same": noisy,
    "weights_are_a_distribution": scaled(1.01),
    "a_weight_is_positive_where_the_mask_allows": lambda q, k, v, m: (
        reference(q, k, v, None)
    ),
    "a_later_token_changes_no_earlier_output": lambda q, k, v, m: reference(
        q, k, v, None
    ),
    "an_output_lies_between_the_values": scaled(2),
    "keys_have_no_order": lambda q, k, v, m: (
        reference(q, k, v, m) + v[..., :1, :]
    ),
    "queries_are_answered_one_by_one": lambda q, k, v, m: (
        reference(q, k, v, m) * q.dtype.type(q.shape[-2])
    ),
    "batch_entries_do_not_meet": lambda q, k, v, m: (
        reference(q, k, v, m) + v.sum()
    ),
    "a_query_of_zeros_gets_the_mean": lambda q, k, v, m: reference(
        q + 1, k, v, m
    ),
    "a_constant_added_to_every_key_changes_nothing": lambda q, k, v, m: (
        reference(q, abs(k), v, m)
    ),
    "values_are_averaged_linearly": lambda q, k, v, m: reference(
        q, k, v * v, m
    ),
    "powers_of_two_only_move_the_exponent": lambda q, k, v, m: reference(
        np.clip(q, -0.1, 0.1), k, v, m
    ),
    "features_have_no_order_and_no_sign": lambda q, k, v, m: reference(
        abs(q), k, v, m
    ),
    "the_scale_is_one_over_the_root": lambda q, k, v, m: reference(
        2 * q, k, v, m
    ),
    "one_score_far_above_the_rest_takes_all": lambda q, k, v, m: reference(
        0 * q, k, v, m
    ),
    "large_scores_stay_finite": without_a_shift,
    "every_key_twice_changes_nothing": lambda q, k, v, m: (
        reference(q, k, v, m) * v.dtype.type(v.shape[-2])
    ),
    "a_masked_key_might_as_well_be_removed": lambda q, k, v, m: (
        reference(q, k, v, m) * v.dtype.type(v.shape[-2])
    ),
    "what_is_behind_the_mask_does_not_matter": lambda q, k, v, m: (
        reference(q, k, v, m) + abs(v).max()
    ),
    "a_fully_masked_row_gets_zeros": lambda q, k, v, m: (
        reference(q, k, v, m) + v.dtype.type(1)
    ),
    "many_keys_are_no_different": of_sixteen_keys,
    "no_mask_is_a_mask_that_allows_all": causal_by_default,
    "a_mask_broadcasts": only_full_masks,
    "token_by_token_is_the_same_as_all_at_once": lambda q, k, v, m: (
        reference(q, k, v, m) * q.dtype.type(q.shape[-2])
    ),
    "float32_is_close_to_float64": only_float64,
    "the_memory_layout_does_not_matter": only_contiguous,
}
LACKING_CAUSAL = {
    "its_causal_form_sees_no_later_key": lambda q, k, v, m=None: reference(
        q, k, v, m
    ),
    "its_causal_form_joins_another_mask": causal_alone,
    "its_causal_form_counts_from_the_end_of_a_cache": top_left,
}


@pytest.mark.parametrize("tested", PROPERTIES, ids=lambda p: p.name)
def test_every_property_can_fail(tested):
    name = tested.name
    subject = with_causal(LACKING.get(name, reference))
    if name in LACKING_CAUSAL:
        subject = replace(subject, causal=LACKING_CAUSAL[name])
    if name in LACKING_NUMBERS:
        subject = replace(
            with_numbers(reference), biased=LACKING_NUMBERS[name]
        )
    if "gradients" in tested.needs:
        subject = replace(subject, backward=ones)
    if "scale" in tested.needs:
        subject = replace(subject, scaled=deaf_to_the_scale)
    finding = judgement(
        tested,
        lambda case: tested.check(subject, case),
        attention_cases(subject.conventions.limits),
        examples=100,
        seed=0,
        shrink=False,
    )
    assert finding.verdict == "fails"
    assert finding.failure.comparison is not None


def deaf_to_the_scale(query, key, value, mask, scale):
    return reference(query, key, value, mask)


def ones(upstream, query, key, value, mask):
    return [np.ones_like(array) for array in (query, key, value)]
