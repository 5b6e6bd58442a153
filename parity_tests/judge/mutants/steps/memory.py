"""Mutants of variants of memory: rings, latents, states, features."""

from functools import partial

import numpy as np

from numpy_ref.attention import scaled_dot_product_attention
from numpy_ref.variants.gated_delta import (
    decay_ratios,
    forward_substitution,
    recurrent_gated_delta,
)
from numpy_ref.variants.latent_attention import (
    absorbed_latent_attention,
    decoupled_scores,
    latent_attention,
)
from numpy_ref.variants.linear_attention import (
    elu_plus_one,
    kernel_attention,
    recurrent_linear_attention,
)
from numpy_ref.variants.projection import projection
from numpy_ref.variants.ring_buffer import (
    ring_mask,
    ring_positions,
    ring_window_attention,
    ring_write,
)
from numpy_ref.variants.rms_norm import rms_norm

from .pieces import Mutants, mean, nothing_done

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


def of_ring(query, key, value, ring_key, ring_value, past, mask=ring_mask):
    """Attention to a ring and new tokens, by any mask of the two."""
    seen = mask(query.shape[-2], ring_key.shape[-2], past)
    keys = np.concatenate([ring_key, key], axis=-2)
    values = np.concatenate([ring_value, value], axis=-2)
    return scaled_dot_product_attention(query, keys, values, seen)


def written_first(query, key, value, ring_key, ring_value, past):
    """New tokens go into the ring, and the ring alone is seen."""
    queries, slots = query.shape[-2], ring_key.shape[-2]
    keys, values = (
        ring_write(ring, new, past)
        for ring, new in ((ring_key, key), (ring_value, value))
    )
    positions = ring_positions(past + queries, slots)
    distance = past + np.arange(queries)[:, None] - positions
    seen = (positions >= 0) & (distance >= 0) & (distance < slots)
    return scaled_dot_product_attention(query, keys, values, seen)


RING_WINDOW: Mutants = {
    cause: partial(of_ring, mask=mask) for cause, mask in RING_MASK.items()
} | {
    "new tokens are written into the ring before it is asked": (
        written_first
    ),
    "scores are not divided by √d_head": (
        lambda query, *others: ring_window_attention(
            query * float(query.shape[-1]) ** 0.5, *others
        )
    ),
}


# --- latents -------------------------------------------------------------


def compressed(x, params, epsilon, norm=rms_norm):
    return norm(projection(x, params.down), params.norm, epsilon)


def norm_first(x, params, epsilon):
    normed = x / np.sqrt(mean(x * x) + epsilon)
    return projection(normed, params.down) * params.norm.weight


COMPRESSION: Mutants = {
    "the latent is not normalised": partial(
        compressed, norm=lambda latent, params, epsilon: latent
    ),
    "the latent is not normalised, only multiplied by the weight": partial(
        compressed,
        norm=lambda latent, params, epsilon: latent * params.weight,
    ),
    "the token is normalised, not its latent: the norm comes first": (
        norm_first
    ),
    "the mean is subtracted: that is layer norm": partial(
        compressed,
        norm=lambda latent, params, epsilon: (
            (latent - mean(latent))
            / np.sqrt(latent.var(-1, keepdims=True) + epsilon)
            * params.weight
        ),
    ),
    "the weight of the norm is left out": partial(
        compressed,
        norm=lambda latent, params, epsilon: (
            latent / np.sqrt(mean(latent * latent) + epsilon)
        ),
    ),
}


def asked(similarity, rotary_query, rotary_key):
    """What is added to the similarity, not divided."""
    return rotary_query @ rotary_key[..., None, :, :].swapaxes(-2, -1)


def rooted(features):
    """Scores divided by the root of so many features."""

    def mutant(similarity, rotary_query, rotary_key, d_head):
        both = similarity + asked(similarity, rotary_query, rotary_key)
        width = features(d_head, rotary_query.shape[-1])
        return both / float(width) ** 0.5

    return mutant


def apart(similarity, rotary_query, rotary_key, d_head):
    rotary = asked(similarity, rotary_query, rotary_key)
    width = float(rotary_query.shape[-1])
    return similarity / float(d_head) ** 0.5 + rotary / width**0.5


DECOUPLED_SCORES: Mutants = {
    "the root is that of d_head: rotary features are not counted": rooted(
        lambda d_head, d_rotary: d_head
    ),
    "the root is that of the rotary features alone": rooted(
        lambda d_head, d_rotary: d_rotary
    ),
    "scores are divided by d_head + d_rotary, not by its root": rooted(
        lambda d_head, d_rotary: (d_head + d_rotary) ** 2
    ),
    "scores are not divided": rooted(lambda d_head, d_rotary: 1),
    "content and position have a root each": apart,
    "positions are left out: no rotary key is asked": (
        lambda similarity, rotary_query, rotary_key, d_head: (
            decoupled_scores(
                similarity, 0 * rotary_query, rotary_key, d_head
            )
        )
    ),
    "content is left out: only positions are asked": (
        lambda similarity, *others: decoupled_scores(
            0 * similarity, *others
        )
    ),
    "positions are not divided, only the content": (
        lambda similarity, rotary_query, rotary_key, d_head: (
            decoupled_scores(
                similarity, 0 * rotary_query, rotary_key, d_head
            )
            + asked(similarity, rotary_query, rotary_key)
        )
    ),
}


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

