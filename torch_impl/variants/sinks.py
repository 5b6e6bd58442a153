"""Attention sinks: a head may leave some of its attention unused."""

from math import inf

import torch
from jaxtyping import Bool, Float
from torch import Tensor as Array

from ..attention import attention_scores, softmax
from ..checked import checked


@checked
def sink_softmax(
    scores: Float[Array, "*batch head query key"],
    sink: Float[Array, " head"],
    mask: Bool[Array, "*#batch #head #query #key"],
) -> Float[Array, "*batch head query key"]:
    allowed = scores.masked_fill(~mask, -inf)
    column = sink[:, None, None].expand(*scores.shape[:-1], 1)
    beside = torch.cat([allowed, column], dim=-1)
    shares = softmax(beside)
    weights = shares[..., :-1]
    return weights


@checked
def sink_attention(
    query: Float[Array, "*batch head query d_head"],
    key: Float[Array, "*batch head key d_head"],
    value: Float[Array, "*batch head key d_value"],
    sink: Float[Array, " head"],
    mask: Bool[Array, "*#batch #head #query #key"],
) -> Float[Array, "*batch head query d_value"]:
    scores = attention_scores(query, key)
    weights = sink_softmax(scores, sink, mask)
    context = weights @ value
    return context
