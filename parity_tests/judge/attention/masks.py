"""Properties of masks: boolean, causal, padding, and fully masked rows."""

from dataclasses import replace
from functools import reduce
from math import inf, log

import numpy as np

from numpy_ref.masks import causal_mask
from parity_tests.judge.subject.cases import AttentionCase, causal, opened

from .property import (
    Comparisons,
    Property,
    causally,
    contiguous,
    identical,
    part_of,
    read_weights,
    steps,
    visible_keys,
)


def a_weight_is_positive_where_the_mask_allows(
    subject, case: AttentionCase
) -> Comparisons:
    """A weight is 0 where the mask forbids attention, and positive where
    it allows it, unless exp underflows."""
    weights, identity, _ = read_weights(subject, case)
    scores = steps(subject, identity)["scores"]
    rows = case.rows
    highest = np.where(rows, scores.value, -inf).max(-1, keepdims=True)
    depth = highest - scores.value + 2 * scores.error.max(initial=0)
    lowest = -log(np.finfo(weights.dtype).tiny) - log(weights.shape[-1] + 1)
    certain = rows & (depth < lowest)
    sees_any = rows.any(-1, keepdims=True)
    forbidden = np.where(sees_any & ~rows, weights, 0)
    yield identical(
        "forbidden weights", forbidden, np.zeros_like(forbidden)
    )
    positive = np.where(certain, (weights > 0).astype(float), 1.0)
    yield identical("allowed weights > 0", positive, np.ones_like(positive))


def its_causal_form_sees_no_later_key(
    subject, case: AttentionCase
) -> Comparisons:
    """In its causal form, query i sees the keys up to i, and no others."""
    case = causal(case)
    got, exact = subject.causally(*case.qkv), subject.exact(case)
    yield subject.near("causal context", got, exact)


def its_causal_form_joins_another_mask(
    subject, case: AttentionCase
) -> Comparisons:
    """The causal mask and another one together allow what both allow."""
    case = causal(case)
    tokens = case.query.shape[-2]
    other = case.random().uniform(size=(tokens, tokens)) < 0.6
    other |= np.eye(tokens, dtype=bool)
    exact = subject.exact(replace(case, mask=case.mask & other))
    got = subject.causally(*case.qkv, other)
    yield subject.near("causal context", got, exact)


def its_other_mask_hides_what_it_should(
    subject, case: AttentionCase
) -> Comparisons:
    """Where it takes two masks, the other one, alone, hides what it
    should."""
    for name, mask in subject.random_masks(case).items():
        if name != subject.mask:
            yield from equals_the_definition_with(
                subject, case, {name: mask}
            )


def two_masks_hide_what_either_hides(
    subject, case: AttentionCase
) -> Comparisons:
    """With two masks at once, a token is attended to where both allow
    it."""
    yield from equals_the_definition_with(
        subject, case, subject.random_masks(case)
    )


def equals_the_definition_with(
    subject, case: AttentionCase, masks: dict
) -> Comparisons:
    """With these masks, by their names, it attends to what all allow."""
    visible = reduce(np.logical_and, masks.values())
    exact = subject.exact(replace(case, mask=visible))
    got = subject.with_masks(*case.qkv, masks)
    yield subject.near("context", got, exact)


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
    both = (part_of(subject.exact(each), at) for each in (case, other))
    yield subject.alike("earlier outputs", after[at], before[at], *both)


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
    both = subject.exact(masked), subject.exact(fewer)
    yield subject.alike("context", got, other, *both)


def what_is_behind_the_mask_does_not_matter(
    subject, case: AttentionCase
) -> Comparisons:
    """Other keys and values behind the mask change nothing, to the last
    bit, even if their scores are very large."""
    visible = visible_keys(case)
    masked = contiguous(
        replace(case, mask=np.broadcast_to(visible, (1, visible.size)))
    )
    before = subject.of(masked)
    key, value = masked.key.copy(), masked.value.copy()
    # Products of at most 2^14, which any format holds.
    most = max(float(np.abs(masked.query).sum(axis=-1).max()), 1)
    signs = np.sign(masked.query[..., :1, :] + 0.5)
    key[..., ~visible, :] = subject.held(min(1000, 2**14 / most) * signs)
    value[..., ~visible, :] = -77
    other = replace(masked, key=key, value=value)
    error = subject.exact(masked).error + subject.exact(other).error
    after = np.where(np.isfinite(error), subject.of(other), before)
    yield identical("context", after, before)


def a_fully_masked_row_gets_zeros(
    subject, case: AttentionCase
) -> Comparisons:
    """A fully masked row gets zeros, whichever row it is. (Any other
    convention is reported, and is no failure.)"""
    mask = case.rows.copy()
    mask[..., case.seed % mask.shape[-2], :] = False
    fully_masked = ~mask.any(axis=-1, keepdims=True)
    got = subject.of(replace(case, mask=mask))
    rows = np.where(fully_masked, got, 0)
    yield identical("fully masked rows", rows, np.zeros_like(rows))


def no_mask_is_a_mask_that_allows_all(
    subject, case: AttentionCase
) -> Comparisons:
    """Without a mask, every query may attend to every key."""
    open_case = opened(case)
    got, expected = subject(*case.qkv, None), subject.of(open_case)
    yield subject.alike("context", got, expected, subject.exact(open_case))


def without_a_mask_it_is_causal(
    subject, case: AttentionCase
) -> Comparisons:
    """Without a mask, no query attends to a later key: it makes that mask
    where none is passed."""
    case = causal(case)
    got = subject.of_no_mask(*case.qkv)
    yield subject.near("context", got, subject.exact(case))


def a_mask_broadcasts(subject, case: AttentionCase) -> Comparisons:
    """A mask with fewer axes or entries is broadcast, as NumPy does it."""
    full = replace(case, mask=case.rows.copy())
    got, expected = subject.of(case), subject.of(full)
    yield subject.alike("context", got, expected, subject.exact(case))


def token_by_token_is_the_same_as_all_at_once(
    subject, case: AttentionCase
) -> Comparisons:
    """Decoding token by token, with the earlier keys and values cached,
    gives what the whole text gives at once."""
    if subject.limits.square:
        return
    case = causal(case)
    whole, exact = causally(subject, case), subject.exact(case)
    for position in range(case.query.shape[-2]):
        at = np.s_[..., position : position + 1, :]
        step = replace(
            case,
            query=case.query[at],
            key=case.key[..., : position + 1, :],
            value=case.value[..., : position + 1, :],
            mask=causal_mask(1, position + 1, position),
        )
        both = subject.exact(step), part_of(exact, at)
        yield subject.alike("one step", subject.of(step), whole[at], *both)


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
    exact = part_of(subject.exact(case), at)
    got = subject.causally(case.query[at], case.key, case.value)
    yield subject.near("causal context", got, exact)


PROPERTIES = (
    Property(a_weight_is_positive_where_the_mask_allows, ("masks",)),
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
    Property(a_fully_masked_row_gets_zeros, ("masks", "zeros")),
    Property(no_mask_is_a_mask_that_allows_all, ("masks", "no mask")),
    Property(without_a_mask_it_is_causal, ("causal without a mask",)),
    Property(a_mask_broadcasts, ("masks",)),
    Property(
        token_by_token_is_the_same_as_all_at_once, ("causal or masks",)
    ),
    Property(its_causal_form_counts_from_the_end_of_a_cache, ("causal",)),
)
