"""Properties of variants of memory: rings, latents, states, features."""

from dataclasses import replace
from math import log, sqrt

import numpy as np

from parity_tests.bounds.gradients import quotient
from parity_tests.bounds.layers import mean
from parity_tests.bounds.rounding import Bounded, exponential, product

from .property import (
    Comparisons,
    Property,
    Step,
    agree,
    alike,
    exactly,
    known,
)

LATENT = ("latent_attention", "absorbed_latent_attention")
CHUNKWISE = ("chunkwise_linear_attention", "chunkwise_gated_delta")
KERNEL = ("kernel_attention", "chunkwise_kernel_attention")
RING = ("ring_window_attention",)
LINEAR = ("recurrent_linear_attention", "chunkwise_linear_attention")
GATED = ("recurrent_gated_delta", "chunkwise_gated_delta")


# --- rings ---------------------------------------------------------------


def a_ring_keeps_the_last_tokens(
    step: Step, arguments: dict
) -> Comparisons:
    """Of a text that is longer than the ring, its last tokens stay."""
    slots = arguments["ring"].shape[-2]
    tokens = 2 * slots + 1
    dtype = arguments["ring"].dtype
    ring = step(
        ring=np.zeros((slots, 1), dtype),
        new=np.arange(tokens, dtype=dtype)[:, None],
        past=0,
    )
    last = np.arange(tokens - slots, tokens)
    yield alike("tokens", np.sort(ring[:, 0]), last)


def a_token_goes_into_the_slot_of_its_position(
    step: Step, arguments: dict
) -> Comparisons:
    """One new token replaces what stands in slot past mod window, and no
    other slot changes."""
    ring, past = arguments["ring"], arguments["past"]
    new = arguments["new"][..., :1, :]
    expected = ring.copy()
    expected[..., past % ring.shape[-2], :] = new[..., 0, :]
    yield alike("ring", step(ring=ring, new=new, past=past), expected)


def an_empty_slot_is_not_seen(step: Step, arguments: dict) -> Comparisons:
    """Without a past, nobody looks into the ring."""
    window = arguments["window"]
    mask = step(**arguments | {"past": 0})
    slots = (arguments["queries"], window)
    yield alike("slots", mask[:, :window], np.zeros(slots))


def beside_a_full_ring_a_query_sees_a_whole_window(
    step: Step, arguments: dict
) -> Comparisons:
    """Its own key is one of them, and none is later."""
    queries, window = 7, arguments["window"]
    taken = {"queries": queries, "window": window}
    past = window + arguments["past"]
    mask = step(**taken, past=past)
    new = np.asarray(mask)[:, window:]
    yield alike("keys seen", mask.sum(axis=-1), np.full(queries, window))
    yield alike("later keys", np.triu(new, 1), 0 * new)
    yield alike("own key", np.diagonal(new), np.ones(queries))


def the_slot_that_is_next_is_out_of_the_window(
    step: Step, arguments: dict
) -> Comparisons:
    """A new token sees all slots of a full ring but the one that it will
    be written into."""
    window = arguments["window"]
    past = window + arguments["past"]
    mask = step(queries=1, window=window, past=past)
    expected = np.ones((1, window))
    expected[:, past % window] = 0
    yield alike("slots", mask[:, :window], expected)


def moved_ring(arguments: dict, slots=slice(None)) -> dict:
    """The arguments with other keys and values in these slots."""
    taken = dict(arguments)
    for name in ("ring_key", "ring_value"):
        taken[name] = arguments[name].copy()
        taken[name][..., slots, :] += 8
    return taken


def an_empty_ring_has_no_part(step: Step, arguments: dict) -> Comparisons:
    """Without a past, whatever stands in the ring is not found."""
    taken = arguments | {"past": 0}
    moved = step.known(moved_ring(taken))
    yield agree("context", moved, step.known(taken))


