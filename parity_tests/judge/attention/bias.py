"""Properties of an additive mask: numbers are added to the scores."""

from dataclasses import replace
from math import inf, log

import numpy as np

from parity_tests.bounds.rounding import (
    distribution,
    scaled_scores,
    weighted_mean,
)
from parity_tests.judge.subject.cases import AttentionCase

from .property import Comparisons, Property, rounded_by, same


def a_boolean_mask_is_zeros_and_minus_infinity(
    subject, case: AttentionCase
) -> Comparisons:
    """An additive mask of 0 and -inf does what a boolean mask does."""
    some = case.rows.any(axis=-1, keepdims=True)
    boolean = replace(case, mask=case.rows | ~some)
    bias = np.where(boolean.mask, 0, -inf).astype(case.value.dtype)
    got, other = subject.with_bias(*case.qkv, bias), subject.of(boolean)
    yield subject.alike("context", got, other, subject.exact(boolean))


def a_number_for_a_whole_row_changes_nothing(
    subject, case: AttentionCase
) -> Comparisons:
    """The same number added to all scores of a query changes nothing."""
    dtype, queries = case.value.dtype, case.query.shape[-2]
    row = case.random().integers(-9, 10, size=(queries, 1)).astype(dtype)
    bias = np.broadcast_to(row, (queries, case.key.shape[-2])).copy()
    shifted, plain = with_and_without(subject, case, bias)
    bound = sum(error_with(subject, case, b) for b in (bias, 0 * bias))
    yield same("context", shifted, plain, bound)


def ln_2_on_a_key_doubles_its_odds(
    subject, case: AttentionCase
) -> Comparisons:
    """ln 2 added to the scores of a key makes it count twice: numbers are
    added after the scale, and before the softmax."""
    dtype, keys = case.value.dtype, case.key.shape[-2]
    doubled = case.seed % keys
    bias = np.zeros((case.query.shape[-2], keys), dtype)
    bias[:, doubled] = log(2)
    biased, _ = with_and_without(subject, case, bias)
    indices = [*range(keys), doubled]
    longer = replace(
        case,
        key=case.key[..., indices, :],
        value=case.value[..., indices, :],
        mask=np.ones((1, keys + 1), bool),
    )
    exact = subject.exact(longer)
    # ln 2 is rounded: no output moves by more than that, times its range.
    spread = np.ptp(case.value, axis=-2, keepdims=True).astype(float)
    rounded = np.finfo(dtype).eps * log(2) * spread
    bound = error_with(subject, case, bias) + exact.error + rounded
    yield same("context", biased, exact.value, bound)


def with_and_without(subject, case: AttentionCase, bias):
    """The outputs for that bias, and for zeros."""
    return tuple(subject.with_bias(*case.qkv, b) for b in (bias, 0 * bias))


def error_with(
    subject, case: AttentionCase, bias: np.ndarray
) -> np.ndarray:
    """How far the output may be off when numbers are added."""
    arrays = case.arrays | {"bias": bias}
    inputs = rounded_by(subject.rounding(bias.dtype), arrays)
    scores = scaled_scores(inputs["query"], inputs["key"]) + inputs["bias"]
    weights = distribution(scores, np.True_)
    return weighted_mean(weights, inputs["value"]).error


PROPERTIES = (
    Property(
        a_boolean_mask_is_zeros_and_minus_infinity, ("booleans", "numbers")
    ),
    Property(
        a_number_for_a_whole_row_changes_nothing, ("numbers are added",)
    ),
    Property(ln_2_on_a_key_doubles_its_odds, ("numbers are added",)),
)
