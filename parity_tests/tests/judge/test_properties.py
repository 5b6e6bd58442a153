"""Any attention has these properties: ours, its twin, PyTorch's kernels.

With `pytest --implementation FILE` that file's things are judged instead,
and nothing else runs.
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
from parity_tests.judge.attention.all_properties import PROPERTIES, offered
from parity_tests.judge.attention.verdict import judge, judgement
from parity_tests.judge.files.submission import candidates, read
from parity_tests.judge.files.worker import judged as judged_by_role
from parity_tests.judge.subject.cases import attention_cases
from parity_tests.judge.subject.conventions import (
    ADDED,
    NOTHING_TOLD,
    Told,
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
    """PyTorch's own, with that kernel seen to have run."""

    def call(query, key, value, mask):
        return builtin_attention(name, query, key, value, everywhere(mask))

    return call


def own_causal(call):
    """A causal form, for what has none: by a mask."""

    def causal(query, key, value, mask=None):
        queries, keys = query.shape[-2], key.shape[-2]
        mine = causal_mask(queries, keys, max(0, keys - queries))
        return call(query, key, value, mine & everywhere(mask))

    return causal


def with_numbers(call) -> Subject:
    """The same for what takes numbers for a mask, too."""
    subject = with_causal(call)
    conventions = replace(subject.conventions, mask_of_numbers=ADDED)
    return replace(subject, biased=call, conventions=conventions)


def with_causal(call) -> Subject:
    conventions = Conventions(
        mask="True may attend",
        causal="by a mask",
        alignment="the last queries",
        causal_and_mask="both at once",
        blocked_row="zeros",
    )
    return Subject("", call, own_causal(call), conventions=conventions)


@cache
def twin() -> Subject:
    """Its gradients are autograd's."""
    return subject_of(torch_attention, "torch_impl", Told("torch"))


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


@pytest.mark.parametrize("one", PROPERTIES, ids=lambda one: one.name)
@pytest.mark.parametrize("name", SUBJECTS)
def test_attention_has_the_property(name, one):
    subject = SUBJECTS[name]()
    if not offered(subject, one):
        assert (name, one.name) in NOT_ASKED
        return
    finding = judgement(
        one,
        lambda case: one.check(subject, case),
        attention_cases(subject.conventions.limits),
        settings().max_examples,
        chance=0,
    )
    expect_finding(name, finding)