def what_is_overwritten_next_is_out_of_the_window(
    step: Step, arguments: dict
) -> Comparisons:
    """Not even the first new token finds what stands in the slot of a full
    ring that it will be written into."""
    slots = arguments["ring_key"].shape[-2]
    past = slots + arguments["past"]
    taken = arguments | {"past": past}
    moved = step.known(moved_ring(taken, past % slots))
    yield agree("context", moved, step.known(taken))


def new_tokens_take_the_place_of_old_ones(
    step: Step, arguments: dict
) -> Comparisons:
    """Of queries that ask nothing, the old tokens' share of the window is
    one slot smaller from each new token to the next."""
    slots = arguments["ring_key"].shape[-2]
    taken = arguments | {
        "query": 0 * arguments["query"],
        "value": 0 * arguments["value"],
        "ring_value": np.ones_like(arguments["ring_value"]),
        "past": slots + arguments["past"],
    }
    got = step.known(taken)
    old = np.maximum(slots - 1 - np.arange(got.shape[-2]), 0)
    shares = exactly(old[:, None]).over(slots)
    yield agree("shares", got, shares, exactly(np.ones(1)))


# --- latents -------------------------------------------------------------


def a_latent_has_a_mean_square_of_1(
    step: Step, arguments: dict
) -> Comparisons:
    """Before the weight of its norm, the mean square of a latent's
    features is s / (s + epsilon), if s is that of what is projected."""
    latent = with_a_weight_of_1(step, arguments)
    square = mean(latent * latent)
    down = exactly(arguments["params"].down.weight)
    projected = product("...i,oi->...o", exactly(arguments["x"]), down)
    size = mean(projected * projected)
    epsilon = exactly(np.full(size.shape, arguments["epsilon"]))
    expected = quotient(size, size + epsilon)
    yield agree("mean square", square, expected, exactly(np.ones(1)))


def with_a_weight_of_1(step: Step, arguments: dict) -> Bounded:
    params = arguments["params"]
    ones = replace(params.norm, weight=np.ones_like(params.norm.weight))
    plain = arguments | {"params": replace(params, norm=ones)}
    return step.known(plain)


def a_latent_keeps_the_direction_of_the_projection(
    step: Step, arguments: dict
) -> Comparisons:
    """Before the weight of its norm, all features of a latent are those of
    the projected token, divided by the same number."""
    y = with_a_weight_of_1(step, arguments)
    down = exactly(arguments["params"].down.weight)
    x = product("...i,oi->...o", exactly(arguments["x"]), down)
    first_y, first_x = (part.moved(lambda a: a[..., :1]) for part in (y, x))
    yield agree("x y₀", x * first_y, first_x * y, x * first_y)


def the_weight_of_the_norm_comes_at_the_end(
    step: Step, arguments: dict
) -> Comparisons:
    """Each feature of a latent is multiplied by its own weight."""
    weight = exactly(arguments["params"].norm.weight)
    expected = with_a_weight_of_1(step, arguments) * weight
    yield agree("latent", step.known(arguments), expected)


def content_alone_has_the_root_of_both(
    step: Step, arguments: dict
) -> Comparisons:
    """Without a rotary key, a score times √(d_head + d_rotary) is the
    similarity."""
    rotary_key = arguments["rotary_key"]
    got = step.known(arguments | {"rotary_key": 0 * rotary_key})
    features = arguments["d_head"] + rotary_key.shape[-1]
    similarity = exactly(arguments["similarity"])
    yield agree("scores", got.times(sqrt(features)), similarity)


def position_alone_has_the_root_of_both(
    step: Step, arguments: dict
) -> Comparisons:
    """Where nothing is similar, and each head asks for one rotary feature,
    a score times √(d_head + d_rotary) is that of the key, in every
    head."""
    rotary_key = arguments["rotary_key"]
    one = 0 * arguments["rotary_query"]
    one[..., 0] = 1
    similarity = 0 * arguments["similarity"]
    taken = {"similarity": similarity, "rotary_query": one}
    got = step.known(arguments | taken)
    features = arguments["d_head"] + rotary_key.shape[-1]
    expected = rotary_key[..., None, None, :, 0]
    yield agree("scores", got.times(sqrt(features)), exactly(expected))


