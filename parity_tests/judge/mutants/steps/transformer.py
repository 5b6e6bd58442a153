"""Mutants of the Transformer of 2017: ReLU, cross-attention, post-norm,
its embedding, its loss and its schedule."""

from collections.abc import Callable
from functools import partial
from math import sqrt

import numpy as np

from numpy_ref.embeddings import sinusoidal_positions
from numpy_ref.layers import gelu, layer_norm, linear
from numpy_ref.loss import log_sum_exp
from numpy_ref.multi_head import merge_heads
from numpy_ref.variants.cross_attention import open_cross_heads
from numpy_ref.variants.relu import feed_forward_relu, relu
from numpy_ref.variants.warm_up import warm_up_rate
from parity_tests.judge.mutants.attention_parts import Probe, attention
from parity_tests.judge.mutants.class_parts import (
    MUTANT_LAYERS,
    merge,
    split,
)
from parity_tests.judge.mutants.class_parts import finish as output_layer
from parity_tests.judge.mutants.class_parts import wired as as_named

from .embeddings import SINUSOIDAL_POSITIONS
from .layers import feed_forward, feed_forward_mutants
from .multi_head import OF_A_BATCH, OF_LAYERS
from .pieces import Mutants, nothing_done
from .self_attention import PARTS_OF_A_TOKEN

ACTIVATIONS: Mutants = {
    "it is a leaky ReLU, with a slope of 0.01 below 0": (
        lambda x: np.where(x > 0, x, 0.01 * x)
    ),
    "it is a GELU": gelu,
    "it is an ELU, e^x - 1 below 0": (
        lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))
    ),
    "it is a softplus, ln(1 + e^x)": lambda x: np.logaddexp(0, x),
    "it is a ReLU6: nothing is above 6": lambda x: np.clip(x, 0, 6),
    "what is above 0 is lost: the minimum, not the maximum": (
        lambda x: np.minimum(x, 0)
    ),
    "the sign is lost: it is the magnitude": np.abs,
    "it is squared": lambda x: relu(x) ** 2,
    "it is 1 above 0: the slope, not the value": (
        lambda x: np.where(x > 0, x * 0 + 1, 0)
    ),
}
RELU: Mutants = ACTIVATIONS | {"nothing is done": nothing_done}


# --- cross-attention -----------------------------------------------------


# What has an output only where both texts have as many tokens.
OF_ONE_TEXT = (*OF_A_BATCH, "attend to each other: there is no transpose")


def of_the_source(x, source):
    """Of which text queries, keys and values are made."""
    return x, source, source


def across(
    x,
    source,
    params,
    mask,
    heads,
    texts=of_the_source,
    wired=as_named,
    split=split,
    merge=merge,
    finish=output_layer,
    **parts,
):
    """Cross-attention, any part of which may be a wrong one."""
    layers = wired(params.query, params.key, params.value)
    projected = (
        split(linear(text, layer), heads)
        for text, layer in zip(texts(x, source), layers, strict=True)
    )
    probe = Probe(*projected, mask[..., None, :, :])
    output = params.output.weight, params.output.bias
    return finish(merge(attention(probe, **parts)), output, heads)


CROSS_ATTENTION: Mutants = {
    "queries are made from the source, too": partial(
        across, texts=lambda x, source: (source, source, source)
    ),
    "keys are made from the target": partial(
        across, texts=lambda x, source: (x, x, source)
    ),
    "values are made from the target": partial(
        across, texts=lambda x, source: (x, source, x)
    ),
    "keys and values are made from the target: it is self-attention": (
        partial(across, texts=lambda x, source: (x, x, x))
    ),
    "target and source are swapped": partial(
        across, texts=lambda x, source: (source, x, x)
    ),
    "the mask hides tokens of the target, not of the source": (
        lambda x, source, params, mask, heads: across(
            x, source, params, mask.swapaxes(-2, -1), heads
        )
    ),
} | {
    n: partial(across, **p)
    for n, p in (PARTS_OF_A_TOKEN | MUTANT_LAYERS).items()
    if not n.endswith(OF_ONE_TEXT) and not {*p} & OF_LAYERS
}


# --- post-norm -----------------------------------------------------------

