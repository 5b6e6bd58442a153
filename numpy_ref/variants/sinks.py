"""Attention sinks: a head may leave some of its attention unused.

Softmax has each row sum to 1, though no key may be worth it. A sink is
one more score, learned for each head, that takes its share and gives
nothing: as if a key with a value of zeros stood there.
"""

from math import inf

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray as Array

from ..attention import (
    attention_scores,
    attention_scores_backward,
    softmax,
    softmax_backward,
)
from ..checked import checked


@checked
def sink_softmax(
    scores: Float[Array, "*batch head query key"],
    sink: Float[Array, " head"],
    mask: Bool[Array, "*#batch #head #query #key"],
) -> Float[Array, "*batch head query key"]:
    r"""Softmax with a sink: rows that sum to less than 1.

    $A_{ij} = e^{S_{ij}} / (e^{s} + \sum_{k \in M_i} e^{S_{ik}})$ for $j
    \in M_i$, and 0 where the mask forbids

    A query that may attend to nothing gets zeros: its sink takes all.
    As in GPT-OSS (OpenAI 2025). Towards minus infinity the
    sink is gone.
    """
    allowed = np.where(mask, scores, -inf)
    column = np.broadcast_to(sink[:, None, None], (*scores.shape[:-1], 1))
    beside = np.concatenate([allowed, column], axis=-1)
    shares = softmax(beside)
    weights = shares[..., :-1]
    return weights


@checked
def sink_softmax_backward(
    d_weights: Float[Array, "*batch head query key"],
    scores: Float[Array, "*batch head query key"],
    sink: Float[Array, " head"],
    mask: Bool[Array, "*#batch #head #query #key"],
) -> tuple[Float[Array, "*batch head query key"], Float[Array, " head"]]:
    r"""Gradient of that softmax: what the sink has gives nothing.

    With $dA_s = 0$ for its share: $(dS, ds) = \operatorname{d softmax}
    (dA, 0)$, and $ds$ is summed over all queries.
    """
    allowed = np.where(mask, scores, -inf)
    column = np.broadcast_to(sink[:, None, None], (*scores.shape[:-1], 1))
    beside = np.concatenate([allowed, column], axis=-1)
    nothing = np.zeros_like(column)
    d_shares = np.concatenate([d_weights, nothing], axis=-1)
    d_beside = softmax_backward(d_shares, beside)
    d_scores = d_beside[..., :-1]
    d_column = d_beside[..., -1:]
    rows = d_column.swapaxes(-3, -1).reshape(-1, len(sink))
    d_sink = rows.sum(axis=0)
    return d_scores, d_sink


@checked
def sink_attention(
    query: Float[Array, "*batch head query d_head"],
    key: Float[Array, "*batch head key d_head"],
    value: Float[Array, "*batch head key d_value"],
    sink: Float[Array, " head"],
    mask: Bool[Array, "*#batch #head #query #key"],
) -> Float[Array, "*batch head query d_value"]:
    r"""Attention with a sink for each head.

    $O = A V$, with the rows of $A$ below 1
    """
    scores = attention_scores(query, key)
    weights = sink_softmax(scores, sink, mask)
    context = weights @ value
    return context


@checked
def sink_attention_backward(
    d_context: Float[Array, "*batch head query d_value"],
    query: Float[Array, "*batch head query d_head"],
    key: Float[Array, "*batch head key d_head"],
    value: Float[Array, "*batch head key d_value"],
    sink: Float[Array, " head"],
    mask: Bool[Array, "*#batch #head #query #key"],
) -> tuple[
    Float[Array, "*batch head query d_head"],
    Float[Array, "*batch head key d_head"],
    Float[Array, "*batch head key d_value"],
    Float[Array, " head"],
]:
    """Gradient of attention with sinks, theirs at the end."""
    scores = attention_scores(query, key)
    weights = sink_softmax(scores, sink, mask)
    d_value = weights.swapaxes(-2, -1) @ d_context
    d_weights = d_context @ value.swapaxes(-2, -1)
    d_scores, d_sink = sink_softmax_backward(d_weights, scores, sink, mask)
    d_query, d_key = attention_scores_backward(d_scores, query, key)
    return d_query, d_key, d_value, d_sink