def equal_latents_are_the_context(
    step: Step, arguments: dict
) -> Comparisons:
    """Where all latents are the same, a head finds the value of one."""
    latent = np.full_like(arguments["latent"], 2)
    mask = np.ones_like(arguments["mask"])
    got = step.known(arguments | {"latent": latent, "mask": mask})
    value = 2 * wide(arguments["value_weight"]).sum(axis=-2)[:, None]
    expected = np.broadcast_to(value, got.shape)
    yield agree("context", got, exactly(expected))


def a_masked_latent_has_no_part(step: Step, arguments: dict) -> Comparisons:
    """Whatever a latent is that nobody may attend to, it is not found."""
    latent = arguments["latent"].copy()
    if latent.shape[-2] < 2:
        return
    mask = np.ones((1, 1, latent.shape[-2]), bool)
    mask[..., -1] = False
    latent[..., -1, :] += 8
    taken = arguments | {"mask": mask}
    moved = step.known(taken | {"latent": latent})
    yield agree("context", moved, step.known(taken))


def content_and_position_have_one_root(
    step: Step, arguments: dict
) -> Comparisons:
    """Both products are divided by the root of d_head + d_rotary: by
    either one, a key that is asked ln 2 more than another gets twice its
    weight."""
    key_weight, value_weight = (
        arguments[name] for name in ("key_weight", "value_weight")
    )
    heads, d_latent, d_head = key_weight.shape
    d_rotary = arguments["rotary_key"].shape[-1]
    more = sqrt(d_head + d_rotary) * log(2)
    one = np.zeros_like(key_weight)
    one[:, 0, 0] = 1
    slack = 32 * float(np.finfo(key_weight.dtype).eps)
    for by, (content, position) in {
        "content": (more, 0),
        "position": (0, more),
    }.items():
        latent = np.zeros((2, d_latent))
        rotary_key = np.zeros((2, d_rotary))
        latent[1, 0], rotary_key[1, 0] = content or 1, position
        taken = {
            "query": np.full((heads, 1, d_head), bool(content)),
            "rotary_query": np.ones((heads, 1, d_rotary)),
            "latent": latent,
            "rotary_key": rotary_key,
            "key_weight": one,
            "value_weight": value_weight,
        }
        taken = {n: a.astype(key_weight.dtype) for n, a in taken.items()}
        taken["mask"] = np.ones((1, 1, 2), bool)
        value = 2 / 3 * latent[1, 0] * wide(value_weight)[:, :1]
        expected = known(value, slack * np.abs(value))
        yield agree(f"context by {by}", step.known(taken), expected)


# --- states --------------------------------------------------------------


def the_size_of_a_chunk_does_not_matter(
    step: Step, arguments: dict
) -> Comparisons:
    """Chunk by chunk the numbers are those of token by token."""
    whole = step.known(arguments | {"chunk": 99})
    for chunk in (1, 2):
        yield agree(
            "context", step.known(arguments | {"chunk": chunk}), whole
        )


def later_tokens_change_nothing(step: Step, arguments: dict) -> Comparisons:
    """What is written after a token is not seen by it."""
    if arguments["query"].shape[-2] < 2:
        return
    value = arguments["value"].copy()
    value[..., -1, :] += 8
    before, after = (
        step.known(taken).moved(lambda a: a[..., :-1, :])
        for taken in (arguments, arguments | {"value": value})
    )
    yield agree("context", after, before)


def nothing_is_written_of_values_of_zero(
    step: Step, arguments: dict
) -> Comparisons:
    """Then a query asks the state that was there before."""
    query, state = arguments["query"], arguments["state"]
    taken = arguments | {"value": 0 * arguments["value"]}
    expected = wide(query) @ wide(state)
    yield agree("context", step.known(taken), exactly(expected))


