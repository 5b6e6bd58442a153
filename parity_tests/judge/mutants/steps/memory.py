"""Mutants of variants of memory: rings, latents and states."""

from functools import partial

import numpy as np

from numpy_ref.variants.gated_delta import (
    decay_ratios,
    forward_substitution,
    recurrent_gated_delta,
)
from numpy_ref.variants.latent_attention import (
    absorbed_latent_attention,
    latent_attention,
)
from numpy_ref.variants.linear_attention import recurrent_linear_attention
from numpy_ref.variants.ring_buffer import (
    ring_mask,
    ring_positions,
    ring_write,
)

from .pieces import Mutants

RING_WRITE: Mutants = {
    "the past is forgotten: new tokens go into the first slots": (
        lambda ring, new, past: ring_write(ring, new, 0)
    ),
    "new tokens go one slot too far": (
        lambda ring, new, past: ring_write(ring, new, past + 1)
    ),
    "the ring is pushed along: the newest stands in the last slot": (
        lambda ring, new, past: np.concatenate([ring, new], axis=-2)[
            ..., -ring.shape[-2] :, :
        ]
    ),
    "of more new tokens than slots the first ones stay": (
        lambda ring, new, past: ring_write(
            ring, new[..., : ring.shape[-2], :], past
        )
    ),
}


def masked_by(queries, window, past, slots, low=0, high=-1, empty=False):
    """A mask of distances from `low` to the window plus `high`."""
    query = past + np.arange(queries)
    key = np.concatenate([slots, query])
    distance = query[:, None] - key
    near = (distance >= low) & (distance <= window + high)
    return near & (empty | (key >= 0))


def ring_masked(queries, window, past, **changed):
    slots = ring_positions(past, window)
    return masked_by(queries, window, past, slots, **changed)


RING_MASK: Mutants = {
    "empty slots are seen": partial(ring_masked, empty=True),
    "the window is one key too wide: it does not count its own": partial(
        ring_masked, high=0
    ),
    "new tokens see later ones": partial(ring_masked, low=-99),
    "the query's own key is hidden": partial(ring_masked, low=1),
    "slots are taken for positions": (
        lambda queries, window, past: masked_by(
            queries, window, past, np.arange(window)
        )
    ),
    "the past is forgotten: it is taken for 0": (
        lambda queries, window, past: ring_mask(queries, window, 0)
    ),
}


# --- latents -------------------------------------------------------------


def another_root(features):
    """Scores divided by the root of so many features, by their sizes."""

    def mutant(query, rotary_query, latent, rotary_key, *others):
        sizes = (a.shape[-1] for a in (query, rotary_query, latent))
        width = query.shape[-1] + rotary_query.shape[-1]
        factor = float(width / features(*sizes)) ** 0.5
        return latent_attention(
            *(factor * query, factor * rotary_query, latent, rotary_key),
            *others,
        )

    return mutant


def normed_again(query, rotary_query, latent, rotary_key, *others):
    rms = np.sqrt((latent * latent).mean(axis=-1, keepdims=True))
    normed = latent / np.where(rms == 0, 1, rms)
    return latent_attention(
        query, rotary_query, normed, rotary_key, *others
    )


LATENT: Mutants = {
    "the root is that of d_head: rotary features are not counted": (
        another_root(lambda d_head, d_rotary, d_latent: d_head)
    ),
    "the root is that of what is absorbed: d_latent + d_rotary": (
        another_root(lambda d_head, d_rotary, d_latent: d_latent + d_rotary)
    ),
    "positions are left out: no rotary key is asked": (
        lambda query, rotary_query, *others: absorbed_latent_attention(
            query, 0 * rotary_query, *others
        )
    ),
    "the latent is normalised once more": normed_again,
    "the mask is ignored": (
        lambda *given: latent_attention(
            *given[:-1], np.ones_like(given[-1])
        )
    ),
}


# --- states --------------------------------------------------------------


def weighted(query, key, value, state, _=None, seen=np.tril, scale=1.0):
    """All weights at once, as attention has them."""
    weights = seen(query @ key.swapaxes(-2, -1)) * scale
    context = query @ state * scale + weights @ value
    return context, state + key.swapaxes(-2, -1) @ value


def of_itself(weights):
    return np.tril(weights, -1)


def all_of_them(weights):
    return weights


