"""Soft cap: no score is further from 0 than a cap."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor as Array

from ..attention import attention_scores, masked_softmax
from ..checked import check_positive, checked


@checked
def soft_cap(
    scores: Float[Array, "*shape"],
    cap: float,
) -> Float[Array, "*shape"]:
    check_positive("cap", cap)
    share = scores / cap
    bounded = torch.tanh(share)
    capped = cap * bounded
    return capped


@checked
def capped_attention(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    cap: float,
) -> Float[Array, "*batch query d_value"]:
    scores = attention_scores(query, key)
    capped = soft_cap(scores, cap)
    weights = masked_softmax(capped, mask)
    context = weights @ value
    return context