def the_first_token_sees_itself(step: Step, arguments: dict) -> Comparisons:
    """Of an empty state, it gets its value times the product of its query
    and its key."""
    taken = arguments | {"state": 0 * arguments["state"]}
    query, key, value = (
        wide(arguments[name][..., 0, :])
        for name in ("query", "key", "value")
    )
    product = (query * key).sum(axis=-1, keepdims=True)
    got = step.known(taken).moved(lambda a: a[..., 0, :])
    yield agree("context", got, exactly(product * value))


def wide(array):
    return np.asarray(array, np.float64)


def what_is_written_whole_is_recalled_whole(
    step: Step, arguments: dict
) -> Comparisons:
    """Asked by the key itself, a state gives what was just written, with
    a share of 1."""
    key = 0 * arguments["key"]
    key[..., 0] = 1
    beta = np.ones_like(arguments["beta"])
    taken = arguments | {"query": key, "key": key, "beta": beta}
    yield agree(
        "context", step.known(taken), exactly(wide(arguments["value"]))
    )


def nothing_is_written_of_shares_of_zero(
    step: Step, arguments: dict
) -> Comparisons:
    """Then the state only fades, by the product of all decays."""
    query, state = wide(arguments["query"]), wide(arguments["state"])
    left = np.exp(np.cumsum(wide(arguments["log_decay"]), axis=-1))
    taken = arguments | {"beta": 0 * arguments["beta"]}
    expected = left[..., None] * (query @ state)
    yield agree("context", step.known(taken), exactly(expected))


def a_first_token_writes_its_share(
    step: Step, arguments: dict
) -> Comparisons:
    """Of an empty state, it gets that share of its value."""
    key = 0 * arguments["key"]
    key[..., 0] = 1
    taken = arguments | {"query": key, "key": key}
    taken |= {"state": 0 * arguments["state"]}
    share = wide(arguments["beta"][..., :1])
    expected = share * wide(arguments["value"][..., 0, :])
    got = step.known(taken).moved(lambda a: a[..., 0, :])
    yield agree("context", got, exactly(expected))


# --- feature maps --------------------------------------------------------


def every_feature_is_positive(step: Step, arguments: dict) -> Comparisons:
    """No feature is 0 or below, so that no weight is."""
    got = step(**arguments)
    yield alike("not above 0", got <= 0, np.zeros(got.shape))


def above_0_it_is_one_more(step: Step, arguments: dict) -> Comparisons:
    """What is 0 or more gets 1 added."""
    x = np.abs(arguments["x"])
    yield agree("features", step.known({"x": x}), exactly(wide(x) + 1))


def below_0_it_is_an_exponential(
    step: Step, arguments: dict
) -> Comparisons:
    """Twice as far below 0, it is the square, and at -1 it is 1/e."""
    x = -np.abs(arguments["x"])
    once = step.known({"x": x})
    yield agree("features", step.known({"x": 2 * x}), once * once)
    at_1 = step.known({"x": np.full_like(x, -1)})
    yield agree("at -1", at_1, exponential(exactly(np.full(x.shape, -1.0))))


def weights_by_features_sum_to_1(
    step: Step, arguments: dict
) -> Comparisons:
    """Where all values are 1, and a state says so of the past, the context
    is 1."""
    state = np.zeros_like(arguments["state"])
    state += arguments["normaliser"][..., None]
    ones = np.ones_like(arguments["value"])
    got = step.known(arguments | {"value": ones, "state": state})
    yield agree("context", got, exactly(np.ones(got.shape)))


def the_first_token_of_all_gets_its_own_value(
    step: Step, arguments: dict
) -> Comparisons:
    """Without a past, whatever its query and its key are."""
    nothing = {n: 0 * arguments[n] for n in ("state", "normaliser")}
    got = step.known(arguments | nothing).moved(lambda a: a[..., 0, :])
    yield agree("context", got, exactly(arguments["value"][..., 0, :]))


