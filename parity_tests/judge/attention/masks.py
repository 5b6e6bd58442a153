"""What a mask does to attention, and what a causal form is."""

from dataclasses import replace
from math import inf, log

import numpy as np

from numpy_ref.masks import causal_mask
from parity_tests.judge.subject.cases import AttentionCase, causal, opened
from parity_tests.judge.subject.protocol import Subject

from .property import (
    Found,
    causally,
    contiguous,
    error,
    hidden_keys,
    identical,
    judged,
    same,
    steps,
    weights,
)


@judged("masks")
def a_weight_is_positive_where_the_mask_allows(
    subject: Subject, case: AttentionCase
) -> Found:
    """A weight is 0 where the mask forbids, and positive where it
    allows, as long as exp does not underflow."""
    found, asked, _ = weights(subject, case)
    scores = steps(asked)["scores"]
    rows = case.rows
    highest = np.where(rows, scores.value, -inf).max(-1, keepdims=True)
    depth = highest - scores.value + 2 * scores.error.max(initial=0)
    lowest = -log(np.finfo(found.dtype).tiny) - log(found.shape[-1] + 1)
    certain = rows & (depth < lowest)
    asks = rows.any(-1, keepdims=True)
    forbidden = np.where(asks & ~rows, found, 0)
    yield identical("forbidden weights", forbidden, forbidden * 0.0)
    positive = np.where(certain, (found > 0).astype(float), 1.0)
    yield identical("allowed weights > 0", positive, np.ones_like(positive))


@judged("causal")
def its_causal_form_sees_no_later_key(
    subject: Subject, case: AttentionCase
) -> Found:
    """Its causal form gives query i the keys up to i, and no others."""
    asked = causal(case)
    exact = steps(asked)["context"]
    got = subject.causally(asked.query, asked.key, asked.value)
    yield same("causal context", got, exact.value, exact.error)


@judged("causal", "masks", "both at once")
def its_causal_form_joins_another_mask(
    subject: Subject, case: AttentionCase
) -> Found:
    """Causal and another mask together allow what both allow."""
    asked = causal(case)
    tokens = asked.query.shape[-2]
    other = case.random().uniform(size=(tokens, tokens)) < 0.6
    other |= np.eye(tokens, dtype=bool)
    exact = steps(replace(asked, mask=asked.mask & other))["context"]
    got = subject.causally(asked.query, asked.key, asked.value, other)
    yield same("causal context", got, exact.value, exact.error)


@judged("causal or masks")
def a_later_token_changes_no_earlier_output(
    subject: Subject, case: AttentionCase
) -> Found:
    """Under a causal mask, what comes later changes nothing before."""
    asked = causal(case)
    tokens = asked.query.shape[-2]
    begin = case.seed % tokens
    other = replace(asked, key=asked.key.copy(), value=asked.value.copy())
    other.key[..., begin:, :] = -3 * asked.key[..., begin:, :]
    other.value[..., begin:, :] = 2 - asked.value[..., begin:, :]
    before, after = (causally(subject, one) for one in (asked, other))
    bound = 2 * error(asked)[..., :begin, :]
    yield same(
        "earlier outputs",
        after[..., :begin, :],
        before[..., :begin, :],
        bound,
    )


@judged("masks")
def a_masked_key_might_as_well_be_removed(
    subject: Subject, case: AttentionCase
) -> Found:
    """A key that no query may see does not count at all."""
    if subject.conventions.limits.square:
        return
    seen = hidden_keys(case)
    masked = replace(case, mask=np.broadcast_to(seen, (1, seen.size)))
    fewer = replace(
        case,
        key=case.key[..., seen, :],
        value=case.value[..., seen, :],
        mask=np.ones((1, int(seen.sum())), bool),
    )
    bound = error(masked) + error(fewer)
    yield same("context", subject.of(masked), subject.of(fewer), bound)


@judged("masks")
def what_is_behind_the_mask_does_not_matter(
    subject: Subject, case: AttentionCase
) -> Found:
    """Other keys and values behind the mask, also such with very large
    scores, change nothing, to the last bit."""
    seen = hidden_keys(case)
    masked = contiguous(
        replace(case, mask=np.broadcast_to(seen, (1, seen.size)))
    )
    before = subject.of(masked)
    key, value = masked.key.copy(), masked.value.copy()
    key[..., ~seen, :] = 1000 * np.sign(masked.query[..., :1, :] + 0.5)
    value[..., ~seen, :] = -77
    after = subject.of(replace(masked, key=key, value=value))
    yield identical("context", after, before)


@judged("masks", "zeros")
def a_query_without_a_key_gets_zeros(
    subject: Subject, case: AttentionCase
) -> Found:
    """Every query that may attend to nothing gets zeros, where the first
    one did; another policy is reported, and not asked for again."""
    mask = case.rows.copy()
    mask[..., case.seed % mask.shape[-2], :] = False
    blocked = ~mask.any(axis=-1, keepdims=True)
    got = subject.of(replace(case, mask=mask))
    left = np.where(blocked, got, 0)
    yield identical("rows without a key", left, np.zeros_like(left))


@judged("masks", "no mask")
def no_mask_is_a_mask_that_allows_all(
    subject: Subject, case: AttentionCase
) -> Found:
    """Without a mask all may attend to all."""
    asked = opened(case)
    got = subject(case.query, case.key, case.value, None)
    bound = 2 * error(asked)
    yield same("context", got, subject.of(asked), bound)


@judged("masks")
def a_mask_broadcasts(subject: Subject, case: AttentionCase) -> Found:
    """A mask of fewer axes or entries is that mask repeated."""
    full = replace(case, mask=case.rows.copy())
    yield same(
        "context", subject.of(case), subject.of(full), 2 * error(case)
    )


@judged("causal or masks")
def token_by_token_is_the_same_as_all_at_once(
    subject: Subject, case: AttentionCase
) -> Found:
    """A token that is written with the earlier keys kept gets what it
    gets in the whole text."""
    if subject.conventions.limits.square:
        return
    asked = causal(case)
    whole = causally(subject, asked)
    for place in range(asked.query.shape[-2]):
        step = replace(
            asked,
            query=asked.query[..., place : place + 1, :],
            key=asked.key[..., : place + 1, :],
            value=asked.value[..., : place + 1, :],
            mask=causal_mask(1, place + 1, place),
        )
        at = np.s_[..., place : place + 1, :]
        bound = error(asked)[at] + error(step)
        yield same("one step", subject.of(step), whole[at], bound)


@judged("causal")
def its_causal_form_counts_from_the_end_of_a_cache(
    subject: Subject, case: AttentionCase
) -> Found:
    """With fewer queries than keys, its causal form takes them for the
    last ones, or for the first, as found; and for nothing else."""
    last = {"the last queries": True, "the first queries": False}
    alignment = subject.conventions.alignment
    asked = causal(case)
    tokens = asked.query.shape[-2]
    if alignment not in last or tokens < 2:
        return
    begin = tokens - 1 - case.seed % (tokens - 1) if last[alignment] else 0
    end = tokens if last[alignment] else 1 + case.seed % (tokens - 1)
    part = np.s_[..., begin:end, :]
    exact = steps(asked)["context"]
    got = subject.causally(asked.query[part], asked.key, asked.value)
    yield same("causal context", got, exact.value[part], exact.error[part])