def scaled(query, key, value, state, _=None):
    root = float(query.shape[-1]) ** 0.5
    return recurrent_linear_attention(query / root, key, value, state)


def from_nothing(query, key, value, state, _=None):
    return recurrent_linear_attention(query, key, value, 0 * state)


LINEAR: Mutants = {
    "a token does not see itself: it is written too late": partial(
        weighted, seen=of_itself
    ),
    "later tokens are seen: there is no causal mask": partial(
        weighted, seen=all_of_them
    ),
    "queries are scaled by the root of d_head": scaled,
    "the state before the text is left out": from_nothing,
}


def chunks(step, forgets, *arguments):
    """Chunk by chunk, the state carried on unless it `forgets`."""
    *tokens, state, chunk = arguments
    outputs = []
    for start in range(0, tokens[0].shape[-2], chunk):
        rows = slice(start, start + chunk)
        parts = [
            a[..., rows, :] if a.ndim == tokens[0].ndim else a[..., rows]
            for a in tokens
        ]
        before = 0 * state if forgets and start else state
        output, state = step(*parts, before)
        outputs.append(output)
    return np.concatenate(outputs, axis=-2), state


LINEAR_CHUNKS: Mutants = {
    **LINEAR,
    "each chunk begins anew: no state is carried on": partial(
        chunks, recurrent_linear_attention, True
    ),
}


def one_by_one(
    query,
    key,
    value,
    log_decay,
    beta,
    state,
    _=None,
    recalls=True,
    fades_first=True,
):
    """Token by token, a line of the rule changed."""
    outputs = []
    for row in range(query.shape[-2]):
        decay = np.exp(log_decay[..., row])[..., None, None]
        faded = decay * state
        column = key[..., row, :, None]
        before = faded if fades_first else state
        recalled = (before * column).sum(axis=-2) * recalls
        correction = beta[..., row, None] * (value[..., row, :] - recalled)
        state = faded + column * correction[..., None, :]
        outputs.append((state * query[..., row, :, None]).sum(axis=-2))
    return np.stack(outputs, axis=-2), state


def without(name):
    """The rule with one of its inputs as if it were not there."""

    def mutant(query, key, value, log_decay, beta, state, _=None):
        given = {"log_decay": log_decay, "beta": beta, "state": state}
        given[name] = given[name] * 0 + (name == "beta")
        return recurrent_gated_delta(query, key, value, **given)

    return mutant


GATED: Mutants = {
    "nothing is taken off before a value is written": partial(
        one_by_one, recalls=False
    ),
    "what is recalled has not faded yet": partial(
        one_by_one, fades_first=False
    ),
    "nothing fades: the decay is left out": without("log_decay"),
    "corrections are written whole: beta is left out": without("beta"),
    "the state before the text is left out": without("state"),
}


def chunk_with_mask(query, key, value, log_decay, beta, state):
    """The paper's chunk as it is printed.

    Origin: NVlabs/GatedDeltaNet issue 15 and NeuraLegion/shainet pull
    request 170.
    """
    ratios, shares = decay_ratios(log_decay), beta[..., None]
    left = np.exp(np.cumsum(log_decay, axis=-1))[..., None]
    lower = shares * ratios * (key @ key.swapaxes(-2, -1))
    right = shares * (value - left * (key @ state))
    corrections = forward_substitution(lower, right)
    weights = np.tril(query @ key.swapaxes(-2, -1))
    output = left * (query @ state) + weights @ corrections
    last = ratios[..., -1, :, None] * key
    new_state = left[..., -1:, :] * state
    return output, new_state + last.swapaxes(-2, -1) @ corrections


GATED_CHUNKS: Mutants = {
    **GATED,
    "each chunk begins anew: no state is carried on": partial(
        chunks, recurrent_gated_delta, True
    ),
    "within a chunk queries see what has not faded: M for Γ": partial(
        chunks, chunk_with_mask, False
    ),
}

MUTANTS = {
    "ring_write": RING_WRITE,
    "ring_mask": RING_MASK,
    "latent_attention": LATENT,
    "absorbed_latent_attention": LATENT,
    "recurrent_linear_attention": LINEAR,
    "chunkwise_linear_attention": LINEAR_CHUNKS,
    "recurrent_gated_delta": GATED,
    "chunkwise_gated_delta": GATED_CHUNKS,
}
