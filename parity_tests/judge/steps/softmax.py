"""Properties of scores, softmax, attention and masks."""

from math import sqrt

import numpy as np

from parity_tests.bounds.rounding import Bounded, exponential, where

from .property import (
    Comparisons,
    Property,
    Step,
    agree,
    alike,
    exactly,
    generator_for,
    identical,
    nothing_dropped,
    rounded,
    same,
)

SOFTMAXES = ("softmax", "softmax_with_temperature", "masked_softmax")


# --- from scores to weights ----------------------------------------------


def allowed(arguments: dict) -> np.ndarray:
    """The mask broadcast to the scores; True if there is none."""
    shape = arguments["scores"].shape
    return np.broadcast_to(arguments.get("mask", np.True_), shape)


def weights_are_a_distribution(step: Step, arguments: dict) -> Comparisons:
    """The weights of a row are not negative and sum to 1; those of a fully
    masked row sum to 0."""
    weights = step.known(arguments)
    negative = np.minimum(weights.value, 0)
    yield identical("negative weights", negative, negative * 0)
    total = weights.total()
    sees_any = allowed(arguments).any(axis=-1, keepdims=True)
    yield same("sums", total.value, sees_any.astype(float), total.error)


def a_weight_over_another_is_e_to_their_scores_difference(
    step: Step, arguments: dict
) -> Comparisons:
    """One weight divided by another is e to the power of the difference
    of their scores, over the temperature; a masked weight is 0."""
    rows, weights = allowed(arguments), step.known(arguments)
    scores = exactly(arguments["scores"])
    scores = scores.over(arguments.get("temperature", 1))
    best = where(rows, scores, -np.inf).value.argmax(-1)[..., None]

    def of_best(part: Bounded) -> Bounded:
        return part.moved(lambda a: np.take_along_axis(a, best, -1))

    gap = where(rows, scores - of_best(scores), 0)
    expected = where(rows, exponential(gap) * of_best(weights), 0)
    yield agree("weights", weights, expected)


def a_number_added_to_every_score_changes_nothing(
    step: Step, arguments: dict
) -> Comparisons:
    """A number added to all scores changes no weight; not even a thousand
    overflows or underflows."""
    scores, weights = arguments["scores"], step.known(arguments)
    for shift in (-1000, 1000):
        shifted = scores + scores.dtype.type(shift)
        moved = arguments | {"scores": shifted}
        bound = step.error(moved, {"scores": rounded(shifted)})
        bound = bound + weights.error
        path = f"weights after {shift:+}"
        yield same(path, step.known(moved).value, weights.value, bound)


def what_is_behind_the_mask_does_not_matter(
    step: Step, arguments: dict
) -> Comparisons:
    """A NaN or a huge number behind the mask changes nothing."""
    weights = step.known(arguments)
    for other in (np.nan, 1e30, -np.inf):
        scores = np.where(allowed(arguments), arguments["scores"], other)
        got = step(**arguments | {"scores": scores})
        yield same("weights", got, weights.value, 2 * weights.error)


# --- scores and context --------------------------------------------------


def a_key_with_one_feature_reads_off_that_of_the_query(
    step: Step, arguments: dict
) -> Comparisons:
    """With unit vectors for keys, the scores are the queries over √d."""
    query = arguments["query"]
    *batch, _, d_head = query.shape
    key = np.broadcast_to(
        np.eye(d_head, dtype=query.dtype), (*batch, d_head, d_head)
    )
    got = step.known({"query": query, "key": key.copy()})
    yield agree("scores", got, exactly(query).over(sqrt(d_head)))


def queries_and_keys_may_change_places(
    step: Step, arguments: dict
) -> Comparisons:
    """Swapping queries and keys transposes the scores."""
    query, key = arguments["query"], arguments["key"]
    turned = step.known({"query": key, "key": query})
    turned = turned.moved(lambda a: a.swapaxes(-2, -1))
    yield agree("scores", step.known(arguments), turned)


def features_add_up(step: Step, arguments: dict) -> Comparisons:
    """The scores of some features and those of the others add up."""
    query = arguments["query"]
    some = generator_for(arguments).uniform(size=query.shape[-1]) < 0.5
    parts = [
        step.known(arguments | {"query": np.where(chosen, query, 0)})
        for chosen in (some, ~some)
    ]
    yield agree("scores", step.known(arguments), parts[0] + parts[1])


def an_output_lies_between_the_values(
    step: Step, arguments: dict
) -> Comparisons:
    """With nothing dropped, an output is a mean: it lies between the least
    and the greatest of the values that its query may attend to."""
    kept = nothing_dropped(arguments)
    got, value = step.known(kept), kept["value"][..., None, :, :]
    rows = mask_of_scores(kept)[..., None]
    least = np.where(rows, value, np.inf).min(axis=-2)
    greatest = np.where(rows, value, -np.inf).max(axis=-2)
    sees_any = rows.any(axis=-2)
    least, greatest = (np.where(sees_any, a, 0) for a in (least, greatest))
    clipped = np.clip(got.value, least, greatest)
    yield same("context", got.value, clipped, got.error)


def mask_of_scores(arguments: dict) -> np.ndarray:
    """The mask, broadcast to all axes of the scores."""
    query, key = arguments["query"], arguments["key"]
    shape = (*query.shape[:-1], key.shape[-2])
    return np.broadcast_to(arguments["mask"], shape)


