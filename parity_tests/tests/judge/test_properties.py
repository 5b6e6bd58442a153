"""Properties of attention hold for ours, its twin, PyTorch's kernels."""

from dataclasses import replace
from functools import cache
from itertools import count

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import settings

from numpy_ref.attention import scaled_dot_product_attention, softmax
from numpy_ref.masks import causal_mask
from parity_tests.judge import judge
from parity_tests.judge.attention.all_properties import PROPERTIES
from parity_tests.judge.attention.conventions import Declared
from parity_tests.judge.attention.function import AttentionFunction
from parity_tests.judge.attention.half_function import HalfFunction
from parity_tests.judge.attention.half_properties import NOT_IN_HALF
from parity_tests.judge.files.judging import hosted
from parity_tests.judge.verdict.loop import Budget, judgement
from parity_tests.tests.conftest import expect_finding
from parity_tests.tests.steps.test_attention import builtin_attention
from torch_impl.attention import (
    scaled_dot_product_attention as torch_attention,
)

pytestmark = pytest.mark.slow  # each asks a whole attention


# --- the subjects --------------------------------------------------------


def reference(query, key, value, mask=None):
    return scaled_dot_product_attention(query, key, value, everywhere(mask))


def everywhere(mask):
    return np.ones((1, 1), bool) if mask is None else mask


def kernel(name: str):
    """PyTorch's own attention, checked to have run that kernel."""

    def call(query, key, value, mask=None):
        return builtin_attention(name, query, key, value, everywhere(mask))

    return call


def with_causal(call):
    """With a causal form, which counts from the last key."""

    def attention(query, key, value, mask=None, is_causal=False):
        if not is_causal:
            return call(query, key, value, mask)
        queries, keys = query.shape[-2], key.shape[-2]
        mine = causal_mask(queries, keys, max(0, keys - queries))
        return call(query, key, value, mine & everywhere(mask))

    return attention


def scaled_attention(query, key, value, mask=None, scale=None):
    factor = 1 if scale is None else scale * query.shape[-1] ** 0.5
    return reference(query * query.dtype.type(factor), key, value, mask)


def with_two_masks(join=np.logical_and):
    """With a mask of the keys of each text beside the other one."""

    def attention(query, key, value, attn_mask=None, key_padding_mask=None):
        mask = attn_mask
        if key_padding_mask is not None:
            texts, axes = len(key_padding_mask), query.ndim - 2
            mask = key_padding_mask.reshape(texts, *[1] * axes, -1)
        if attn_mask is not None and key_padding_mask is not None:
            mask = join(attn_mask, mask)
        return reference(query, key, value, mask)

    return attention


def grouped(query, key, value, mask=None, repeat=np.repeat):
    """With fewer heads of keys, each serving neighbouring queries."""
    if query.ndim == 4 and key.shape[1] < query.shape[1]:
        shared = query.shape[1] // key.shape[1]
        key, value = (repeat(each, shared, 1) for each in (key, value))
    return reference(query, key, value, mask)


def with_a_cache(query, key, value, mask=None, past=None):
    """Keys and values come back, and are passed in with the next ones."""
    if past is not None:
        key = np.concatenate([past[0], key], axis=-2)
        value = np.concatenate([past[1], value], axis=-2)
    return reference(query, key, value, mask), (key, value)


def causal_without_a_mask(query, key, value, mask=None):
    if mask is None:
        mask = causal_mask(query.shape[-2], key.shape[-2])
    return reference(query, key, value, mask)


def in_bfloat16(query, key, value, mask=None):
    if query.dtype != torch.bfloat16:
        raise TypeError("bfloat16 only")
    return F.scaled_dot_product_attention(query, key, value, mask)


def subject_of(function, arrays="numpy") -> AttentionFunction:
    return AttentionFunction(*hosted(function, "it"), Declared(arrays))


SUBJECTS = {
    "numpy_ref": lambda: subject_of(with_causal(reference)),
    "torch_impl": lambda: subject_of(torch_attention, "torch"),
    "F.scaled_dot_product_attention, math": lambda: subject_of(
        with_causal(kernel("math"))
    ),
    "F.scaled_dot_product_attention, fused": lambda: subject_of(
        with_causal(kernel("fused"))
    ),
    "with a scale": lambda: subject_of(scaled_attention),
    "with fewer key heads": lambda: subject_of(grouped),
    "with two masks": lambda: subject_of(with_two_masks()),
    "with a cache": lambda: subject_of(with_a_cache),
    "causal without a mask": lambda: subject_of(causal_without_a_mask),
    "in bfloat16": lambda: HalfFunction(
        *hosted(in_bfloat16, "it"), "bfloat16"
    ),
}


@cache
def subject_named(name: str) -> AttentionFunction:
    return SUBJECTS[name]()


