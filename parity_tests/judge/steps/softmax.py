"""What correct scores, weights and masks do, without a reference."""

from math import sqrt

import numpy as np

from parity_tests.bounds.rounding import Bounded, exponential, where

from .property import (
    Found,
    Step,
    agree,
    alike,
    chance,
    exactly,
    identical,
    judged,
    nothing_dropped,
    rounded,
    same,
)

SOFTMAXES = ("softmax", "softmax_with_temperature", "masked_softmax")


# --- from scores to weights ----------------------------------------------


def allowed(arguments: dict) -> np.ndarray:
    """The mask with every axis spelled out; True where there is none."""
    shape = arguments["scores"].shape
    return np.broadcast_to(arguments.get("mask", np.True_), shape)


@judged(*SOFTMAXES)
def weights_are_a_distribution(step: Step, arguments: dict) -> Found:
    """The weights of a row are not negative, and their sum is 1; or 0,
    where nothing is allowed."""
    weights = step.known(arguments)
    negative = np.minimum(weights.value, 0)
    yield identical("negative weights", negative, negative * 0)
    total = weights.total()
    asks = allowed(arguments).any(axis=-1, keepdims=True)
    yield same("sums", total.value, asks.astype(float), total.error)


@judged(*SOFTMAXES)
def a_weight_over_another_is_e_to_their_scores_difference(
    step: Step, arguments: dict
) -> Found:
    """One weight over another is e to the difference of their scores,
    divided by the temperature; a forbidden one is 0."""
    rows, weights = allowed(arguments), step.known(arguments)
    scores = exactly(arguments["scores"])
    scores = scores.over(arguments.get("temperature", 1))
    best = where(rows, scores, -np.inf).value.argmax(-1)[..., None]

    def of_best(part: Bounded) -> Bounded:
        return part.moved(lambda a: np.take_along_axis(a, best, -1))

    gap = where(rows, scores - of_best(scores), 0)
    expected = where(rows, exponential(gap) * of_best(weights), 0)
    yield agree("weights", weights, expected)


@judged(*SOFTMAXES)
def a_number_added_to_every_score_changes_nothing(
    step: Step, arguments: dict
) -> Found:
    """The same number added to all scores changes no weight; one of a
    thousand neither overflows nor leaves zeros alone."""
    scores, weights = arguments["scores"], step.known(arguments)
    for shift in (-1000, 1000):
        shifted = scores + scores.dtype.type(shift)
        asked = arguments | {"scores": shifted}
        bound = step.error(asked, {"scores": rounded(shifted)})
        bound = bound + weights.error
        path = f"weights after {shift:+}"
        yield same(path, step.known(asked).value, weights.value, bound)


@judged("masked_softmax")
def what_is_behind_the_mask_does_not_matter(
    step: Step, arguments: dict
) -> Found:
    """A NaN or a huge number behind the mask changes nothing."""
    weights = step.known(arguments)
    for other in (np.nan, 1e30, -np.inf):
        scores = np.where(allowed(arguments), arguments["scores"], other)
        got = step(**arguments | {"scores": scores})
        yield same("weights", got, weights.value, 2 * weights.error)


# --- scores and context --------------------------------------------------


@judged("attention_scores")
def a_key_with_one_feature_reads_off_that_of_the_query(
    step: Step, arguments: dict
) -> Found:
    """With the unit vectors for keys, scores are queries over √d."""
    query = arguments["query"]
    *batch, _, d_head = query.shape
    key = np.broadcast_to(
        np.eye(d_head, dtype=query.dtype), (*batch, d_head, d_head)
    )
    got = step.known({"query": query, "key": key.copy()})
    yield agree("scores", got, exactly(query).over(sqrt(d_head)))


@judged("attention_scores")
def queries_and_keys_may_change_places(
    step: Step, arguments: dict
) -> Found:
    """A query scores a key as that key, for a query, would score it."""
    query, key = arguments["query"], arguments["key"]
    turned = step.known({"query": key, "key": query})
    turned = turned.moved(lambda a: a.swapaxes(-2, -1))
    yield agree("scores", step.known(arguments), turned)


