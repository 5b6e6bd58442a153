"""Properties of attention in bfloat16 and float16.

Inputs are exact half numbers. An output must lie within the bound of its
kernel's roundings (`bounds/half_precision.py`); two outputs that should
be the same, within the sum of both bounds. Where a bound says nothing,
nothing is compared, and that is counted.
"""

from dataclasses import dataclass, replace
from functools import reduce
from math import inf, sqrt

import numpy as np

from numpy_ref.masks import causal_mask
from parity_tests.bounds.half_precision import FORMATS, HalfBound
from parity_tests.judge.half.inputs import KINDS, half_inputs
from parity_tests.judge.half.kernels import half_type
from parity_tests.judge.subject.cases import (
    AttentionCase,
    beyond_a_tile,
    causal,
    normal_arrays,
    opened,
)
from parity_tests.twins.comparing import Comparison, largest

from . import masks, numbers
from .property import (
    Comparisons,
    Property,
    causally,
    contiguous,
    identical,
    same,
    visible_keys,
    with_identity,
)


@dataclass(frozen=True, eq=False)
class HalfComparison(Comparison):
    """A comparison in half precision, whose bounds are wide by nature."""

    @property
    def is_wide(self) -> bool:
        """True when an output of zeros would pass, too."""
        return self.bound > max(largest(self.ours), largest(self.theirs))


# --- comparisons ---------------------------------------------------------


def near(subject, path: str, got, exact: HalfBound) -> HalfComparison:
    """The exact value, within the bound, where that says something."""
    return compared(subject, path, got, exact.value, exact)


def alike(subject, path, got, other, *bounds: HalfBound) -> HalfComparison:
    """Two outputs that should be the same, within the sum of the bounds
    of both; of one bound, twice."""
    first, second = bounds if len(bounds) == 2 else 2 * bounds
    both = HalfBound(
        first.value,
        first.error + second.error,
        first.overflow | second.overflow,
        first.accumulation or second.accumulation,
    )
    return compared(subject, path, got, other, both)


def compared(subject, path, got, expected, bound: HalfBound):
    """Where the bound is infinite, nothing is."""
    subject.count_unknown(bound, got)
    known = np.isfinite(bound.error)
    got, expected, error = (
        np.where(known, array, 0) for array in (got, expected, bound.error)
    )
    return HalfComparison(**vars(same(path, got, expected, error)))


def part_of(bound: HalfBound, at) -> HalfBound:
    """The bound of some of the outputs."""
    return replace(
        bound,
        value=bound.value[at],
        error=bound.error[at],
        overflow=bound.overflow[at],
    )


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


def beyond_tiles(subject) -> list[AttentionCase]:
    cases = beyond_a_tile(subject.limits)
    return [in_half(case, subject.dtype) for case in cases]


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


# --- numbers -------------------------------------------------------------


def equals_the_definition(subject, case: AttentionCase) -> Comparisons:
    """The output is softmax(Q Kᵀ / √d) V over the allowed keys, but for
    what the roundings of the kernel explain."""
    yield near(subject, "context", subject.of(case), subject.bound(case))


def sizes_beyond_a_tile_are_no_different(
    subject, case: AttentionCase
) -> Comparisons:
    """Past 32, 64 and 128 queries, keys or features, as at the borders of
    a tile, the output is that of the definition."""
    yield from equals_the_definition(subject, case)


def inputs_of_every_kind_are_no_different(
    subject, case: AttentionCase
) -> Comparisons:
    """Where weights are nearly equal or all but one are 0, where values
    cancel or are tiny, the output is that of the definition."""
    yield from equals_the_definition(subject, case)


def weights_are_a_distribution(subject, case: AttentionCase) -> Comparisons:
    """The weights of a query are not negative, and they sum to 1."""
    identity = with_identity(case, subject.limits.one_width)
    identity = in_half(identity, subject.dtype)
    keys = case.key.shape[-2]
    weights = subject.of(identity)[..., :keys]
    bound = part_of(subject.bound(identity), np.s_[..., :keys])
    sees_any = case.rows.any(axis=-1)
    negative = np.where(sees_any[..., None], np.minimum(weights, 0), 0)
    known = np.isfinite(bound.error)
    negative = np.where(known, negative, 0)
    yield identical("negative weights", negative, np.zeros_like(negative))
    sums = np.where(sees_any, weights.astype(float).sum(axis=-1), 1)
    whole = HalfBound(
        np.ones_like(sums),
        bound.error.sum(axis=-1) + 1e-12,
        bound.overflow.any(axis=-1),
        bound.accumulation,
    )
    yield near(subject, "sums of weights", sums, whole)