@pytest.mark.parametrize("tested", PROPERTIES, ids=lambda p: p.name)
@pytest.mark.parametrize("name", SUBJECTS)
def test_attention_has_the_property(name, tested):
    subject = subject_named(name)
    if tested not in subject.properties():
        assert tested.name in NOT_ASKED[name]
        return
    assert tested.name not in NOT_ASKED[name]
    budget = Budget(settings().max_examples)
    finding = judgement(tested, subject, budget)
    expect_finding(name, finding)
    assert finding.verdict == "holds"


NUMBERS = {
    "a_boolean_mask_is_zeros_and_minus_infinity",
    "a_number_for_a_whole_row_changes_nothing",
    "ln_2_on_a_key_doubles_its_odds",
}
CAUSAL = {
    "its_causal_form_sees_no_later_key",
    "its_causal_form_joins_another_mask",
    "its_causal_form_counts_from_the_end_of_a_cache",
}
SCALE = {"a_scale_that_is_given_takes_the_place_of_the_root"}
GRADIENTS = {"gradients_are_the_exact_ones"}
FEWER = {"fewer_key_heads_serve_neighbours"}
TWO_MASKS = {
    "its_other_mask_hides_what_it_should",
    "two_masks_hide_what_either_hides",
}

BY_DEFAULT = {"without_a_mask_it_is_causal"}
CACHE = {"decoding_with_its_cache_is_the_same_as_all_at_once"}

# What each is not asked: it takes no numbers in a mask, has no causal form,
# takes no scale, as many heads of keys, or one mask, has no cache, sees all
# without a mask, or is of NumPy.
NOT_ASKED = {
    "numpy_ref": NUMBERS
    | SCALE
    | GRADIENTS
    | FEWER
    | TWO_MASKS
    | CACHE
    | BY_DEFAULT,
    "torch_impl": NUMBERS
    | CAUSAL
    | SCALE
    | FEWER
    | TWO_MASKS
    | CACHE
    | BY_DEFAULT
    | {"no_mask_is_a_mask_that_allows_all"},
    "F.scaled_dot_product_attention, math": SCALE
    | GRADIENTS
    | FEWER
    | TWO_MASKS
    | CACHE
    | BY_DEFAULT,
    "F.scaled_dot_product_attention, fused": SCALE
    | GRADIENTS
    | FEWER
    | TWO_MASKS
    | CACHE
    | BY_DEFAULT,
    "with a scale": NUMBERS
    | CAUSAL
    | GRADIENTS
    | FEWER
    | TWO_MASKS
    | CACHE
    | BY_DEFAULT,
    "with fewer key heads": NUMBERS
    | CAUSAL
    | SCALE
    | GRADIENTS
    | TWO_MASKS
    | CACHE
    | BY_DEFAULT,
    "with two masks": NUMBERS
    | CAUSAL
    | SCALE
    | GRADIENTS
    | FEWER
    | CACHE
    | BY_DEFAULT,
    "with a cache": NUMBERS
    | CAUSAL
    | SCALE
    | GRADIENTS
    | FEWER
    | TWO_MASKS
    | BY_DEFAULT,
    "causal without a mask": NUMBERS
    | CAUSAL
    | SCALE
    | GRADIENTS
    | FEWER
    | TWO_MASKS
    | CACHE
    | {"no_mask_is_a_mask_that_allows_all"},
    "in bfloat16": NOT_IN_HALF.keys()
    | CAUSAL
    | SCALE
    | FEWER
    | TWO_MASKS
    | BY_DEFAULT,
}


def test_every_property_is_asked_of_one_subject_at_least():
    assert not set.intersection(*NOT_ASKED.values())


def test_optional_arguments_are_used():
    def attention(query, key, value, mask=None, scale=None, dropout_p=0.1):
        assert dropout_p == 0
        return scaled_attention(query, key, value, mask, scale)

    report = judge(attention, examples=5)
    assert report.holds
    holding = {finding.name for finding in report.of("holds")}
    assert holding >= SCALE


def test_an_argument_that_is_left_alone_is_said_to_be_unasked():
    def attention(query, key, value, window=None, return_weights=False):
        assert window is None
        return reference(query, key, value)

    report = judge(attention, examples=5)
    assert report.verdict == "holds"
    assert report.not_asked["its argument window"] == "left at its default"
    assert "its argument return_weights" not in report.not_asked
    assert "not asked: its argument window (left at its def" in str(report)


def test_an_optional_causal_form_without_any_mask():
    def attention(query, key, value, is_causal=False):
        return with_causal(reference)(query, key, value, None, is_causal)

    report = judge(attention, examples=5)
    assert report.holds
    holding = {finding.name for finding in report.of("holds")}
    assert "its_causal_form_sees_no_later_key" in holding


