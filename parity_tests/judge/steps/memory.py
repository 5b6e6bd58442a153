"""Properties of variants of memory: rings, latents and states."""

from math import log, sqrt

import numpy as np

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


# --- latents -------------------------------------------------------------


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
    Property(equal_latents_are_the_context, of=LATENT),
    Property(a_masked_latent_has_no_part, of=LATENT),
    Property(content_and_position_have_one_root, of=LATENT),
    Property(the_size_of_a_chunk_does_not_matter, of=CHUNKWISE),
    Property(later_tokens_change_nothing, of=(*LINEAR, *GATED)),
    Property(nothing_is_written_of_values_of_zero, of=LINEAR),
    Property(the_first_token_sees_itself, of=LINEAR),
    Property(what_is_written_whole_is_recalled_whole, of=GATED),
    Property(nothing_is_written_of_shares_of_zero, of=GATED),
    Property(a_first_token_writes_its_share, of=GATED),
)