def a_dropped_weight_counts_like_a_value_of_zeros(
    step: Step, arguments: dict
) -> Comparisons:
    """If all queries drop a key, its value might as well be zeros; the
    other weights do not grow in its place."""
    value, dropout_mask = arguments["value"], arguments["dropout_mask"]
    some = generator_for(arguments).uniform(size=value.shape[-2]) < 0.5
    dropped = step.known(arguments | {"dropout_mask": dropout_mask & some})
    silent = np.where(some[:, None], value, 0)
    yield agree(
        "context", dropped, step.known(arguments | {"value": silent})
    )


def what_is_left_is_scaled_up(step: Step, arguments: dict) -> Comparisons:
    """The output, times (1 - rate), is that of a rate of 0."""
    plain = step.known(arguments | {"rate": 0.0})
    expected = plain.over(1 - arguments["rate"])
    yield agree("context", step.known(arguments), expected)


# --- masks ---------------------------------------------------------------


def a_query_sees_the_keys_up_to_its_own_position(
    step: Step, arguments: dict
) -> Comparisons:
    """Query i is at position past + i: it sees the first past + i + 1
    keys, or as many as there are."""
    queries, keys = arguments["queries"], arguments["keys"]
    mask = step(**arguments)
    yield alike("shape", mask.shape, (queries, keys))
    visible = [min(arguments["past"] + i + 1, keys) for i in range(queries)]
    yield alike("numbers of keys", mask.sum(axis=1), visible)
    yield alike("keys in a row", mask, np.sort(mask, axis=1)[:, ::-1])


def a_mask_after_a_cache_is_the_rest_of_a_whole_one(
    step: Step, arguments: dict
) -> Comparisons:
    """With past keys in a cache, the mask is a whole one without the rows
    of the past."""
    past, queries = arguments["past"], arguments["queries"]
    whole = step(queries=past + queries, keys=arguments["keys"], past=0)
    yield alike("mask", step(**arguments), whole[past:])


def a_text_has_as_many_keys_as_tokens(
    step: Step, arguments: dict
) -> Comparisons:
    """A text of n tokens shows its first n keys and no others."""
    keys, lengths = arguments["keys"], arguments["lengths"]
    for counts in (lengths, lengths * 0, lengths * 0 + keys):
        mask = step(lengths=counts, keys=keys)
        yield alike("shape", mask.shape, (len(lengths), 1, keys))
        visible = np.minimum(counts, keys)[:, None]
        yield alike("numbers of keys", mask.sum(axis=-1), visible)
        first = np.sort(mask, axis=-1)[..., ::-1]
        yield alike("keys in a row", mask, first)


def a_query_sees_the_tokens_up_to_its_own_position(
    step: Step, arguments: dict
) -> Comparisons:
    """A query sees as many keys as there are tokens up to its position,
    and none that is padding or comes later."""
    attention_mask = arguments["attention_mask"]
    mask = step(**arguments)
    positions = attention_mask.shape[-1]
    shape = (*attention_mask.shape, positions)
    yield alike("shape", mask.shape, shape)
    tokens_so_far = attention_mask.cumsum(axis=-1)
    yield alike("numbers of keys", mask.sum(axis=-1), tokens_so_far)
    padding = np.broadcast_to(~attention_mask[..., None, :], shape)
    yield alike("padding", mask & padding, np.zeros(shape, bool))
    later = np.triu(mask, 1)
    yield alike("later keys", later, np.zeros(shape, bool))


def tokens_are_counted_without_padding(
    step: Step, arguments: dict
) -> Comparisons:
    """The tokens of a text are at positions 0, 1, 2 …, wherever padding
    stands; no position is negative or as large as the number of
    columns."""
    attention_mask = arguments["attention_mask"]
    positions = step(**arguments)
    columns = attention_mask.shape[-1]
    yield alike("shape", positions.shape, attention_mask.shape)
    in_range = (positions >= 0) & (positions < columns)
    yield alike("in range", in_range, np.ones_like(in_range))
    counted = [np.arange(text.sum()) for text in rows_of(attention_mask)]
    expected = np.concatenate(counted)
    yield alike("positions", positions[attention_mask], expected)


def rows_of(array: np.ndarray) -> np.ndarray:
    """The rows along the last axis, one below the other."""
    return array.reshape(-1, array.shape[-1])


PROPERTIES = (
    Property(weights_are_a_distribution, of=SOFTMAXES),
    Property(
        a_weight_over_another_is_e_to_their_scores_difference,
        of=SOFTMAXES,
    ),
    Property(a_number_added_to_every_score_changes_nothing, of=SOFTMAXES),
    Property(
        what_is_behind_the_mask_does_not_matter, of=("masked_softmax",)
    ),
    Property(
        a_key_with_one_feature_reads_off_that_of_the_query,
        of=("attention_scores",),
    ),
    Property(queries_and_keys_may_change_places, of=("attention_scores",)),
    Property(features_add_up, of=("attention_scores",)),
    Property(
        an_output_lies_between_the_values,
        of=("scaled_dot_product_attention", "attention_with_dropout"),
    ),
    Property(
        a_dropped_weight_counts_like_a_value_of_zeros,
        of=("attention_with_dropout",),
    ),
    Property(what_is_left_is_scaled_up, of=("attention_with_dropout",)),
    Property(
        a_query_sees_the_keys_up_to_its_own_position, of=("causal_mask",)
    ),
    Property(
        a_mask_after_a_cache_is_the_rest_of_a_whole_one, of=("causal_mask",)
    ),
    Property(a_text_has_as_many_keys_as_tokens, of=("padding_mask",)),
    Property(
        a_query_sees_the_tokens_up_to_its_own_position,
        of=("causal_padding_mask",),
    ),
    Property(tokens_are_counted_without_padding, of=("positions_of_mask",)),
)