# --- feature maps --------------------------------------------------------

ELU_PLUS_ONE: Mutants = {
    "the 1 is left out: it is an ELU, which may be negative": (
        lambda x: elu_plus_one(x) - 1
    ),
    "it is the exponential above 0, too": np.exp,
    "it is a ReLU": lambda x: np.maximum(x, 0),
    "it is a ReLU plus 1: below 0 nothing falls": (
        lambda x: np.maximum(x, 0) + 1
    ),
    "it is a softplus, ln(1 + e^x)": lambda x: np.logaddexp(0, x),
    "1 is added to the exponential, too": (
        lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0))) + 1
    ),
    "the sign in the exponent is wrong: it grows below 0": (
        lambda x: np.exp(-np.minimum(x, 0)) + np.maximum(x, 0)
    ),
    "nothing is done": nothing_done,
}


def by_kernel(
    query,
    key,
    value,
    state,
    normaliser,
    _=None,
    of_query=elu_plus_one,
    of_key=elu_plus_one,
    seen=np.tril,
    divided=True,
):
    """All weights at once, a part of the rule changed."""
    asking, asked = of_query(query), of_key(key)
    weights = seen(asking @ asked.swapaxes(-2, -1))
    context = asking @ state + weights @ value
    sums = asking @ normaliser[..., None]
    sums = sums + weights.sum(axis=-1, keepdims=True)
    new_state = state + asked.swapaxes(-2, -1) @ value
    new_normaliser = normaliser + asked.sum(axis=-2)
    context = context / sums if divided else context
    return context, new_state, new_normaliser


def shifted_elu(x):
    """Without the 1."""
    return elu_plus_one(x) - 1


KERNEL: Mutants = {
    "the normaliser is left out: weights do not sum to 1": partial(
        by_kernel, divided=False
    ),
    "queries and keys have no feature map": partial(
        by_kernel, of_query=nothing_done, of_key=nothing_done
    ),
    "queries have no feature map": partial(
        by_kernel, of_query=nothing_done
    ),
    "keys have no feature map": partial(by_kernel, of_key=nothing_done),
    "the feature map is an ELU, without the 1": partial(
        by_kernel, of_query=shifted_elu, of_key=shifted_elu
    ),
    "the feature map is an exponential": partial(
        by_kernel, of_query=np.exp, of_key=np.exp
    ),
    "a token does not see itself: it is written too late": partial(
        by_kernel, seen=of_itself
    ),
    "later tokens are seen: there is no causal mask": partial(
        by_kernel, seen=all_of_them
    ),
    "the state before the text is left out": (
        lambda query, key, value, state, normaliser, _=None: by_kernel(
            query, key, value, 0 * state, normaliser
        )
    ),
    "the normaliser before the text is left out": (
        lambda query, key, value, state, normaliser, _=None: by_kernel(
            query, key, value, state, 0 * normaliser
        )
    ),
    "the past is left out: neither state nor normaliser is taken": (
        lambda query, key, value, state, normaliser, _=None: by_kernel(
            query, key, value, 0 * state, 0 * normaliser
        )
    ),
}


def kernel_chunks(
    query, key, value, state, normaliser, chunk, kept=(True, True)
):
    """Chunk by chunk; of state and normaliser may be one not kept."""
    outputs, carried = [], (state, normaliser)
    for start in range(0, query.shape[-2], chunk):
        rows = slice(start, start + chunk)
        tokens = (a[..., rows, :] for a in (query, key, value))
        if start:
            carried = [
                part if is_kept else 0 * part
                for part, is_kept in zip(carried, kept, strict=True)
            ]
        output, *carried = kernel_attention(*tokens, *carried)
        outputs.append(output)
    return np.concatenate(outputs, axis=-2), *carried


KERNEL_CHUNKS: Mutants = KERNEL | {
    "each chunk begins anew: nothing is carried on": partial(
        kernel_chunks, kept=(False, False)
    ),
    "the state is not carried on from chunk to chunk": partial(
        kernel_chunks, kept=(False, True)
    ),
    "the normaliser is not carried on from chunk to chunk": partial(
        kernel_chunks, kept=(True, False)
    ),
}

MUTANTS = {
    "compression": COMPRESSION,
    "decoupled_scores": DECOUPLED_SCORES,
    "elu_plus_one": ELU_PLUS_ONE,
    "kernel_attention": KERNEL,
    "chunkwise_kernel_attention": KERNEL_CHUNKS,
    "ring_window_attention": RING_WINDOW,
    "ring_write": RING_WRITE,
    "ring_mask": RING_MASK,
    "latent_attention": LATENT,
    "absorbed_latent_attention": LATENT,
    "recurrent_linear_attention": LINEAR,
    "chunkwise_linear_attention": LINEAR_CHUNKS,
    "recurrent_gated_delta": GATED,
    "chunkwise_gated_delta": GATED_CHUNKS,
}