def a_query_of_zeros_gets_the_mean(
    subject, case: AttentionCase
) -> Comparisons:
    """A query of zeros gets the mean of the values it may attend to."""
    zero_query = replace(case, query=np.zeros_like(case.query))
    exact, got = subject.bound(zero_query), subject.of(zero_query)
    yield near(subject, "context", got, exact)


def a_scale_that_is_given_takes_the_place_of_the_root(
    subject, case: AttentionCase
) -> Comparisons:
    """A scale of 2/√d gives what doubled queries give."""
    moved = replace(case, query=2 * case.query)
    scale = 2 / sqrt(case.query.shape[-1])
    got, bound = subject(**case.arrays, scale=scale), subject.bound(moved)
    yield alike(subject, "context", got, subject.of(moved), bound)


def one_score_far_above_the_rest_takes_all(
    subject, case: AttentionCase
) -> Comparisons:
    """With one score far above the others, the output is its value."""
    query = half_of(case.query * 40, subject.dtype)
    sharp = replace(case, query=query)
    yield near(subject, "context", subject.of(sharp), subject.bound(sharp))


def large_scores_stay_finite(subject, case: AttentionCase) -> Comparisons:
    """Large scores, as large as the format holds with ease, do not
    overflow, and if all are far below zero, a query still gets a mean."""
    root = 2.0**11 if subject.dtype == "bfloat16" else 2.0**7
    for sign in (1, -1):
        # A first feature that gives every score of a query the same.
        query, key = case.query.copy(), case.key.copy()
        query[..., 0], key[..., 0] = root, sign * root
        large = replace(case, query=query, key=key)
        level = sign * root**2 / sqrt(query.shape[-1])
        name = f"context, scores of about {level:.0f}"
        yield near(subject, name, subject.of(large), subject.bound(large))