@judged("attention_scores")
def features_add_up(step: Step, arguments: dict) -> Found:
    """The scores by some features and those by the others add up."""
    query = arguments["query"]
    some = chance(arguments).uniform(size=query.shape[-1]) < 0.5
    parts = [
        step.known(arguments | {"query": np.where(seen, query, 0)})
        for seen in (some, ~some)
    ]
    yield agree("scores", step.known(arguments), parts[0] + parts[1])


@judged("scaled_dot_product_attention", "attention_with_dropout")
def an_output_lies_between_the_values(step: Step, arguments: dict) -> Found:
    """With nothing dropped, an output is a mean: between the least and
    the greatest of the values that its query may see."""
    asked = nothing_dropped(arguments)
    got, value = step.known(asked), asked["value"]
    shape = (*got.shape[:-1], value.shape[-2])
    rows = np.broadcast_to(asked["mask"], shape)[..., None]
    value = value[..., None, :, :]
    least = np.where(rows, value, np.inf).min(axis=-2)
    greatest = np.where(rows, value, -np.inf).max(axis=-2)
    sees = rows.any(axis=-2)
    least, greatest = (np.where(sees, a, 0) for a in (least, greatest))
    clipped = np.clip(got.value, least, greatest)
    yield same("context", got.value, clipped, got.error)


@judged("attention_with_dropout")
def a_dropped_weight_counts_like_a_value_of_zeros(
    step: Step, arguments: dict
) -> Found:
    """A key that all queries drop might as well have zeros to say; the
    other weights are not made larger for it."""
    value, dropout_mask = arguments["value"], arguments["dropout_mask"]
    some = chance(arguments).uniform(size=value.shape[-2]) < 0.5
    dropped = step.known(arguments | {"dropout_mask": dropout_mask & some})
    silent = np.where(some[:, None], value, 0)
    yield agree(
        "context", dropped, step.known(arguments | {"value": silent})
    )


@judged("attention_with_dropout")
def what_is_left_is_scaled_up(step: Step, arguments: dict) -> Found:
    """Times (1 - rate) the output is that of a rate of 0."""
    plain = step.known(arguments | {"rate": 0.0})
    expected = plain.over(1 - arguments["rate"])
    yield agree("context", step.known(arguments), expected)


# --- masks ---------------------------------------------------------------


@judged("causal_mask")
def a_query_sees_the_keys_up_to_its_own_position(
    step: Step, arguments: dict
) -> Found:
    """Query i stands at position past + i: it sees past + i + 1 keys, or
    as many as there are, and they are the first."""
    queries, keys = arguments["queries"], arguments["keys"]
    mask = step(**arguments)
    yield alike("shape", mask.shape, (queries, keys))
    seen = [min(arguments["past"] + i + 1, keys) for i in range(queries)]
    yield alike("numbers of keys", mask.sum(axis=1), seen)
    yield alike("keys in a row", mask, np.sort(mask, axis=1)[:, ::-1])


@judged("causal_mask")
def a_cache_of_keys_takes_rows_away(step: Step, arguments: dict) -> Found:
    """After so many past keys, the mask is what is left of a whole one
    when the rows of the past are taken away."""
    past, queries = arguments["past"], arguments["queries"]
    whole = step(queries=past + queries, keys=arguments["keys"], past=0)
    yield alike("mask", step(**arguments), whole[past:])


@judged("padding_mask")
def a_text_has_as_many_keys_as_tokens(step: Step, arguments: dict) -> Found:
    """A text has as many keys as tokens, and they are the first."""
    keys, lengths = arguments["keys"], arguments["lengths"]
    for asked in (lengths, lengths * 0, lengths * 0 + keys):
        mask = step(lengths=asked, keys=keys)
        yield alike("shape", mask.shape, (len(lengths), 1, keys))
        seen = np.minimum(asked, keys)[:, None]
        yield alike("numbers of keys", mask.sum(axis=-1), seen)
        first = np.sort(mask, axis=-1)[..., ::-1]
        yield alike("keys in a row", mask, first)
