"""Properties of attention's numbers: mean, scale, limits, rounding."""

from dataclasses import replace
from math import inf, sqrt

import numpy as np

from parity_tests.judge.subject.cases import (
    AttentionCase,
    beyond_a_tile,
    normal_arrays,
    opened,
)
from parity_tests.judge.verdict.property import CALLS_IN_A_ROW

from .property import (
    Comparisons,
    Property,
    contiguous,
    equals_exact,
    error,
    exact_of,
    identical,
    read_weights,
    same,
    steps,
)


def equals_the_definition(subject, case: AttentionCase) -> Comparisons:
    """The output is softmax(Q Kᵀ / √d) V over the allowed keys."""
    if subject.limits.narrow:
        case = in_16_bits(case, subject.limits.narrow)
    exact = subject.exact(case)
    yield equals_exact("context", subject.of(case), exact)


def in_16_bits(case: AttentionCase, narrow: str) -> AttentionCase:
    """The case with numbers that a type of 16 bits holds exactly."""
    arrays = (rounded_to(array, narrow) for array in case.qkv)
    return AttentionCase(*arrays, case.mask, case.seed)


def rounded_to(array: np.ndarray, narrow: str) -> np.ndarray:
    """float32 numbers, cut to the digits of 16 bits."""
    if narrow == "float16":
        return array.astype(np.float16).astype(np.float32)
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    return (bits & np.uint32(0xFFFF0000)).view(np.float32)


def sizes_beyond_a_tile_are_no_different(
    subject, case: AttentionCase
) -> Comparisons:
    """Past 32, 64 and 128 queries, keys or features, as at the borders of
    a tile, the output is that of the definition."""
    yield from equals_the_definition(subject, case)


def inputs_are_left_as_they_were(
    subject, case: AttentionCase
) -> Comparisons:
    """Query, key, value and masks are unchanged after the call."""
    for name, (before, after) in subject.inputs_after(case).items():
        yield identical(name, after * 1.0, before * 1.0)
    if subject.two_masks:
        masks = subject.random_masks(case)
        inputs = subject.inputs_after(case, masks).items()
        for name, (before, after) in inputs:
            yield identical(name, after * 1.0, before * 1.0)


def answers_do_not_depend_on_calls_before(
    subject, case: AttentionCase
) -> Comparisons:
    """The same input gets the same answer, however often, and new numbers
    in the same arrays get an answer of their own."""
    first = subject.of(case)
    for _ in range(CALLS_IN_A_ROW):
        yield identical("context", subject.of(case), first)
    key = np.flip(case.key, -2).copy()
    turned = replace(case, query=-case.query, key=key, value=case.value + 1)
    again = subject.after_itself(case, turned)
    yield identical("new numbers", again, subject.of(turned))


def called_twice_it_returns_the_same(
    subject, case: AttentionCase
) -> Comparisons:
    """The same input gives the same output: nothing in it is random."""
    yield identical("context", subject.of(case), subject.of(case))


def weights_are_a_distribution(subject, case: AttentionCase) -> Comparisons:
    """The weights of a query are not negative, and they sum to 1."""
    weights, _, bound = read_weights(subject, case)
    sees_any = case.rows.any(axis=-1)
    negative = np.where(sees_any[..., None], np.minimum(weights, 0), 0)
    yield identical("negative weights", negative, np.zeros_like(negative))
    u = np.finfo(weights.dtype).eps / 2
    keys = weights.shape[-1]
    sums = np.where(sees_any, weights.astype(float).sum(axis=-1), 1)
    slack = bound.sum(axis=-1) + 2 * (keys + 2) * u
    yield same("sums of weights", sums, np.ones_like(sums), slack)


def an_output_lies_between_the_values(
    subject, case: AttentionCase
) -> Comparisons:
    """An output is a mean: it lies between the least and the greatest of
    the values that its query may attend to."""
    got = subject.of(case)
    rows, value = case.rows[..., None], case.value[..., None, :, :]
    least = np.where(rows, value, inf).min(axis=-2)
    greatest = np.where(rows, value, -inf).max(axis=-2)
    sees_any = case.rows.any(axis=-1, keepdims=True)
    clipped = np.where(sees_any, np.clip(got, least, greatest), got)
    yield same("context", got, clipped, error(subject, case))


def a_query_of_zeros_gets_the_mean(
    subject, case: AttentionCase
) -> Comparisons:
    """A query of zeros gets the mean of the values it may attend to."""
    zero_query = replace(case, query=np.zeros_like(case.query))
    count = np.maximum(case.rows.sum(axis=-1, keepdims=True), 1)
    value = case.value.astype(np.float64)
    mean = np.einsum("...qk,...kv->...qv", case.rows / count, value)
    got, bound = subject.of(zero_query), 2 * error(subject, zero_query)
    yield same("context", got, mean, bound)


