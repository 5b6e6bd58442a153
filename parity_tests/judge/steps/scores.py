"""Properties of variants of scores and masks: windows, biases, caps,
sinks."""

import numpy as np

from parity_tests.bounds.rounding import Bounded

from .property import (
    Comparisons,
    Property,
    Step,
    agree,
    alike,
    exactly,
    generator_for,
    known,
)

WINDOWS = ("sliding_window_mask", "streaming_mask")
BIASED = ("biased_attention",)
ATTENTION = (*BIASED, "capped_attention", "qk_norm_attention")


# --- masks ---------------------------------------------------------------


def a_window_over_all_keys_is_causal(
    step: Step, arguments: dict
) -> Comparisons:
    """A window as long as the keys hides nothing but what is later."""
    queries, keys, past = (
        arguments[name] for name in ("queries", "keys", "past")
    )
    mask = step(**arguments | {"window": queries + past + keys})
    yield alike("mask", mask, np.tri(queries, keys, past))


def a_query_sees_as_many_keys_as_the_window(
    step: Step, arguments: dict
) -> Comparisons:
    """Its own key is one of them, and none is later."""
    keys, window = 9, min(arguments["window"], 9)
    taken = {"queries": keys, "keys": keys, "window": window, "past": 0}
    if "first" in arguments:
        taken["first"] = 0
    mask = step(**arguments | taken)
    counts = np.minimum(np.arange(keys) + 1, window)
    yield alike("own key", np.diagonal(mask), np.ones(keys))
    yield alike("keys seen", mask.sum(axis=-1), counts)


def beside_a_cache_it_is_the_last_rows(
    step: Step, arguments: dict
) -> Comparisons:
    """New queries see what they would see among all of the text."""
    new, past = arguments["queries"], arguments["past"]
    taken = arguments | {"keys": new + past}
    whole = step(**taken | {"queries": new + past, "past": 0})
    yield alike("mask", step(**taken), whole[past:])


def the_first_keys_stay_visible(step: Step, arguments: dict) -> Comparisons:
    """Where all keys are first ones, the mask is causal."""
    queries, keys = arguments["queries"], arguments["keys"]
    mask = step(**arguments | {"first": keys})
    yield alike("mask", mask, np.tri(queries, keys, arguments["past"]))


def without_a_prefix_it_is_causal(
    step: Step, arguments: dict
) -> Comparisons:
    """A prefix of no token, or of one, shows nothing that is later."""
    keys, lengths = arguments["keys"], arguments["lengths"]
    mask = step(**arguments | {"lengths": np.minimum(lengths, 1)})
    expected = np.broadcast_to(np.tri(keys), (len(lengths), keys, keys))
    yield alike("mask", mask, expected)


def a_prefix_of_all_hides_nothing(
    step: Step, arguments: dict
) -> Comparisons:
    """Where all tokens are a prefix, each sees all."""
    keys, lengths = arguments["keys"], arguments["lengths"]
    mask = step(**arguments | {"lengths": np.full_like(lengths, keys)})
    yield alike("mask", mask, np.ones((len(lengths), keys, keys)))


def one_document_is_causal(step: Step, arguments: dict) -> Comparisons:
    """Where all tokens are of one document, the mask is causal."""
    documents = np.zeros_like(arguments["documents"])
    mask = step(documents=documents)
    causal = np.tri(documents.shape[-1])
    yield alike("mask", mask, np.broadcast_to(causal, mask.shape))


def documents_do_not_see_each_other(
    step: Step, arguments: dict
) -> Comparisons:
    """Two halves of a row, of two documents, have a mask of two blocks."""
    tokens = 6
    documents = np.arange(tokens) // 3
    mask = step(documents=documents)
    blocks = np.kron(np.eye(2), np.ones((3, 3)))
    yield alike("mask", mask, np.tri(tokens) * blocks)


def a_document_begins_at_position_0(
    step: Step, arguments: dict
) -> Comparisons:
    """Positions count from 0 on, and anew where another document
    begins."""
    documents = np.array([4, 4, 4, 0, 0, 7])
    yield alike("positions", step(documents=documents), [0, 1, 2, 0, 1, 0])


# --- biases --------------------------------------------------------------


def the_distance_alone_matters(step: Step, arguments: dict) -> Comparisons:
    """Queries and keys moved by the same number of positions get the same
    bias."""
    moved = arguments | {
        name: arguments[name] + 8
        for name in ("query_positions", "key_positions")
    }
    yield agree("bias", step.known(moved), step.known(arguments))