ORDERS = {
    "the norm comes first: it is pre-norm": (
        lambda x, sublayer, norm: x + sublayer(norm(x))
    ),
    "the norm is of f(x) alone, and x is added to it": (
        lambda x, sublayer, norm: x + norm(sublayer(x))
    ),
    "x is left out: the norm is of f(x) alone": (
        lambda x, sublayer, norm: norm(sublayer(x))
    ),
    "the norm is of x alone, and f(x) is added to it": (
        lambda x, sublayer, norm: norm(x) + sublayer(x)
    ),
    "the norm is left out": lambda x, sublayer, norm: x + sublayer(x),
    "the norm comes first and last": (
        lambda x, sublayer, norm: norm(x + sublayer(norm(x)))
    ),
    "x is added once more, after the norm": (
        lambda x, sublayer, norm: x + norm(x + sublayer(x))
    ),
}


def around_attention(x, source, params, mask, heads, epsilon, order):
    """Attention and its norm in another order; also its parts."""
    opened = []

    def sublayer(tokens):
        parts = open_cross_heads(
            tokens, source, params.attention, mask, heads
        )
        opened.append(parts)
        return linear(merge_heads(parts.context), params.attention.output)

    def norm(tokens):
        return layer_norm(tokens, params.norm, epsilon)

    return order(x, sublayer, norm), *opened


def around_feed_forward(
    x, params, epsilon, order, network=feed_forward_relu
):
    """A feed-forward network and its norm in another order."""

    def sublayer(tokens):
        return network(tokens, params.feed_forward)

    def norm(tokens):
        return layer_norm(tokens, params.norm, epsilon)

    return order(x, sublayer, norm)


def in_order(x, sublayer, norm):
    return norm(x + sublayer(x))


POST_NORM_FEED_FORWARD: Mutants = {
    n: partial(around_feed_forward, order=o) for n, o in ORDERS.items()
} | {
    "the network has a GELU, not a ReLU": partial(
        around_feed_forward,
        order=in_order,
        network=partial(feed_forward, activation=gelu),
    ),
    "epsilon is 1, whatever is given": (
        lambda x, params, _: around_feed_forward(x, params, 1, in_order)
    ),
}
POST_NORM_ATTENTION: Mutants = {
    n: partial(around_attention, order=o) for n, o in ORDERS.items()
}


# --- the embedding -------------------------------------------------------


def unchanged(_):
    return 1


def embedded(
    ids,
    params,
    of_rows=sqrt,
    of_positions=unchanged,
    encoded=sinusoidal_positions,
    place=nothing_done,
):
    """Rows and positions, each times a number made of d_model."""
    rows = params.token.weight[ids]
    d_model = rows.shape[-1]
    positions = place(np.arange(ids.shape[-1], dtype=float))
    places = of_positions(d_model) * encoded(positions, d_model)
    return of_rows(d_model) * rows + places


EMBEDDING: Mutants = {
    "rows are not multiplied by √d_model": partial(
        embedded, of_rows=unchanged
    ),
    "rows are multiplied by d_model, not by its root": partial(
        embedded, of_rows=float
    ),
    "rows are divided by √d_model, not multiplied": partial(
        embedded, of_rows=lambda d_model: 1 / sqrt(d_model)
    ),
    "positions are multiplied by √d_model, too": partial(
        embedded, of_positions=sqrt
    ),
    "positions are left out": partial(
        embedded, of_positions=lambda d_model: 0
    ),
    "every token gets position 0": partial(
        embedded, place=lambda positions: 0 * positions
    ),
} | {
    cause: partial(embedded, encoded=mutant)
    for cause, mutant in SINUSOIDAL_POSITIONS.items()
    if not cause.startswith(
        ("the positions given are", "every position is")
    )
}


# --- label smoothing -----------------------------------------------------


def smoothed(logits, targets, smoothing, ignored, wanted):
    """The mean of -q ln p over the targets that count, with any q."""
    counts = targets != ignored
    log_share = logits - log_sum_exp(logits)[..., None]
    hot = targets[..., None] == np.arange(logits.shape[-1])
    return -(wanted(hot, smoothing) * log_share)[counts].sum(-1).mean()


def evenly(hot, smoothing):
    """An even part for every token, the target included."""
    return (1 - smoothing) * hot + smoothing / hot.shape[-1]