def a_constant_added_to_every_key_changes_nothing(
    subject, case: AttentionCase
) -> Comparisons:
    """A vector added to every key moves all scores of a query alike, and
    softmax does not see that."""
    shift = case.key[..., :1, :] + case.key.dtype.type(0.7)
    moved = replace(case, key=case.key + shift)
    u = np.finfo(case.key.dtype).eps / 2
    sums = np.abs(case.query.astype(float)).sum(axis=-1).max()
    rounded = sums * np.abs(moved.key).max() * np.abs(case.value).max()
    bound = (
        error(subject, case)
        + error(subject, moved)
        + 4 * u * float(rounded)
    )
    yield same("context", subject.of(moved), subject.of(case), bound)


def values_are_averaged_linearly(
    subject, case: AttentionCase
) -> Comparisons:
    """Doubling the values and adding 1 doubles the output and adds 1."""
    moved = replace(case, value=2 * case.value + 1)
    sees_any = case.rows.any(axis=-1, keepdims=True)
    got = subject.of(case)
    expected = 2 * got.astype(np.float64) + 1
    u = np.finfo(got.dtype).eps / 2
    largest = 2 * np.abs(case.value).max() + 1
    bound = (
        error(subject, moved)
        + 2 * error(subject, case)
        + 4 * u * float(largest)
    )
    context = np.where(sees_any, subject.of(moved), expected)
    yield same("context", context, expected, bound)


def powers_of_two_only_move_the_exponent(
    subject, case: AttentionCase
) -> Comparisons:
    """Values times 8 give the output times 8; queries times 4 with keys
    divided by 4, or both negated, change nothing: to the last bit."""
    plain = contiguous(case)
    got = subject.of(plain)
    louder = replace(plain, value=plain.value * 8)
    yield identical("values times 8", subject.of(louder), got * 8)
    shifted = replace(plain, query=plain.query * 4, key=plain.key / 4)
    yield identical("queries times 4", subject.of(shifted), got)
    negated = replace(plain, query=-plain.query, key=-plain.key)
    yield identical("both negated", subject.of(negated), got)