def each_head_falls_by_its_slope(
    step: Step, arguments: dict
) -> Comparisons:
    """Of 8 heads, head h loses 2^-h for each token of distance."""
    dtype = arguments["query_positions"].dtype
    taken = {
        "query_positions": np.array([5], dtype),
        "key_positions": np.arange(6, dtype=dtype),
        "heads": 8,
    }
    slopes = 0.5 ** np.arange(1, 9)
    expected = -slopes[:, None] * np.arange(5, -1, -1)
    got = step.known(taken).moved(lambda a: a[:, 0])
    yield agree("bias", got, exactly(expected))


def a_constant_for_a_row_changes_nothing(
    step: Step, arguments: dict
) -> Comparisons:
    """Softmax is of differences: the same number added to all scores of a
    query leaves its weights as they are."""
    bias = arguments["bias"]
    constant = np.ones_like(bias[..., :1]) * bias.dtype.type(4)
    same = arguments | {"bias": 0 * bias + constant}
    none = arguments | {"bias": 0 * bias}
    yield agree("context", step.known(same), step.known(none))


def a_bias_can_mask(step: Step, arguments: dict) -> Comparisons:
    """Where all but one key get -1e4, the query takes that key's value."""
    key_count = arguments["key"].shape[-2]
    bias = np.full_like(arguments["bias"], -1e4)
    chosen = generator_for(arguments).integers(key_count)
    bias[..., chosen] = 0
    taken = arguments | {
        "query": 0 * arguments["query"],
        "bias": bias,
        "mask": np.ones_like(arguments["mask"]),
    }
    value = arguments["value"][..., chosen : chosen + 1, :]
    got = step.known(taken)
    yield agree("context", got, exactly(np.broadcast_to(value, got.shape)))


def near_distances_have_their_own_buckets(
    step: Step, arguments: dict
) -> Comparisons:
    """Half of a side's buckets are for one distance each."""
    buckets, both_ways = arguments["buckets"], arguments["both_ways"]
    side = buckets // 2 if both_ways else buckets
    near = side // 2
    taken = arguments | {"queries": 1, "keys": near, "past": near - 1}
    expected = np.arange(near)[::-1]
    yield alike("bucket", step(**taken)[0], expected)


def what_is_far_shares_the_last_bucket(
    step: Step, arguments: dict
) -> Comparisons:
    """From the farthest distance on there is but one bucket."""
    side = arguments["buckets"] // (1 + arguments["both_ways"])
    far = arguments["max_distance"]
    taken = arguments | {"queries": 1, "keys": 5, "past": far + 4}
    yield alike("bucket", step(**taken)[0], np.full(5, side - 1))


def later_keys_have_the_other_half(
    step: Step, arguments: dict
) -> Comparisons:
    """Both ways, a later key's bucket is that of an earlier one, half the
    buckets on; one way, it is that of the query itself."""
    half = arguments["buckets"] // 2 * arguments["both_ways"]
    first = {"queries": 1, "keys": 30, "past": 0}
    last = {"queries": 1, "keys": 30, "past": 29}
    earlier = step(**arguments | last)[0][::-1]
    expected = half + earlier if half else 0 * earlier
    expected[0] = 0
    yield alike("bucket", step(**arguments | first)[0], expected)


def a_bucket_has_a_number_for_each_head(
    step: Step, arguments: dict
) -> Comparisons:
    """The bias of a head is its column of the table, by bucket."""
    weight, bucket = arguments["params"].weight, arguments["bucket"]
    got = step(**arguments)
    for head in range(weight.shape[-1]):
        yield alike(f"head {head}", got[head], weight[:, head][bucket])


def equal_values_are_the_context(
    step: Step, arguments: dict
) -> Comparisons:
    """Where all values are the same, so is their mean."""
    ones = np.ones_like(arguments["value"])
    mask = np.ones_like(arguments["mask"])
    got = step.known(arguments | {"value": ones, "mask": mask})
    yield agree("context", got, exactly(np.ones(got.shape)))


# --- caps, sinks, norms --------------------------------------------------


def no_score_is_beyond_the_cap(step: Step, arguments: dict) -> Comparisons:
    """Scores as far out as can be come out as the cap, with their sign."""
    cap, scores = arguments["cap"], arguments["scores"]
    far = np.where(scores < 0, -60, 60) * scores.dtype.type(cap)
    got = step.known({"scores": far, "cap": cap})
    yield agree("scores", got, exactly(np.sign(far) * cap))