# --- two masks -----------------------------------------------------------


@pytest.mark.parametrize(
    ("join", "cause"),
    [
        (
            lambda mask, padding: padding,
            "with two masks, the second overwrites the first",
        ),
        (
            lambda mask, padding: mask,
            "with two masks, only the first counts",
        ),
        (np.logical_or, "two masks are joined with or, not and"),
    ],
)
def test_masks_that_are_joined_wrongly_are_rejected(join, cause):
    report = judge(with_two_masks(join), examples=5)
    (failed,) = report.failed
    assert failed.name == "two_masks_hide_what_either_hides"
    assert report.cause == cause


def test_a_mask_that_changes_the_other_modifies_an_input():
    def join(mask, padding):
        if np.broadcast_shapes(mask.shape, padding.shape) != mask.shape:
            return mask & padding
        mask &= padding
        return mask

    report = judge(with_two_masks(join), examples=5)
    (failed,) = report.failed
    assert failed.name == "inputs_are_left_as_they_were"
    assert report.cause == "it modifies its inputs in place"


def test_what_refuses_two_masks_at_once_holds_where_it_was_asked():
    def join(mask, padding):
        raise ValueError("one of both")

    report = judge(with_two_masks(join), examples=5)
    assert report.verdict == "holds where asked"
    raised = {finding.name for finding in report.of("raised")}
    assert "two_masks_hide_what_either_hides" in raised


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
    assert report.known.startswith(f"{len(report.failed)} properties fail")


