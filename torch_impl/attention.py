"""Scaled dot-product attention (Vaswani et al. 2017, section 3.2.1)."""

from math import inf, sqrt

import torch
from jaxtyping import Bool, Float
from torch import Tensor as Array

from .checked import check_at_least, check_positive, checked
from .layers import dropout


@checked
def attention_scores(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
) -> Float[Array, "*batch query key"]:
    check_at_least("d_head", query.shape[-1], 1)
    similarity = query @ key.transpose(-2, -1)
    scores = similarity / sqrt(query.shape[-1])
    return scores


@checked
def softmax(
    scores: Float[Array, "*batch key"],
) -> Float[Array, "*batch key"]:
    maximum = scores.amax(dim=-1, keepdim=True)
    shifted = scores - maximum
    exponentials = torch.exp(shifted)
    total = exponentials.sum(dim=-1, keepdim=True)
    weights = exponentials / total
    return weights


@checked
def softmax_with_temperature(
    scores: Float[Array, "*batch key"],
    temperature: float,
) -> Float[Array, "*batch key"]:
    check_positive("temperature", temperature)
    tempered = scores / temperature
    weights = softmax(tempered)
    return weights


@checked
def masked_softmax(
    scores: Float[Array, "*batch query key"],
    mask: Bool[Array, "*#batch #query #key"],
) -> Float[Array, "*batch query key"]:
    allowed = scores.masked_fill(~mask, -inf)
    maximum = allowed.amax(dim=-1, keepdim=True)
    shift = maximum.masked_fill(maximum == -inf, 0)
    exponentials = torch.exp(allowed - shift)
    total = exponentials.sum(dim=-1, keepdim=True)
    divisor = total.masked_fill(total == 0, 1)
    weights = exponentials / divisor
    return weights


@checked
def scaled_dot_product_attention(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
) -> Float[Array, "*batch query d_value"]:
    scores = attention_scores(query, key)
    weights = masked_softmax(scores, mask)
    context = weights @ value
    return context


@checked
def attention_with_dropout(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    dropout_mask: Bool[Array, "*#batch #query #key"],
    rate: float,
) -> Float[Array, "*batch query d_value"]:
    scores = attention_scores(query, key)
    weights = masked_softmax(scores, mask)
    dropped = dropout(weights, dropout_mask, rate)
    context = dropped @ value
    return context