def small_scores_stay_as_they_are(
    step: Step, arguments: dict
) -> Comparisons:
    """Beside a cap a million times as large, nothing is drawn in."""
    scores = arguments["scores"]
    far = 1e6 * float(np.abs(scores).max(initial=1))
    wide = step.known({"scores": scores, "cap": far})
    loss = np.abs(scores.astype(float)) ** 3 / far**2
    yield agree("scores", wide, known(scores, loss), exactly(scores))


def opposite_scores_stay_opposite(
    step: Step, arguments: dict
) -> Comparisons:
    """The cap is the same on both sides of 0."""
    opposite = arguments | {"scores": -arguments["scores"]}
    other = step.known(opposite).moved(np.negative)
    got = step.known(arguments)
    negated = Bounded(other.value, np.abs(other.error), other.rounding)
    yield agree("scores", got, negated)


def the_cap_comes_before_the_mask(
    step: Step, arguments: dict
) -> Comparisons:
    """A masked key has no part in the context, however small the cap."""
    mask = np.ones_like(arguments["mask"])
    if mask.shape[-1] < 2:
        return
    mask[..., -1] = False
    taken = arguments | {"mask": mask, "cap": 0.5}
    value = taken["value"].copy()
    value[..., -1, :] += 8
    moved = step.known(taken | {"value": value})
    yield agree("context", moved, step.known(taken))


def a_far_sink_takes_nothing(step: Step, arguments: dict) -> Comparisons:
    """With a sink at -1e4, the weights of a query that may attend to
    something sum to 1."""
    got = with_a_sink(step, arguments, -1e4).total()
    some = np.broadcast_to(arguments["mask"], arguments["scores"].shape)
    expected = some.any(axis=-1, keepdims=True).astype(float)
    yield agree("sum of weights", got, exactly(expected))


def with_a_sink(step: Step, arguments: dict, height: float) -> Bounded:
    sink = np.full_like(arguments["sink"], height)
    return step.known(arguments | {"sink": sink})


def a_high_sink_takes_all(step: Step, arguments: dict) -> Comparisons:
    """With a sink at 1e4, no key gets anything."""
    got = with_a_sink(step, arguments, 1e4)
    yield agree("weights", got, exactly(np.zeros(got.shape)))


def the_size_of_a_query_does_not_matter(
    step: Step, arguments: dict
) -> Comparisons:
    """A query 4 times as large gives the same, without epsilon."""
    query = np.where(arguments["query"] == 0, 1, arguments["query"])
    key = np.where(arguments["key"] == 0, 1, arguments["key"])
    taken = arguments | {"query": query, "key": key, "epsilon": 0.0}
    larger = taken | {"query": 4 * query, "key": 2 * key}
    yield agree("context", step.known(larger), step.known(taken))


PROPERTIES = (
    Property(a_window_over_all_keys_is_causal, of=WINDOWS),
    Property(a_query_sees_as_many_keys_as_the_window, of=WINDOWS),
    Property(beside_a_cache_it_is_the_last_rows, of=WINDOWS),
    Property(the_first_keys_stay_visible, of=("streaming_mask",)),
    Property(without_a_prefix_it_is_causal, of=("prefix_mask",)),
    Property(a_prefix_of_all_hides_nothing, of=("prefix_mask",)),
    Property(one_document_is_causal, of=("packed_mask",)),
    Property(documents_do_not_see_each_other, of=("packed_mask",)),
    Property(a_document_begins_at_position_0, of=("packed_positions",)),
    Property(the_distance_alone_matters, of=("alibi_bias",)),
    Property(each_head_falls_by_its_slope, of=("alibi_bias",)),
    Property(a_constant_for_a_row_changes_nothing, of=BIASED),
    Property(a_bias_can_mask, of=BIASED),
    Property(equal_values_are_the_context, of=ATTENTION),
    Property(
        near_distances_have_their_own_buckets, of=("relative_buckets",)
    ),
    Property(what_is_far_shares_the_last_bucket, of=("relative_buckets",)),
    Property(later_keys_have_the_other_half, of=("relative_buckets",)),
    Property(
        a_bucket_has_a_number_for_each_head, of=("relative_position_bias",)
    ),
    Property(no_score_is_beyond_the_cap, of=("soft_cap",)),
    Property(small_scores_stay_as_they_are, of=("soft_cap",)),
    Property(opposite_scores_stay_opposite, of=("soft_cap",)),
    Property(the_cap_comes_before_the_mask, of=("capped_attention",)),
    Property(a_far_sink_takes_nothing, of=("sink_softmax",)),
    Property(a_high_sink_takes_all, of=("sink_softmax",)),
    Property(
        the_size_of_a_query_does_not_matter, of=("qk_norm_attention",)
    ),
)