def many_keys_are_no_different(subject, case: AttentionCase) -> Comparisons:
    """With more keys than one tile of a tiled algorithm holds, and with
    the first of them masked, the output is that of the definition."""
    random = case.random()
    tokens = int(random.choice([17, 33, 65, 129, 300]))
    limits = subject.limits
    queries = tokens if limits.square else case.query.shape[-2]
    batch, d_head = case.query.shape[:-2], case.query.shape[-1]
    sizes = queries, tokens, d_head, case.value.shape[-1]
    arrays = normal_arrays(random, batch, sizes, "float32")
    mask = np.ones((queries, tokens), bool)
    if "random" in limits.masks:
        mask[:, : tokens // 2] = False
    elif "open" not in limits.masks:
        mask = np.tri(tokens, dtype=bool)
    many = AttentionCase(*arrays, mask, case.seed)
    many = in_half(many, subject.dtype)
    yield near(subject, "context", subject.of(many), subject.bound(many))


def fewer_key_heads_serve_neighbours(
    subject, case: AttentionCase
) -> Comparisons:
    """With fewer heads of keys than of queries, each serves neighbouring
    heads of queries, as with `enable_gqa`."""
    random = case.random()
    batch, groups, shared, tokens, width = 2, 2, 2, 5, 4
    query = random.normal(size=(batch, groups * shared, tokens, width))
    key, value = random.normal(size=(2, batch, groups, tokens, width))
    query, key, value = (
        half_of(array, subject.dtype) for array in (query, key, value)
    )
    mask = np.ones((tokens, tokens), bool)
    if "open" not in subject.limits.masks:
        mask = np.tri(tokens, dtype=bool)
    repeated = (np.repeat(a, shared, axis=1) for a in (key, value))
    bound = subject.bound(AttentionCase(query, *repeated, mask))
    got = subject(query, key, value, None if mask.all() else mask)
    yield near(subject, "context", got, bound)


def gradients_are_the_exact_ones(
    subject, case: AttentionCase
) -> Comparisons:
    """The gradients of query, key and value are the derivatives, but for
    what the roundings of the kernel and of its backward explain."""
    shape = (*case.query.shape[:-1], case.value.shape[-1])
    upstream = case.random().integers(-3, 4, shape).astype(np.float32)
    some = case.rows.any(axis=-1, keepdims=True)
    case = replace(case, mask=case.rows | ~some)
    bounds = subject.gradient_bounds(upstream, case)
    gradients = subject.gradients(upstream, **case.arrays)
    for name, got, exact in zip(
        ("query", "key", "value"), gradients, bounds, strict=True
    ):
        got = np.asarray(got).astype(np.float32)
        yield near(subject, f"d_{name}", got, exact)


# --- masks ---------------------------------------------------------------


def a_boolean_mask_is_zeros_and_minus_infinity(
    subject, case: AttentionCase
) -> Comparisons:
    """An additive mask of 0 and -inf does what a boolean mask does."""
    some = case.rows.any(axis=-1, keepdims=True)
    boolean = replace(case, mask=case.rows | ~some)
    bias = np.where(boolean.mask, 0, -inf).astype(np.float32)
    got, other = subject.with_bias(*case.qkv, bias), subject.of(boolean)
    yield alike(subject, "context", got, other, subject.bound(boolean))


def a_masked_key_gets_no_weight(
    subject, case: AttentionCase
) -> Comparisons:
    """A weight is 0 where the mask forbids attention."""
    identity = with_identity(case, subject.limits.one_width)
    identity = in_half(identity, subject.dtype)
    weights = subject.of(identity)[..., : case.key.shape[-2]]
    known = np.isfinite(subject.bound(identity).error)
    known = known[..., : case.key.shape[-2]]
    forbidden = case.rows.any(-1, keepdims=True) & ~case.rows & known
    got = np.where(forbidden, weights, 0)
    yield identical("forbidden weights", got, np.zeros_like(got))


def its_causal_form_sees_no_later_key(
    subject, case: AttentionCase
) -> Comparisons:
    """In its causal form, query i sees the keys up to i, and no others."""
    case = causal(case)
    got = subject.causally(*case.qkv)
    yield near(subject, "causal context", got, subject.bound(case))


def its_causal_form_joins_another_mask(
    subject, case: AttentionCase
) -> Comparisons:
    """The causal mask and another one together allow what both allow."""
    case = causal(case)
    tokens = case.query.shape[-2]
    other = case.random().uniform(size=(tokens, tokens)) < 0.6
    other |= np.eye(tokens, dtype=bool)
    bound = subject.bound(replace(case, mask=case.mask & other))
    got = subject.causally(*case.qkv, other)
    yield near(subject, "causal context", got, bound)


def its_other_mask_hides_what_it_should(
    subject, case: AttentionCase
) -> Comparisons:
    """Where it takes two masks, the other one, alone, hides what it
    should."""
    for name, mask in subject.random_masks(case).items():
        if name != subject.mask:
            masks_given = {name: mask}
            yield definition_with(subject, case, masks_given)


def two_masks_hide_what_either_hides(
    subject, case: AttentionCase
) -> Comparisons:
    """With two masks at once, a token is attended to where both allow
    it."""
    yield definition_with(subject, case, subject.random_masks(case))


def definition_with(subject, case: AttentionCase, masks_given: dict):
    """With these masks, by their names, it attends to what all allow."""
    visible = reduce(np.logical_and, masks_given.values())
    bound = subject.bound(replace(case, mask=visible))
    got = subject.with_masks(*case.qkv, masks_given)
    return near(subject, "context", got, bound)


def a_later_token_changes_no_earlier_output(
    subject, case: AttentionCase
) -> Comparisons:
    """Under a causal mask, a later token changes no earlier output."""
    case = causal(case)
    begin = case.seed % case.query.shape[-2]
    key, value = case.key.copy(), case.value.copy()
    key[..., begin:, :] *= -2
    value[..., begin:, :] *= -2
    other = replace(case, key=key, value=value)
    at = np.s_[..., :begin, :]
    before, after = causally(subject, case), causally(subject, other)
    bounds = (part_of(subject.bound(each), at) for each in (case, other))
    name = "earlier outputs"
    yield alike(subject, name, after[at], before[at], *bounds)


def a_masked_key_might_as_well_be_removed(
    subject, case: AttentionCase
) -> Comparisons:
    """A key that is masked for every query counts for nothing."""
    if subject.limits.square:
        return
    visible = visible_keys(case)
    masked = replace(case, mask=np.broadcast_to(visible, (1, visible.size)))
    fewer = replace(
        case,
        key=case.key[..., visible, :],
        value=case.value[..., visible, :],
        mask=np.ones((1, int(visible.sum())), bool),
    )
    got, other = subject.of(masked), subject.of(fewer)
    bounds = subject.bound(masked), subject.bound(fewer)
    yield alike(subject, "context", got, other, *bounds)


def what_is_behind_the_mask_does_not_matter(
    subject, case: AttentionCase
) -> Comparisons:
    """Other keys and values behind the mask change nothing, to the last
    bit, even if their scores are large."""
    visible = visible_keys(case)
    masked = contiguous(
        replace(case, mask=np.broadcast_to(visible, (1, visible.size)))
    )
    before = subject.of(masked)
    key, value = masked.key.copy(), masked.value.copy()
    # As large as products of this format may be without an overflow.
    most = max(float(np.abs(masked.query).sum(-1).max()), 1)
    size = min(1000, FORMATS[subject.dtype].greatest / 4 / most)
    behind = size * np.sign(masked.query[..., :1, :] + 0.5)
    key[..., ~visible, :] = half_of(behind, subject.dtype)
    value[..., ~visible, :] = -77
    other = replace(masked, key=key, value=value)
    bounds = subject.bound(masked), subject.bound(other)
    known = np.isfinite(bounds[0].error) & np.isfinite(bounds[1].error)
    after = np.where(known, subject.of(other), before)
    yield identical("context", after, before)


def no_mask_is_a_mask_that_allows_all(
    subject, case: AttentionCase
) -> Comparisons:
    """Without a mask, every query may attend to every key."""
    open_case = opened(case)
    got, expected = subject(*case.qkv, None), subject.of(open_case)
    bound = subject.bound(open_case)
    yield alike(subject, "context", got, expected, bound)


def without_a_mask_it_is_causal(
    subject, case: AttentionCase
) -> Comparisons:
    """Without a mask, no query attends to a later key: it makes that mask
    where none is passed."""
    case = causal(case)
    got = subject.of_no_mask(*case.qkv)
    yield near(subject, "context", got, subject.bound(case))


def a_mask_broadcasts(subject, case: AttentionCase) -> Comparisons:
    """A mask with fewer axes or entries is broadcast, as NumPy does it."""
    full = replace(case, mask=case.rows.copy())
    got, expected = subject.of(case), subject.of(full)
    yield alike(subject, "context", got, expected, subject.bound(case))


def token_by_token_is_the_same_as_all_at_once(
    subject, case: AttentionCase
) -> Comparisons:
    """Decoding token by token, with the earlier keys and values kept,
    gives what the whole text gives at once."""
    if subject.limits.square:
        return
    case = causal(case)
    whole, bound = causally(subject, case), subject.bound(case)
    for position in range(case.query.shape[-2]):
        at = np.s_[..., position : position + 1, :]
        step = replace(
            case,
            query=case.query[at],
            key=case.key[..., : position + 1, :],
            value=case.value[..., : position + 1, :],
            mask=causal_mask(1, position + 1, position),
        )
        bounds = subject.bound(step), part_of(bound, at)
        got = subject.of(step)
        yield alike(subject, "one step", got, whole[at], *bounds)


def its_causal_form_counts_from_the_end_of_a_cache(
    subject, case: AttentionCase
) -> Comparisons:
    """With fewer queries than keys, its causal form aligns them with the
    last keys, or with the first, as detected, for any number of them."""
    last = {"the last queries": True, "the first queries": False}
    alignment = subject.conventions.alignment
    case = causal(case)
    tokens = case.query.shape[-2]
    if alignment not in last or tokens < 2:
        return
    begin = tokens - 1 - case.seed % (tokens - 1) if last[alignment] else 0
    end = tokens if last[alignment] else 1 + case.seed % (tokens - 1)
    at = np.s_[..., begin:end, :]
    got = subject.causally(case.query[at], case.key, case.value)
    bound = part_of(subject.bound(case), at)
    yield near(subject, "causal context", got, bound)


# --- order ---------------------------------------------------------------


def keys_have_no_order(subject, case: AttentionCase) -> Comparisons:
    """Keys and values permuted together give the same output, within the
    bounds of both."""
    order = case.random().permutation(case.key.shape[-2])
    moved = replace(
        case,
        key=case.key[..., order, :],
        value=case.value[..., order, :],
        mask=case.rows[..., order],
    )
    got, other = subject.of(moved), subject.of(case)
    yield alike(subject, "context", got, other, subject.bound(case))


def queries_are_answered_one_by_one(
    subject, case: AttentionCase
) -> Comparisons:
    """A query gets the same output in any order of queries, and alone."""
    got, bound = subject.of(case), subject.bound(case)
    order = case.random().permutation(case.query.shape[-2])
    at = np.s_[..., order, :]
    moved = replace(case, query=case.query[at], mask=case.rows[at])
    yield alike(
        subject,
        "queries in another order",
        subject.of(moved),
        got[at],
        part_of(bound, at),
    )
    if not subject.limits.square:
        at = np.s_[..., order[:1], :]
        alone = replace(case, query=case.query[at], mask=case.rows[at])
        output, own = subject.of(alone), part_of(bound, at)
        yield alike(subject, "a query alone", output, got[at], own)


def batch_entries_do_not_meet(subject, case: AttentionCase) -> Comparisons:
    """A batch entry alone, or a head alone, gives the same output."""
    if case.query.ndim == 2:
        return
    got = subject.of(case)
    index = case.seed % len(case.query)
    at = slice(index, index + 1)
    arrays = {name: array[at] for name, array in case.arrays.items()}
    arrays["mask"] = case.rows[at]
    alone = subject.of(AttentionCase(**arrays, seed=case.seed))
    bound = part_of(subject.bound(case), at)
    yield alike(subject, "a batch entry alone", alone, got[at], bound)


def features_have_no_order_and_no_sign(
    subject, case: AttentionCase
) -> Comparisons:
    """Features permuted and negated alike in queries and keys give the
    same output."""
    random, d_head = case.random(), case.query.shape[-1]
    order = random.permutation(d_head)
    signs = random.choice([-1, 1], d_head).astype(case.query.dtype)
    moved = replace(
        case,
        query=case.query[..., order] * signs,
        key=case.key[..., order] * signs,
    )
    got, other = subject.of(moved), subject.of(case)
    yield alike(subject, "context", got, other, subject.bound(case))


def every_key_twice_changes_nothing(
    subject, case: AttentionCase
) -> Comparisons:
    """Every key and its value, given twice, give the same output."""
    if subject.limits.square:
        return
    moved = replace(
        case,
        key=np.concatenate([case.key] * 2, axis=-2),
        value=np.concatenate([case.value] * 2, axis=-2),
        mask=np.concatenate([case.rows] * 2, axis=-1),
    )
    got, other = subject.of(moved), subject.of(case)
    bounds = subject.bound(moved), subject.bound(case)
    yield alike(subject, "context", got, other, *bounds)


def the_memory_layout_does_not_matter(
    subject, case: AttentionCase
) -> Comparisons:
    """Strided and transposed arrays give what their copies give."""
    got, copied = subject.of(case), subject.of(contiguous(case))
    yield alike(subject, "context", got, copied, subject.bound(case))


# --- what is asked -------------------------------------------------------

PROPERTIES = (
    Property(equals_the_definition),
    Property(sizes_beyond_a_tile_are_no_different, inputs=beyond_tiles),
    Property(inputs_of_every_kind_are_no_different, inputs=kinds_of_inputs),
    Property(numbers.inputs_are_left_as_they_were, ("all queries",)),
    Property(
        numbers.answers_do_not_depend_on_calls_before,
        ("all queries",),
        inputs=lambda subject: beyond_tiles(subject)[:2],
    ),
    Property(numbers.called_twice_it_returns_the_same),
    Property(weights_are_a_distribution),
    Property(a_query_of_zeros_gets_the_mean),
    Property(a_scale_that_is_given_takes_the_place_of_the_root, ("scale",)),
    Property(one_score_far_above_the_rest_takes_all),
    Property(large_scores_stay_finite),
    Property(many_keys_are_no_different),
    Property(gradients_are_the_exact_ones, ("gradients",)),
    Property(fewer_key_heads_serve_neighbours, ("fewer key heads",)),
    Property(
        a_boolean_mask_is_zeros_and_minus_infinity, ("booleans", "numbers")
    ),
    Property(a_masked_key_gets_no_weight, ("masks",)),
    Property(its_causal_form_sees_no_later_key, ("causal",)),
    Property(
        its_causal_form_joins_another_mask,
        ("causal", "masks", "both at once"),
    ),
    Property(its_other_mask_hides_what_it_should, ("two masks",)),
    Property(two_masks_hide_what_either_hides, ("two masks",)),
    Property(a_later_token_changes_no_earlier_output, ("causal or masks",)),
    Property(a_masked_key_might_as_well_be_removed, ("masks",)),
    Property(what_is_behind_the_mask_does_not_matter, ("masks",)),
    Property(masks.a_fully_masked_row_gets_zeros, ("masks", "zeros")),
    Property(no_mask_is_a_mask_that_allows_all, ("masks", "no mask")),
    Property(without_a_mask_it_is_causal, ("causal without a mask",)),
    Property(a_mask_broadcasts, ("masks",)),
    Property(
        token_by_token_is_the_same_as_all_at_once, ("causal or masks",)
    ),
    Property(its_causal_form_counts_from_the_end_of_a_cache, ("causal",)),
    Property(keys_have_no_order, ("free masks",)),
    Property(queries_are_answered_one_by_one, ("free masks",)),
    Property(batch_entries_do_not_meet),
    Property(features_have_no_order_and_no_sign),
    Property(every_key_twice_changes_nothing, ("free masks",)),
    Property(the_memory_layout_does_not_matter),
)

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