# What a subject does not offer: gradients come from autograd only,
# torch_impl has no causal form but a mask, and both of ours take
# booleans only.
NOT_ASKED = {
    *(
        (name, one.name)
        for name in ("numpy_ref", "torch_impl")
        for one in PROPERTIES
        if one.needs[-1:] in (("numbers",), ("numbers are added",))
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
    given_file = pytestconfig.getoption("--implementation")
    path = Path(given_file or EXAMPLE)
    examples = 25 if given_file else 5
    for one in candidates(read(path)):
        report = judged_by_role(one, NOTHING_TOLD, examples, 0)
        assert report.trouble is None, f"{one.name}: it {report.trouble}"
        for finding in report.findings:
            if finding.verdict != "not judged":
                expect_finding(f"{path.name}: {one.name}", finding)


def test_options_are_used_where_there_are_any():
    def attention(query, key, value, mask=None, scale=None, dropout_p=0.1):
        assert dropout_p == 0
        factor = 1 if scale is None else scale * query.shape[-1] ** 0.5
        return reference(query * query.dtype.type(factor), key, value, mask)

    report = judge(attention, examples=5)
    assert report.holds
    asked = {f.name for f in report.findings if f.verdict == "holds"}
    assert "a_scale_that_is_given_takes_the_place_of_the_root" in asked


def test_what_is_causal_only_when_asked_and_takes_no_mask():
    def attention(query, key, value, is_causal=False):
        ask = own_causal(reference) if is_causal else reference
        return ask(query, key, value, None)

    report = judge(attention, examples=5)
    assert report.holds
    asked = {f.name for f in report.findings if f.verdict == "holds"}
    assert "its_causal_form_sees_no_later_key" in asked


EXAMPLE = Path(bug_zoo.__path__[0], "right", "by_einsum.py")


# --- the judge itself ----------------------------------------------------


def wrong(query, key, value, mask):
    """Right but for one output."""
    context = reference(query, key, value, mask).copy()
    context[..., 0, 0] += 1
    return context


def test_a_failure_has_the_smallest_input_and_says_what_came():
    report = judge(wrong, examples=5)
    (first, *_) = report.failed
    assert first.name == "equals_the_definition"
    assert first.failure.case.query.size <= 4
    apart = first.failure.comparison.difference
    assert apart == pytest.approx(1, rel=1e-5)
    assert not report.holds
    assert report.cause is None


def test_the_same_seed_gives_the_same_report():
    one, other = (judge(wrong, examples=5, chance=3) for _ in range(2))
    assert [f.examples for f in one.findings] == [
        f.examples for f in other.findings
    ]
    np.testing.assert_array_equal(
        one.failed[0].failure.case.query, other.failed[0].failure.case.query
    )


def by_chance(query, key, value, mask):
    noise = np.random.default_rng().normal(size=(1,)).astype(query.dtype)
    return reference(query, key, value, mask) + noise


def test_an_answer_by_chance_is_a_finding_like_any_other():
    report = judge(by_chance, examples=5)
    assert "asked_twice_it_answers_the_same" in {
        finding.name for finding in report.failed
    }
    assert report.cause == "the answer is left to chance, as with dropout"


@pytest.mark.parametrize(
    ("answers", "trouble"),
    [
        (lambda query, key, value: None, "returned NoneType, and no array"),
        (lambda query, key, value: value[..., :1], "returned the shape"),
        (lambda query, key, value: 1 / 0, "raised ZeroDivisionError"),
        (lambda query, key, value: exit(3), "raised SystemExit: 3"),
    ],
)
def test_no_answer_is_told_in_words(answers, trouble):
    report = judge(answers)
    assert not report.holds
    assert trouble in report.trouble


def test_float64_for_float32_is_reported_and_float16_rejected():
    def widened(query, key, value, mask):
        return reference(query, key, value, mask).astype(np.float64)

    def narrowed(query, key, value, mask):
        return reference(query, key, value, mask).astype(np.float16)

    report = judge(widened, examples=5)
    assert report.holds
    assert report.conventions.float32.startswith("comes back as float64")
    assert "returned float16, and should float" in judge(narrowed).trouble


def test_what_is_not_attention_is_refused():
    with pytest.raises(ValueError, match="a query, a key and a value"):
        judge(lambda a, b: a)


def test_nothing_judged_is_not_taken_for_right():
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

# For each property an attention that lacks it.
LACKING = {
    "equals_the_definition": scaled(1.01),
    "inputs_are_left_as_they_were": changing,
    "asked_twice_it_answers_the_same": by_chance,
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
    "a_query_without_a_key_gets_zeros": lambda q, k, v, m: (
        reference(q, k, v, m) + v.dtype.type(1)
    ),
    "many_keys_are_no_different": of_sixteen_keys,
    "no_mask_is_a_mask_that_allows_all": causal_by_default,
    "a_mask_broadcasts": only_full_masks,
    "token_by_token_is_the_same_as_all_at_once": lambda q, k, v, m: (
        reference(q, k, v, m) * q.dtype.type(q.shape[-2])
    ),
    "float32_is_near_to_float64": only_float64,
    "how_arrays_lie_in_memory_does_not_matter": only_contiguous,
}
LACKING_CAUSAL = {
    "its_causal_form_sees_no_later_key": lambda q, k, v, m=None: reference(
        q, k, v, m
    ),
    "its_causal_form_joins_another_mask": causal_alone,
    "its_causal_form_counts_from_the_end_of_a_cache": top_left,
}


@pytest.mark.parametrize("one", PROPERTIES, ids=lambda one: one.name)
def test_a_property_is_seen_to_fail(one):
    subject = with_causal(LACKING.get(one.name, reference))
    if one.name in LACKING_CAUSAL:
        subject = replace(subject, causal=LACKING_CAUSAL[one.name])
    if one.name in LACKING_NUMBERS:
        subject = replace(
            with_numbers(reference), biased=LACKING_NUMBERS[one.name]
        )
    if "gradients" in one.needs:
        subject = replace(subject, backward=ones)
    if "scale" in one.needs:
        subject = replace(subject, scaled=deaf_to_the_scale)
    finding = judgement(
        one,
        lambda case: one.check(subject, case),
        attention_cases(subject.conventions.limits),
        examples=100,
        chance=0,
        shrink=False,
    )
    assert finding.verdict == "fails"
    assert finding.failure.comparison is not None


def deaf_to_the_scale(query, key, value, mask, scale):
    return reference(query, key, value, mask)


def ones(upstream, query, key, value, mask):
    return [np.ones_like(array) for array in (query, key, value)]
