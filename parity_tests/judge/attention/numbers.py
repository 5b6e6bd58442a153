"""Properties of attention's numbers: mean, scale, limits, rounding."""

from dataclasses import replace
from math import inf, sqrt

import numpy as np

from parity_tests.judge.subject.cases import (
    AttentionCase,
    normal_arrays,
    opened,
)
from parity_tests.judge.verdict.property import CALLS_IN_A_ROW

from .property import (
    Comparisons,
    Property,
    beyond_tiles,
    contiguous,
    error,
    held_by,
    identical,
    read_weights,
    same,
    steps,
)

# Numbers whose product is a large score; of wider floats it may be larger.
LARGE = {"bfloat16": 2.0**11, "float16": 2.0**7}


def equals_the_definition(subject, case: AttentionCase) -> Comparisons:
    """The output is softmax(Q Kᵀ / √d) V over the allowed keys, but for
    what rounding explains."""
    yield subject.near("context", subject.of(case), subject.exact(case))


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
    weights, _, exact = read_weights(subject, case)
    sees_any = case.rows.any(axis=-1, keepdims=True)
    known = sees_any & np.isfinite(exact.error)
    negative = np.where(known, np.minimum(weights, 0), 0)
    yield identical("negative weights", negative, np.zeros_like(negative))
    sums = weights.astype(float).sum(axis=-1, keepdims=True)
    sums = np.where(sees_any, sums, 0)
    whole = replace(exact.total(), value=1.0 * sees_any)
    yield subject.near("sums of weights", sums, whole)


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
    exact = replace(subject.exact(zero_query), value=mean)
    yield subject.near("context", subject.of(zero_query), exact)


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
    weights, identity, read = read_weights(subject, opened(case))
    exact = steps(subject, identity)
    right, scores = exact["weights"].value, exact["scores"].value
    bound = read.error
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
    got, exact = subject(**case.arrays, scale=scale), subject.exact(moved)
    yield subject.alike("context", got, subject.of(moved), exact)


def one_score_far_above_the_rest_takes_all(
    subject, case: AttentionCase
) -> Comparisons:
    """With one score far above the others, the output is its value."""
    sharp = replace(case, query=subject.held(case.query * 40))
    yield subject.near("context", subject.of(sharp), subject.exact(sharp))


def large_scores_stay_finite(subject, case: AttentionCase) -> Comparisons:
    """Large scores, as large as the format holds with ease, do not
    overflow, and if all are far below zero, a query still gets a mean of
    its values."""
    root = LARGE.get(subject.limits.narrow, 2.0**9)
    for sign in (1, -1):
        # A first feature that gives every score of a query the same.
        query, key = case.query.copy(), case.key.copy()
        query[..., 0], key[..., 0] = root, sign * root
        large = replace(case, query=query, key=key)
        level = sign * root**2 / sqrt(query.shape[-1])
        name = f"context, scores of about {level:.0f}"
        yield subject.near(name, subject.of(large), subject.exact(large))


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
    if "random" in limits.masks:
        mask[:, : tokens // 2] = False
    elif "open" not in limits.masks:
        mask = np.tri(tokens, dtype=bool)
    for level in (0, -200):
        # A first feature that moves all scores by as much.
        query[..., 0], key[..., 0] = 8, level / 24 * sqrt(d_head)
        many = AttentionCase(3 * query, key, value, mask, case.seed)
        many = held_by(subject, many)
        name = f"context, scores of about {level}"
        yield subject.near(name, subject.of(many), subject.exact(many))


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
    """The gradients of query, key and value are the derivatives, but for
    what rounding explains."""
    shape = (*case.query.shape[:-1], case.value.shape[-1])
    upstream = case.random().integers(-3, 4, shape)
    upstream = upstream.astype(case.query.dtype)
    some = case.rows.any(axis=-1, keepdims=True)
    case = replace(case, mask=case.rows | ~some)
    gradients = subject.gradients(upstream, **case.arrays)
    exact = subject.exact_gradients(upstream, case)
    scale = max(float(np.abs(each.value).max(initial=0)) for each in exact)
    for name, got, right in zip(
        ("query", "key", "value"), gradients, exact, strict=True
    ):
        compared = subject.near(f"d_{name}", got, right)
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
    query, key, value = (
        subject.held(a.astype(dtype)) for a in (query, key, value)
    )
    mask = np.ones((tokens, tokens), bool)
    if "open" not in subject.limits.masks:
        mask = np.tri(tokens, dtype=bool)
    repeated = (np.repeat(a, shared, axis=1) for a in (key, value))
    exact = subject.exact(AttentionCase(query, *repeated, mask))
    got = subject(query, key, value, None if mask.all() else mask)
    yield subject.near("context", got, exact)


PROPERTIES = (
    Property(equals_the_definition),
    Property(sizes_beyond_a_tile_are_no_different, inputs=beyond_tiles),
    Property(inputs_are_left_as_they_were, ("all queries",)),
    Property(
        answers_do_not_depend_on_calls_before,
        ("all queries",),
        inputs=lambda subject: beyond_tiles(subject)[:2],
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