def a_key_of_1_weighs_twice_as_much_as_one_of_0(
    step: Step, arguments: dict
) -> Comparisons:
    """Without a past, a second token whose key is 1 gets two thirds of its
    own value, and one of the first's, whose key is 0."""
    if arguments["query"].shape[-2] < 2:
        return
    nothing = {n: 0 * arguments[n] for n in ("state", "normaliser")}
    key = np.ones_like(arguments["key"])
    key[..., 0, :] = 0
    got = step.known(arguments | nothing | {"key": key})
    first, second = (
        exactly(arguments["value"][..., token, :]) for token in (0, 1)
    )
    there = got.moved(lambda a: a[..., 1, :])
    yield agree("context", there, (first + second.times(2)).over(3))


def the_past_weighs_what_its_normaliser_says(
    step: Step, arguments: dict
) -> Comparisons:
    """Where queries and keys are 0, each new token weighs as much as a
    query has features, and the past as much as its normaliser's sum."""
    state = np.zeros_like(arguments["state"])
    state += arguments["normaliser"][..., None]
    zeros = {n: 0 * arguments[n] for n in ("query", "key", "value")}
    got = step.known(arguments | zeros | {"state": state})
    past = exactly(arguments["normaliser"]).total()
    past = past.moved(lambda a: a[..., None])
    tokens, features = arguments["query"].shape[-2:]
    new = exactly(features * np.arange(1.0, tokens + 1)[:, None])
    yield agree("share of the past", got, quotient(past, past + new))


PROPERTIES = (
    Property(a_ring_keeps_the_last_tokens, of=("ring_write",)),
    Property(
        a_token_goes_into_the_slot_of_its_position, of=("ring_write",)
    ),
    Property(an_empty_slot_is_not_seen, of=("ring_mask",)),
    Property(
        beside_a_full_ring_a_query_sees_a_whole_window, of=("ring_mask",)
    ),
    Property(the_slot_that_is_next_is_out_of_the_window, of=("ring_mask",)),
    Property(an_empty_ring_has_no_part, of=RING),
    Property(what_is_overwritten_next_is_out_of_the_window, of=RING),
    Property(new_tokens_take_the_place_of_old_ones, of=RING),
    Property(a_latent_has_a_mean_square_of_1, of=("compression",)),
    Property(
        a_latent_keeps_the_direction_of_the_projection, of=("compression",)
    ),
    Property(the_weight_of_the_norm_comes_at_the_end, of=("compression",)),
    Property(content_alone_has_the_root_of_both, of=("decoupled_scores",)),
    Property(position_alone_has_the_root_of_both, of=("decoupled_scores",)),
    Property(equal_latents_are_the_context, of=LATENT),
    Property(a_masked_latent_has_no_part, of=LATENT),
    Property(content_and_position_have_one_root, of=LATENT),
    Property(
        the_size_of_a_chunk_does_not_matter,
        of=(*CHUNKWISE, "chunkwise_kernel_attention"),
    ),
    Property(
        later_tokens_change_nothing, of=(*LINEAR, *GATED, *KERNEL, *RING)
    ),
    Property(nothing_is_written_of_values_of_zero, of=LINEAR),
    Property(the_first_token_sees_itself, of=LINEAR),
    Property(what_is_written_whole_is_recalled_whole, of=GATED),
    Property(nothing_is_written_of_shares_of_zero, of=GATED),
    Property(a_first_token_writes_its_share, of=GATED),
    Property(every_feature_is_positive, of=("elu_plus_one",)),
    Property(above_0_it_is_one_more, of=("elu_plus_one",)),
    Property(below_0_it_is_an_exponential, of=("elu_plus_one",)),
    Property(weights_by_features_sum_to_1, of=KERNEL),
    Property(the_first_token_of_all_gets_its_own_value, of=KERNEL),
    Property(a_key_of_1_weighs_twice_as_much_as_one_of_0, of=KERNEL),
    Property(the_past_weighs_what_its_normaliser_says, of=KERNEL),
)