def the_scale_is_one_over_the_root(
    subject, case: AttentionCase
) -> Comparisons:
    """log(p₁ / p₀) is q · (k₁ - k₀) / √d, which shows the scale itself."""
    weights, identity, bound = read_weights(subject, opened(case))
    exact = steps(subject, identity)
    right, scores = exact["weights"].value, exact["scores"].value
    known = right > 4 * bound  # not lost in rounding
    first = np.take_along_axis(weights, scores.argmax(-1)[..., None], -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(weights.astype(float)) - np.log(first.astype(float))
        off = bound / (right - bound)
    expected = scores - scores.max(axis=-1, keepdims=True)
    ratio = np.where(known, ratio, expected)
    most = off.max(-1, keepdims=True, where=known, initial=0)
    slack = np.where(known, 2 * off + most, 0)
    yield same("log(p / greatest p)", ratio, expected, slack)


def a_scale_that_is_given_takes_the_place_of_the_root(
    subject, case: AttentionCase
) -> Comparisons:
    """A scale of 2/√d gives what doubled queries give."""
    moved = replace(case, query=2 * case.query)
    scale = 2 / sqrt(case.query.shape[-1])
    got = subject(**case.arrays, scale=scale)
    yield same("context", got, subject.of(moved), 2 * error(subject, moved))


def one_score_far_above_the_rest_takes_all(
    subject, case: AttentionCase
) -> Comparisons:
    """With one score far above the others, the output is its value."""
    sharp = replace(case, query=case.query * 40)
    exact = steps(subject, sharp)
    scores = np.where(case.rows, exact["scores"].value, -inf)
    best = scores.argmax(axis=-1)[..., None]
    others = scores.copy()
    np.put_along_axis(others, best, -inf, axis=-1)
    sees_any = case.rows.any(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        gap = scores.max(axis=-1) - others.max(axis=-1)
    gap = np.where(sees_any[..., 0], gap, inf)
    gap = gap - 2 * exact["scores"].error.max(axis=-1)
    value = np.take_along_axis(case.value, best, axis=-2)
    left = np.exp(-np.maximum(gap, 0)) * np.ptp(case.value).astype(float)
    bound = (case.key.shape[-2] - 1) * left[..., None] + error(
        subject, sharp
    )
    got = subject.of(sharp)
    yield same("context", got, np.where(sees_any, value, got), bound)


def large_scores_stay_finite(subject, case: AttentionCase) -> Comparisons:
    """Scores of hundreds of thousands do not overflow, and if all are far
    below zero, a query still gets a mean of its values."""
    for sign in (1, -1):
        # A first feature that gives every score of a query the same.
        query, key = case.query.copy(), case.key.copy()
        query[..., 0], key[..., 0] = 3e3, sign * 1e2
        large = replace(case, query=query, key=key)
        exact = subject.exact(large)
        level = sign * 3e5 / sqrt(query.shape[-1])
        name = f"context, scores of about {level:.0f}"
        yield equals_exact(name, subject.of(large), exact)


def many_keys_are_no_different(subject, case: AttentionCase) -> Comparisons:
    """With more keys than one tile of a tiled algorithm holds, with the
    first of them masked, and with all scores far below zero, the output
    is still that of the definition."""
    random, dtype = case.random(), case.query.dtype
    tokens = int(random.choice([17, 33, 65, 129, 300]))
    limits = subject.limits
    queries = tokens if limits.square else case.query.shape[-2]
    batch, d_head = case.query.shape[:-2], case.query.shape[-1]
    sizes = queries, tokens, d_head, case.value.shape[-1]
    query, key, value = normal_arrays(random, batch, sizes, dtype)
    mask = np.ones((queries, tokens), bool)
    if "causal" not in limits.masks:
        masked = 0
    elif "random" in limits.masks:
        masked = tokens // 2
    else:
        masked, mask = 0, np.tri(tokens, dtype=bool)
    mask[:, :masked] = False
    for level in (0, -200):
        # A first feature that moves all scores by as much.
        query[..., 0], key[..., 0] = 8, level / 24 * sqrt(d_head)
        many = AttentionCase(3 * query, key, value, mask, case.seed)
        exact = subject.exact(many)
        name = f"context, scores of about {level}"
        yield equals_exact(name, subject.of(many), exact)


def float32_is_close_to_float64(
    subject, case: AttentionCase
) -> Comparisons:
    """The same numbers in float64 give the same, within rounding."""
    arrays = [array.astype(np.float32) for array in case.qkv]
    narrow = AttentionCase(*arrays, case.mask)
    wide = AttentionCase(*(a.astype(np.float64) for a in arrays), case.mask)
    bound = error(subject, narrow) + error(subject, wide)
    yield same("context", subject.of(narrow), subject.of(wide), bound)


def gradients_are_the_exact_ones(
    subject, case: AttentionCase
) -> Comparisons:
    """The gradients of query, key and value are the derivatives."""
    shape = (*case.query.shape[:-1], case.value.shape[-1])
    upstream = case.random().integers(-3, 4, shape)
    upstream = upstream.astype(case.query.dtype)
    some = case.rows.any(axis=-1, keepdims=True)
    case = replace(case, mask=case.rows | ~some)
    arrays = {"d_context": upstream} | case.arrays
    exact = exact_of(
        "scaled_dot_product_attention_backward",
        arrays,
        subject.rounding(case.query.dtype),
    )
    gradients = subject.gradients(upstream, **case.arrays)
    u = np.finfo(case.query.dtype).eps / 2
    scale = max(
        float(np.abs(exact[f"d_{name}"].value).max(initial=0))
        for name in ("query", "key", "value")
    )
    for name, got in zip(("query", "key", "value"), gradients, strict=True):
        expected = exact[f"d_{name}"]
        bound = expected.error + 8 * u * np.abs(expected.value)
        expected = replace(expected, error=bound)
        compared = equals_exact(f"d_{name}", got, expected)
        yield replace(compared, scale=scale)


def fewer_key_heads_serve_neighbours(
    subject, case: AttentionCase
) -> Comparisons:
    """With fewer heads of keys than of queries, each serves neighbouring
    heads of queries, as with `enable_gqa`."""
    random, dtype = case.random(), case.query.dtype
    batch, groups, shared, tokens, width = 2, 2, 2, 5, 4
    query = random.normal(size=(batch, groups * shared, tokens, width))
    key, value = random.normal(size=(2, batch, groups, tokens, width))
    query, key, value = (a.astype(dtype) for a in (query, key, value))
    mask = np.ones((tokens, tokens), bool)
    if "causal" in subject.limits.masks and len(subject.limits.masks) == 1:
        mask = np.tri(tokens, dtype=bool)
    repeated = (np.repeat(a, shared, axis=1) for a in (key, value))
    whole = AttentionCase(query, *repeated, mask)
    exact = subject.exact(whole)
    got = subject(query, key, value, None if mask.all() else mask)
    yield equals_exact("context", got, exact)


PROPERTIES = (
    Property(equals_the_definition),
    Property(
        sizes_beyond_a_tile_are_no_different,
        inputs=lambda subject: beyond_a_tile(subject.limits),
    ),
    Property(inputs_are_left_as_they_were, ("all queries",)),
    Property(
        answers_do_not_depend_on_calls_before,
        ("all queries",),
        inputs=lambda subject: beyond_a_tile(subject.limits)[:2],
    ),
    Property(called_twice_it_returns_the_same),
    Property(weights_are_a_distribution),
    Property(an_output_lies_between_the_values),
    Property(a_query_of_zeros_gets_the_mean),
    Property(a_constant_added_to_every_key_changes_nothing),
    Property(values_are_averaged_linearly),
    Property(powers_of_two_only_move_the_exponent),
    Property(the_scale_is_one_over_the_root, ("free masks",)),
    Property(a_scale_that_is_given_takes_the_place_of_the_root, ("scale",)),
    Property(one_score_far_above_the_rest_takes_all),
    Property(large_scores_stay_finite),
    Property(many_keys_are_no_different),
    Property(float32_is_close_to_float64, ("two dtypes",)),
    Property(gradients_are_the_exact_ones, ("gradients",)),
    Property(fewer_key_heads_serve_neighbours, ("fewer key heads",)),
)
