"""What is asked of attention in bfloat16 and float16.

Inputs are exact half numbers. Of the properties of wider floats all are
asked that speak of these; two more need bounds as narrow as theirs here.
"""

import numpy as np

from parity_tests.judge.half.inputs import KINDS, half_inputs
from parity_tests.judge.half.kernels import half_type
from parity_tests.judge.subject.cases import AttentionCase

from . import all_properties
from .numbers import equals_the_definition
from .property import Comparisons, Property, identical, read_weights

# --- inputs --------------------------------------------------------------


def in_half(case: AttentionCase, dtype: str) -> AttentionCase:
    """The case with the nearest half numbers, as laid out as before."""
    for array in case.qkv:
        with np.errstate(over="ignore"):
            array[...] = array.astype(half_type(dtype))
    return case


def half_of(array: np.ndarray, dtype: str) -> np.ndarray:
    """The nearest half numbers, as float32."""
    return array.astype(half_type(dtype)).astype(np.float32)


# Texts, queries, keys, features of a key and of a value.
FEW, MANY = (2, 3, 17, 8, 6), (1, 4, 40, 16, 16)


def kinds_of_inputs(subject) -> list[AttentionCase]:
    """Each kind of input in two sizes."""
    limits, cases = subject.limits, []
    axes = limits.batch_axes[0]
    for index, kind in enumerate(KINDS):
        for shape in (FEW, MANY):
            texts, queries, keys, d_head, d_value = shape
            texts = texts if axes else 1
            queries = keys if limits.square else queries
            d_value = d_head if limits.one_width else d_value
            sizes = texts, queries, keys, d_head, d_value
            random = np.random.default_rng(index)
            drawn = half_inputs(random, sizes, kind, subject.dtype)
            arrays = [array.astype(np.float32) for array in drawn]
            if not all(np.isfinite(array).all() for array in arrays):
                continue
            arrays = [with_axes(array, axes) for array in arrays]
            mask = np.ones((queries, keys), bool)
            if "open" not in limits.masks:
                mask = np.tri(keys, dtype=bool)
            cases.append(AttentionCase(*arrays, mask, index))
    return cases


def with_axes(array: np.ndarray, axes: int) -> np.ndarray:
    """(texts, tokens, features) with so many axes before the last two."""
    return array[0] if axes == 0 else array[:, None] if axes == 2 else array


# --- properties ----------------------------------------------------------


def inputs_of_every_kind_are_no_different(
    subject, case: AttentionCase
) -> Comparisons:
    """Where weights are nearly equal or all but one are 0, where values
    cancel or are tiny, the output is that of the definition."""
    yield from equals_the_definition(subject, case)


def a_masked_key_gets_no_weight(
    subject, case: AttentionCase
) -> Comparisons:
    """A weight is 0 where the mask forbids attention."""
    weights, _, exact = read_weights(subject, case)
    known = case.rows.any(-1, keepdims=True) & np.isfinite(exact.error)
    got = np.where(known & ~case.rows, weights, 0)
    yield identical("forbidden weights", got, np.zeros_like(got))


# --- what is asked -------------------------------------------------------

# Properties of wider floats that are not asked in 16 bits, and why.
NOT_IN_HALF = {
    "an_output_lies_between_the_values": (
        "the definition's bound holds each output on the same inputs"
    ),
    "a_constant_added_to_every_key_changes_nothing": (
        "the sum of a key and a constant is no half number"
    ),
    "values_are_averaged_linearly": (
        "twice a value and 1 more is no half number"
    ),
    "powers_of_two_only_move_the_exponent": (
        "in float16, what is near 0 has fewer digits"
    ),
    "the_scale_is_one_over_the_root": (
        "a logarithm of weights of 8 bits tells less than the definition"
    ),
    "float32_is_close_to_float64": "it speaks of other formats",
    "a_number_for_a_whole_row_changes_nothing": (
        "no profile says how a sum of score and bias is rounded"
    ),
    "ln_2_on_a_key_doubles_its_odds": (
        "no profile says how a sum of score and bias is rounded"
    ),
    "a_weight_is_positive_where_the_mask_allows": (
        "small weights are 0 in half; that masked ones are is asked"
    ),
    "decoding_with_its_cache_is_the_same_as_all_at_once": (
        "a cache is asked in wider floats"
    ),
}

PROPERTIES = (
    *(
        each
        for each in all_properties.PROPERTIES
        if each.name not in NOT_IN_HALF
    ),
    Property(inputs_of_every_kind_are_no_different, inputs=kinds_of_inputs),
    Property(a_masked_key_gets_no_weight, ("masks",)),
)