def to_the_others(hot, smoothing):
    others = np.maximum(hot.shape[-1] - 1, 1)
    return np.where(hot, 1 - smoothing, smoothing / others)


TARGETS: dict[str, Callable] = {
    "the smoothing goes to the other tokens only, not to the right one: "
    "tensor2tensor's convention": to_the_others,
    "there is no smoothing": lambda hot, smoothing: 1 * hot,
    "the smoothing is subtracted twice from the right token": (
        lambda hot, smoothing: evenly(hot, smoothing) - smoothing * hot
    ),
    "the smoothing is not subtracted from the right token": (
        lambda hot, smoothing: hot + smoothing / hot.shape[-1]
    ),
    "the smoothing is not divided by the size of the vocabulary": (
        lambda hot, smoothing: (1 - smoothing) * hot + smoothing
    ),
    "the other tokens get nothing: the right one loses the smoothing": (
        lambda hot, smoothing: (1 - smoothing) * hot
    ),
    "smoothing and 1 - smoothing are swapped": (
        lambda hot, smoothing: evenly(hot, 1 - smoothing)
    ),
}


def joined(join: Callable) -> Callable:
    """The smoothed loss, its terms joined by `join` with what counts."""

    def loss(logits, targets, smoothing, ignored):
        counts = targets != ignored
        log_share = logits - log_sum_exp(logits)[..., None]
        hot = targets[..., None] == np.arange(logits.shape[-1])
        each = -(evenly(hot, smoothing) * log_share).sum(-1)
        return join(each, counts)

    return loss


SMOOTHED_CROSS_ENTROPY: Mutants = {
    cause: partial(smoothed, wanted=wanted)
    for cause, wanted in TARGETS.items()
} | {
    "the mean counts ignored targets, too": joined(
        lambda each, counts: each[counts].sum() / counts.size
    ),
    "it is the sum, not the mean": joined(
        lambda each, counts: each[counts].sum()
    ),
    "ignored targets count by their even part": joined(
        lambda each, counts: each.sum() / counts.sum()
    ),
    "ignored targets are a mean's terms, by their even part": joined(
        lambda each, counts: each.mean()
    ),
    "the sign is wrong": joined(lambda each, counts: -each[counts].mean()),
}


# --- the schedule --------------------------------------------------------


def scheduled(
    step, d_model, warm_up_steps, join=min, width=-0.5, rise=-1.5, fall=-0.5
):
    """The schedule, with any exponents."""
    return d_model**width * join(step**fall, step * warm_up_steps**rise)


WARM_UP_RATE: Mutants = {
    "steps are counted from 0": (
        lambda step, *sizes: warm_up_rate(step + 1, *sizes)
    ),
    "the exponent of the warm-up's steps is -1/2, not -3/2": partial(
        scheduled, rise=-0.5
    ),
    "the exponent of the warm-up's steps is -1, not -3/2: the branches "
    "do not meet": partial(scheduled, rise=-1),
    "the rate grows with the features: d_model^(1/2), not -1/2": partial(
        scheduled, width=0.5
    ),
    "it is divided by d_model, not by its root": partial(
        scheduled, width=-1
    ),
    "d_model is left out": partial(scheduled, width=0),
    "the larger branch is taken: the maximum, not the minimum": partial(
        scheduled, join=max
    ),
    "there is no warm-up: it falls from the first step on": partial(
        scheduled, join=lambda falling, rising: falling
    ),
    "nothing falls: the line goes on after the warm-up": partial(
        scheduled, join=lambda falling, rising: rising
    ),
    "it falls with the step, not with its root": partial(
        scheduled, fall=-1
    ),
    "after the warm-up it stays as it is": (
        lambda step, d_model, warm_up_steps: scheduled(
            min(step, warm_up_steps), d_model, warm_up_steps
        )
    ),
}


MUTANTS: dict[str, Mutants] = {
    "cross_attention": CROSS_ATTENTION,
    "feed_forward_relu": feed_forward_mutants(relu, ACTIVATIONS),
    "post_norm_attention": POST_NORM_ATTENTION,
    "post_norm_feed_forward": POST_NORM_FEED_FORWARD,
    "relu": RELU,
    "smoothed_cross_entropy": SMOOTHED_CROSS_ENTROPY,
    "transformer_embedding": EMBEDDING,
    "warm_up_rate": WARM_UP_RATE,
}