def test_the_same_seed_gives_the_same_report():
    first, other = (judge(wrong, examples=5, seed=3) for _ in range(2))
    assert [f.examples for f in first.findings] == [
        f.examples for f in other.findings
    ]
    np.testing.assert_array_equal(
        first.failed[0].failure.case.query,
        other.failed[0].failure.case.query,
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


def test_an_answer_that_is_remembered_is_a_finding():
    answers = []

    def attention(query, key, value, mask=None):
        for array, context in answers:
            if array is query:
                return context
        answers.append((query, reference(query, key, value, mask)))
        return answers[-1][1]

    report = judge(attention, examples=2)
    assert [finding.name for finding in report.failed] == [
        "answers_do_not_depend_on_calls_before"
    ]
    assert report.cause.startswith("answers depend on calls before")


@pytest.mark.parametrize(
    ("broken", "trouble"),
    [
        (lambda query, key, value: None, "returned None, expected"),
        (lambda query, key, value: value[..., :1], "returned shape"),
        (lambda query, key, value: 1 / 0, "raised ZeroDivisionError"),
        (lambda query, key, value: exit(3), "raised SystemExit: 3"),
    ],
)
def test_what_gives_no_output_is_not_judged_and_why_is_said(
    broken, trouble
):
    report = judge(broken)
    assert report.verdict == "not judged"
    assert trouble in report.trouble
    assert not report.holds


def test_what_raises_on_some_inputs_holds_only_where_it_was_asked():
    def attention(query, key, value):
        if query.shape[-2] > 100:
            raise MemoryError("too many queries")
        return reference(query, key, value)

    report = judge(attention, examples=5)
    assert report.verdict == "holds where asked"
    (raised,) = report.of("raised")
    assert raised.name == "sizes_beyond_a_tile_are_no_different"
    assert "MemoryError" in raised.reason


def test_float64_for_float32_is_reported_and_float16_rejected():
    def widened(query, key, value, mask):
        return reference(query, key, value, mask).astype(np.float64)

    def narrowed(query, key, value, mask):
        return reference(query, key, value, mask).astype(np.float16)

    report = judge(widened, examples=5)
    assert report.holds
    assert report.conventions["float32"].startswith("returned as float64")
    (first, *_) = judge(narrowed, examples=5).failed
    assert "returned float16, expected float" in first.failure.trouble


def test_what_is_not_attention_is_not_judged():
    report = judge(lambda a, b: a)
    assert report.verdict == "not judged"
    assert "a query, a key and a value" in report.trouble


def test_a_report_without_findings_does_not_hold():
    assert not replace(judge(reference, examples=1), findings=()).holds


# --- every property can fail ---------------------------------------------


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


def all_without_a_mask(query, key, value, mask=None):
    return reference(query, key, value, mask)


def only_contiguous(query, key, value, mask):
    off = not query.flags.c_contiguous
    return reference(query, key, value, mask) + value.dtype.type(off)


def only_float64(query, key, value, mask):
    off = value.dtype == np.float32
    return reference(query, key, value, mask) + value.dtype.type(off)


def from_the_first_key(query, key, value, mask=None, is_causal=False):
    mine = causal_mask(query.shape[-2], key.shape[-2])
    return reference(query, key, value, mine)


def without_the_other_mask(query, key, value, mask=None, is_causal=False):
    return with_causal(reference)(query, key, value, None, is_causal)


def deaf_to_its_cache(query, key, value, mask=None, past=None):
    return with_a_cache(query, key, value, mask)


def never_causal(query, key, value, mask=None, is_causal=False):
    return reference(query, key, value, mask)


def adding(change):
    """Adds numbers, after one change to them, to the scores."""

    def biased(query, key, value, mask=None):
        if mask is None or mask.dtype == bool:
            return reference(query, key, value, mask)
        scores = query @ key.swapaxes(-2, -1) / query.shape[-1] ** 0.5
        return softmax(scores + change(mask)) @ value

    return biased


def after_the_softmax(query, key, value, mask=None):
    scores = query @ key.swapaxes(-2, -1) / query.shape[-1] ** 0.5
    return (softmax(scores) + everywhere(mask)) @ value


def deaf_to_the_scale(query, key, value, mask=None, scale=None):
    return reference(query, key, value, mask)


def deaf_to_padding(
    query, key, value, attn_mask=None, key_padding_mask=None
):
    return reference(query, key, value, attn_mask)


def all_in_turn(query, key, value, mask=None):
    def repeat(array, shared, axis):
        return np.concatenate([array] * shared, axis)

    return grouped(query, key, value, mask, repeat)


def without_gradients_of_values(query, key, value, mask):
    return torch_attention(query, key, value.detach(), mask)


def whole_tiles(query, key, value, mask):
    context = reference(query, key, value, mask).copy()
    queries = query.shape[-2]
    if queries > 32:
        context[..., queries // 32 * 32 :, :] = 0
    return context


CALLS = count(1)


def every_tenth_is_off(query, key, value, mask):
    off = next(CALLS) % 10 == 0
    return reference(query, key, value, mask) + value.dtype.type(off)


# For each property a mutant that lacks it.
LACKING = {
    "equals_the_definition": scaled(1.01),
    "sizes_beyond_a_tile_are_no_different": whole_tiles,
    "inputs_are_left_as_they_were": changing,
    "answers_do_not_depend_on_calls_before": every_tenth_is_off,
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
LACKING = {name: with_causal(mutant) for name, mutant in LACKING.items()}
LACKING |= {
    "its_causal_form_sees_no_later_key": never_causal,
    "its_causal_form_joins_another_mask": without_the_other_mask,
    "its_causal_form_counts_from_the_end_of_a_cache": from_the_first_key,
    "a_boolean_mask_is_zeros_and_minus_infinity": adding(
        lambda bias: np.maximum(bias, -3)
    ),
    "a_number_for_a_whole_row_changes_nothing": after_the_softmax,
    "ln_2_on_a_key_doubles_its_odds": adding(lambda bias: bias / 2),
    "a_scale_that_is_given_takes_the_place_of_the_root": deaf_to_the_scale,
    "gradients_are_the_exact_ones": without_gradients_of_values,
    "fewer_key_heads_serve_neighbours": all_in_turn,
    "its_other_mask_hides_what_it_should": deaf_to_padding,
    **dict.fromkeys(CACHE, deaf_to_its_cache),
    **dict.fromkeys(BY_DEFAULT, all_without_a_mask),
    "two_masks_hide_what_either_hides": with_two_masks(np.logical_or),
}

RIGHT_WITH = dict.fromkeys(NUMBERS, kernel("math")) | {
    **dict.fromkeys(SCALE, scaled_attention),
    **dict.fromkeys(FEWER, grouped),
    **dict.fromkeys(TWO_MASKS, with_two_masks()),
    **dict.fromkeys(CACHE, with_a_cache),
    **dict.fromkeys(BY_DEFAULT, causal_without_a_mask),
    **dict.fromkeys(GRADIENTS, torch_attention),
}


@cache
def right_subject(name: str) -> AttentionFunction:
    """A right attention that is asked about this property."""
    right = RIGHT_WITH.get(name) or with_causal(reference)
    return subject_of(right, "torch" if name in GRADIENTS else "numpy")


@pytest.mark.parametrize("tested", PROPERTIES, ids=lambda p: p.name)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_property_can_fail(tested):
    """A right function is replaced once its conventions are known."""
    subject, name = right_subject(tested.name), tested.name
    right = subject.host.things["it"]
    mutant = LACKING[name]
    subject.host.things["it"] = mutant
    try:
        finding = judgement(tested, subject, Budget(100), shrink=False)
    finally:
        subject.host.things["it"] = right
    assert finding.verdict == "fails"
    assert finding.failure.comparison is not None


def test_the_mutants_above_are_of_what_is_right():
    for name in LACKING:
        (tested,) = (p for p in PROPERTIES if p.name == name)
        assert tested in right_subject(name).properties(), name
    assert LACKING.keys() == {each.name for each in PROPERTIES}
