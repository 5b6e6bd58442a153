"""What any correct attention does, found without another one beside it.

A property takes a `Subject` and an input, and yields comparisons of what
came with what should have come, each with a bound on how far two correct
evaluations can be apart (`bounds.py`). Its docstring is what a reader is
told when it fails. With the identity for values, the output is the
weights.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import inf, log, sqrt

import numpy as np

from numpy_ref.masks import causal_mask

from .attention_cases import AttentionCase, causal, opened
from .comparing import Comparison, within
from .exact import exact_steps
from .subject import Subject

Found = Iterator[Comparison]
SIDES = ("got", "expected")


@dataclass(frozen=True)
class Property:
    """A claim, and how it is looked at.

    `needs` names what a subject must offer: "masks" of any kind, a
    "causal" form of its own, "no mask" at all, "gradients", "two dtypes".
    """

    check: Callable[[Subject, AttentionCase], Found]
    needs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.check.__name__

    @property
    def claim(self) -> str:
        """The docstring in one line."""
        return " ".join(self.check.__doc__.split("\n\n")[0].split())


PROPERTIES: list[Property] = []


def judged(*needs: str):
    """Put a property on the list."""

    def put(check):
        PROPERTIES.append(Property(check, needs))
        return check

    return put


# --- what the properties are made of ------------------------------------


def steps(case: AttentionCase) -> dict:
    """Scores, weights and context with their errors."""
    return exact_steps("scaled_dot_product_attention", case.arrays)


def error(case: AttentionCase) -> np.ndarray:
    """How far a correct output may be from the exact one: T."""
    return steps(case)["context"].error


def same(path: str, got, expected, bound) -> Comparison:
    return replace(within(path, got, expected, bound), sides=SIDES)


def identical(path: str, got, expected) -> Comparison:
    """Bit for bit, but for the sign of a zero."""
    return same(path, got, expected, np.zeros(np.shape(got)))


def with_identity(case: AttentionCase, one_width: bool) -> AttentionCase:
    """The identity for values; keys as wide, where they must be.

    Zeros behind the features of queries and keys change no product; the
    queries make up for the root of a larger width.
    """
    keys, d_head = case.key.shape[-2:]
    dtype, query, key = case.value.dtype, case.query, case.key
    width = keys
    if one_width and keys < d_head:
        width = d_head
    if one_width and keys > d_head:
        behind = [(0, 0)] * (key.ndim - 1) + [(0, keys - d_head)]
        root = np.sqrt(np.asarray(keys / d_head, dtype))
        query, key = np.pad(query * root, behind), np.pad(key, behind)
    value = np.broadcast_to(
        np.eye(keys, width, dtype=dtype), (*key.shape[:-2], keys, width)
    )
    return replace(case, query=query, key=key, value=value.copy())


def weights(subject: Subject, case: AttentionCase):
    """The weights that are read off, the case, and their error."""
    asked = with_identity(case, subject.conventions.limits.one_width)
    keys = case.key.shape[-2]
    return subject.of(asked)[..., :keys], asked, error(asked)[..., :keys]


def hidden_keys(case: AttentionCase) -> np.ndarray:
    """Some keys, not all, True where they are to be seen."""
    keys = case.key.shape[-2]
    seen = case.random().uniform(size=keys) < 0.6
    seen[case.seed % keys] = True
    return seen


# --- the properties ------------------------------------------------------


@judged()
def equals_the_definition(subject: Subject, case: AttentionCase) -> Found:
    """The output is softmax(Q Kᵀ / √d) V over the allowed keys."""
    exact = steps(case)["context"]
    yield same("context", subject.of(case), exact.value, exact.error)


@judged()
def inputs_are_left_as_they_were(
    subject: Subject, case: AttentionCase
) -> Found:
    """Query, key, value and mask are the same after the call."""
    before = {name: array.copy() for name, array in case.arrays.items()}
    subject.of(case)
    for name, array in case.arrays.items():
        yield identical(name, array * 1.0, before[name] * 1.0)


@judged()
def asked_twice_it_answers_the_same(
    subject: Subject, case: AttentionCase
) -> Found:
    """The same input gives the same output: nothing is left to chance."""
    yield identical("context", subject.of(case), subject.of(case))


@judged()
def weights_are_a_distribution(
    subject: Subject, case: AttentionCase
) -> Found:
    """The weights of a query are not negative, and their sum is 1."""
    found, _, bound = weights(subject, case)
    asks = case.rows.any(axis=-1)
    negative = np.where(asks[..., None], np.minimum(found, 0), 0)
    yield identical("negative weights", negative, np.zeros_like(negative))
    u = np.finfo(found.dtype).eps / 2
    keys = found.shape[-1]
    sums = np.where(asks, found.astype(float).sum(axis=-1), 1)
    slack = bound.sum(axis=-1) + 2 * (keys + 2) * u
    yield same("sums of weights", sums, np.ones_like(sums), slack)


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
    before, after = (_causally(subject, one) for one in (asked, other))
    bound = 2 * error(asked)[..., :begin, :]
    yield same(
        "earlier outputs",
        after[..., :begin, :],
        before[..., :begin, :],
        bound,
    )


def _causally(subject: Subject, case: AttentionCase) -> np.ndarray:
    """By a mask where one can be given, else by its own causal form."""
    if subject.conventions.takes_masks:
        return subject.of(case)
    return subject.causally(case.query, case.key, case.value)


@judged()
def an_output_lies_between_the_values(
    subject: Subject, case: AttentionCase
) -> Found:
    """An output is a mean: between the least and the greatest of the
    values that its query may see."""
    got = subject.of(case)
    rows, value = case.rows[..., None], case.value[..., None, :, :]
    least = np.where(rows, value, inf).min(axis=-2)
    greatest = np.where(rows, value, -inf).max(axis=-2)
    asks = case.rows.any(axis=-1, keepdims=True)
    clipped = np.where(asks, np.clip(got, least, greatest), got)
    yield same("context", got, clipped, error(case))


@judged("free masks")
def keys_have_no_order(subject: Subject, case: AttentionCase) -> Found:
    """Keys and values in another order, together: the same output."""
    order = case.random().permutation(case.key.shape[-2])
    moved = replace(
        case,
        key=case.key[..., order, :],
        value=case.value[..., order, :],
        mask=case.rows[..., order],
    )
    bound = error(case) + error(moved)
    yield same("context", subject.of(moved), subject.of(case), bound)


@judged("free masks")
def queries_are_answered_one_by_one(
    subject: Subject, case: AttentionCase
) -> Found:
    """A query gets the same answer in any order, and alone."""
    got, bound = subject.of(case), 2 * error(case)
    order = case.random().permutation(case.query.shape[-2])
    moved = replace(
        case, query=case.query[..., order, :], mask=case.rows[..., order, :]
    )
    yield same(
        "queries in another order",
        subject.of(moved),
        got[..., order, :],
        bound[..., order, :],
    )
    if not subject.conventions.limits.square:
        at = np.s_[..., order[:1], :]
        alone = replace(case, query=case.query[at], mask=case.rows[at])
        yield same("a query alone", subject.of(alone), got[at], bound[at])


@judged()
def batch_entries_do_not_meet(
    subject: Subject, case: AttentionCase
) -> Found:
    """A batch entry alone, and a head alone, gives the same output."""
    if case.query.ndim == 2:
        return
    got, bound = subject.of(case), 2 * error(case)
    place = case.seed % len(case.query)
    at = slice(place, place + 1)
    arrays = {name: array[at] for name, array in case.arrays.items()}
    arrays["mask"] = case.rows[at]
    alone = subject.of(AttentionCase(**arrays, seed=case.seed))
    yield same("a batch entry alone", alone, got[at], bound[at])


@judged()
def a_query_of_zeros_gets_the_mean(
    subject: Subject, case: AttentionCase
) -> Found:
    """A query of zeros gets the mean of the values it may see."""
    asked = replace(case, query=np.zeros_like(case.query))
    rows = case.rows
    count = np.maximum(rows.sum(axis=-1, keepdims=True), 1)
    value = case.value.astype(np.float64)
    mean = np.einsum("...qk,...kv->...qv", rows / count, value)
    yield same("context", subject.of(asked), mean, 2 * error(asked))


@judged()
def a_constant_added_to_every_key_changes_nothing(
    subject: Subject, case: AttentionCase
) -> Found:
    """A vector added to all keys alike moves all scores of a query
    alike, and softmax does not see that."""
    shift = case.key[..., :1, :] + case.key.dtype.type(0.7)
    moved = replace(case, key=case.key + shift)
    u = np.finfo(case.key.dtype).eps / 2
    sums = np.abs(case.query.astype(float)).sum(axis=-1).max()
    rounded = sums * np.abs(moved.key).max() * np.abs(case.value).max()
    bound = error(case) + error(moved) + 4 * u * float(rounded)
    yield same("context", subject.of(moved), subject.of(case), bound)


@judged()
def values_are_averaged_linearly(
    subject: Subject, case: AttentionCase
) -> Found:
    """Twice the values and one more is twice the output and one more."""
    moved = replace(case, value=2 * case.value + 1)
    asks = case.rows.any(axis=-1, keepdims=True)
    got = subject.of(case)
    expected = 2 * got.astype(np.float64) + 1
    u = np.finfo(got.dtype).eps / 2
    largest = 2 * np.abs(case.value).max() + 1
    bound = error(moved) + 2 * error(case) + 4 * u * float(largest)
    came = np.where(asks, subject.of(moved), expected)
    yield same("context", came, expected, bound)


@judged()
def powers_of_two_only_move_the_exponent(
    subject: Subject, case: AttentionCase
) -> Found:
    """Values times 8 give the output times 8; queries times 4 with keys
    over 4, and both negated, give the same: to the last bit."""
    plain = _contiguous(case)
    got = subject.of(plain)
    louder = replace(plain, value=plain.value * 8)
    yield identical("values times 8", subject.of(louder), got * 8)
    shifted = replace(plain, query=plain.query * 4, key=plain.key / 4)
    yield identical("queries times 4", subject.of(shifted), got)
    negated = replace(plain, query=-plain.query, key=-plain.key)
    yield identical("both negated", subject.of(negated), got)


def _contiguous(case: AttentionCase) -> AttentionCase:
    """Copies that lie alike in memory."""
    return AttentionCase(
        **{n: np.ascontiguousarray(a) for n, a in case.arrays.items()},
        seed=case.seed,
    )


@judged()
def features_have_no_order_and_no_sign(
    subject: Subject, case: AttentionCase
) -> Found:
    """Features of queries and keys, permuted and negated alike: the same
    output."""
    random, d_head = case.random(), case.query.shape[-1]
    order = random.permutation(d_head)
    signs = random.choice([-1, 1], d_head).astype(case.query.dtype)
    moved = replace(
        case,
        query=case.query[..., order] * signs,
        key=case.key[..., order] * signs,
    )
    yield same(
        "context", subject.of(moved), subject.of(case), 2 * error(case)
    )


@judged("free masks")
def the_scale_is_one_over_the_root(
    subject: Subject, case: AttentionCase
) -> Found:
    """log(p₁ / p₀) is q · (k₁ - k₀) / √d: what the scale really is."""
    found, asked, bound = weights(subject, opened(case))
    exact = steps(asked)
    known = exact["weights"].value > 4 * bound  # not lost in rounding
    first = np.take_along_axis(
        found, exact["scores"].value.argmax(-1)[..., None], -1
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(found.astype(float)) - np.log(first.astype(float))
        off = bound / (exact["weights"].value - bound)
    scores = exact["scores"].value
    expected = scores - scores.max(axis=-1, keepdims=True)
    ratio = np.where(known, ratio, expected)
    slack = np.where(
        known,
        2 * off + off.max(-1, keepdims=True, where=known, initial=0),
        0,
    )
    yield same("log(p / greatest p)", ratio, expected, slack)


@judged()
def one_score_far_above_the_rest_takes_all(
    subject: Subject, case: AttentionCase
) -> Found:
    """With one score far above the others, the output is its value."""
    sharp = replace(case, query=case.query * 40)
    rows = case.rows
    exact = steps(sharp)
    scores = np.where(rows, exact["scores"].value, -inf)
    best = scores.argmax(axis=-1)[..., None]
    others = scores.copy()
    np.put_along_axis(others, best, -inf, axis=-1)
    sees = rows.any(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        gap = scores.max(axis=-1) - others.max(axis=-1)
    gap = np.where(sees[..., 0], gap, inf)
    gap = gap - 2 * exact["scores"].error.max(axis=-1)
    value = np.take_along_axis(case.value, best, axis=-2)
    keys = case.key.shape[-2]
    spread = float(np.ptp(case.value)) if case.value.size else 0.0
    left = (keys - 1) * np.exp(-np.maximum(gap, 0)) * spread
    got = subject.of(sharp)
    expected = np.where(sees, value, got)
    yield same("context", got, expected, left[..., None] + error(sharp))


@judged()
def large_scores_stay_finite(
    subject: Subject, case: AttentionCase
) -> Found:
    """Scores of many thousands overflow nowhere, and where all are far
    below zero a query still gets a mean of its values."""
    for sign in (1, -1):
        # A first feature that gives every score of a query the same.
        query, key = case.query.copy(), case.key.copy()
        query[..., 0], key[..., 0] = 3e3, sign * 1e2
        asked = replace(case, query=query, key=key)
        exact = steps(asked)["context"]
        yield same(
            f"scores of about {sign * 3e5 / sqrt(query.shape[-1]):.0f}",
            subject.of(asked),
            exact.value,
            exact.error,
        )


@judged("free masks")
def every_key_twice_changes_nothing(
    subject: Subject, case: AttentionCase
) -> Found:
    """Each key and its value twice: the same output."""
    if subject.conventions.limits.square:
        return
    moved = replace(
        case,
        key=np.concatenate([case.key] * 2, axis=-2),
        value=np.concatenate([case.value] * 2, axis=-2),
        mask=np.concatenate([case.rows] * 2, axis=-1),
    )
    bound = error(case) + error(moved)
    yield same("context", subject.of(moved), subject.of(case), bound)


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
    masked = _contiguous(
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


@judged()
def many_keys_are_no_different(
    subject: Subject, case: AttentionCase
) -> Found:
    """With more keys than a block of any algorithm has, with the first of
    them hidden, and with all scores far below zero, the output is still
    that of the definition."""
    random, dtype = case.random(), case.query.dtype
    tokens = int(random.choice([17, 33, 65, 129, 300]))
    limits = subject.conventions.limits
    queries = tokens if limits.square else case.query.shape[-2]
    batch, d_head = case.query.shape[:-2], case.query.shape[-1]
    query, key, value = (
        random.normal(size=(*batch, *shape)).astype(dtype)
        for shape in (
            (queries, d_head),
            (tokens, d_head),
            (tokens, case.value.shape[-1]),
        )
    )
    mask = np.ones((queries, tokens), bool)
    if "causal" not in limits.masks:
        hidden = 0
    elif subject.conventions.takes_masks:
        hidden = tokens // 2
    else:
        hidden, mask = 0, np.tri(tokens, dtype=bool)
    mask[:, :hidden] = False
    for level in (0, -200):
        # A first feature that moves all scores by as much.
        query[..., 0], key[..., 0] = 8, level / 24 * sqrt(d_head)
        asked = AttentionCase(3 * query, key, value, mask, case.seed)
        exact = steps(asked)["context"]
        yield same(
            f"context, scores of about {level}",
            subject.of(asked),
            exact.value,
            exact.error,
        )


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
    whole = _causally(subject, asked)
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


@judged("two dtypes")
def float32_is_near_to_float64(
    subject: Subject, case: AttentionCase
) -> Found:
    """In float64 the same numbers give the same, to a bound."""
    narrow = AttentionCase(
        **{n: _as(a, np.float32) for n, a in case.arrays.items()}
    )
    wide = AttentionCase(
        **{n: _as(a, np.float64) for n, a in narrow.arrays.items()}
    )
    bound = error(narrow) + error(wide)
    got, expected = subject.of(narrow), subject.of(wide)
    yield same("context", got, expected, bound)


def _as(array: np.ndarray, dtype) -> np.ndarray:
    return array if array.dtype == bool else array.astype(dtype)


@judged()
def how_arrays_lie_in_memory_does_not_matter(
    subject: Subject, case: AttentionCase
) -> Found:
    """Strided and transposed arrays give what their copies give."""
    got, copied = subject.of(case), subject.of(_contiguous(case))
    yield same("context", got, copied, 2 * error(case))


@judged("gradients")
def gradients_obey_their_identities(
    subject: Subject, case: AttentionCase
) -> Found:
    """Gradients of keys sum to 0 over the keys, those of values to those
    of the outputs; ⟨dQ, Q⟩ = ⟨dK, K⟩; a key that no one sees has none."""
    upstream = case.random().integers(
        -3, 4, (*case.query.shape[:-1], case.value.shape[-1])
    )
    upstream = upstream.astype(case.query.dtype)
    exact = exact_steps(
        "scaled_dot_product_attention_backward",
        {"d_context": upstream} | case.arrays,
    )
    d_query, d_key, d_value = subject.backward(upstream, **case.arrays)
    u = np.finfo(case.query.dtype).eps / 2

    def off(name, of):
        return exact[f"d_{name}"].error + 8 * u * np.abs(of.astype(float))

    keys = d_key.astype(float).sum(axis=-2)
    yield same(
        "sum of d_key", keys, np.zeros_like(keys), off("key", d_key).sum(-2)
    )
    asks = case.rows.any(axis=-1, keepdims=True)
    answers = np.where(asks, upstream, 0).astype(float).sum(axis=-2)
    yield same(
        "sum of d_value",
        d_value.astype(float).sum(axis=-2),
        answers,
        off("value", d_value).sum(-2) + 8 * u * np.abs(answers),
    )
    along = [
        (gradient.astype(float) * array).sum()
        for gradient, array in ((d_query, case.query), (d_key, case.key))
    ]
    slack = sum(
        (off(name, gradient) * np.abs(array)).sum()
        for name, gradient, array in (
            ("query", d_query, case.query),
            ("key", d_key, case.key),
        )
    )
    yield same("<dQ, Q> and <dK, K>", along[0], along[1], slack)
    unseen = ~case.rows.any(axis=-2)
    unseen = np.broadcast_to(unseen, d_key.shape[:-1])
    yield identical("d_key unseen", d_key[unseen], d_key[unseen] * 0)
    yield identical("d_value unseen", d_value[unseen], d_value[unseen] * 0)


def offered(subject: Subject, one: Property) -> bool:
    """Whether the subject has what a property needs."""
    conventions = subject.conventions
    has = {
        "masks": conventions.takes_masks,
        "free masks": "causal" not in conventions.limits.masks
        or conventions.takes_masks,
        "causal": subject.causal is not None,
        "causal or masks": conventions.takes_masks
        or subject.causal is not None,
        "both at once": conventions.causal_and_mask == "both at once",
        "zeros": conventions.blocked_row == "zeros",
        "no mask": conventions.mask != "always asked for",
        "gradients": subject.backward is not None,
        "two dtypes": len(conventions.limits.dtypes) > 1,
    }
    return all(has[need] for need in one.needs)
