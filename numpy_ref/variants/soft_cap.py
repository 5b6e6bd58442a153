"""Soft cap: no score is further from 0 than a cap.

A score of the cap's size is drawn in, a small one stays as it is; so
attention can not become one-hot by scores alone.
"""

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray as Array

from ..attention import (
    attention_scores,
    attention_scores_backward,
    masked_softmax,
    masked_softmax_backward,
)
from ..checked import check_positive, checked


@checked
def soft_cap(
    scores: Float[Array, "*shape"],
    cap: float,
) -> Float[Array, "*shape"]:
    r"""Soft cap: a smooth limit, with a slope of 1 at 0.

    $S' = c \tanh(S / c)$

    50 for the scores of Gemma 2, and 30 for its logits (Riviere et al.
    2024, section 2). Raises ValueError unless `cap` is finite and above 0.
    """
    check_positive("cap", cap)
    share = scores / cap
    bounded = np.tanh(share)
    capped = cap * bounded
    return capped


@checked
def soft_cap_backward(
    d_capped: Float[Array, "*shape"],
    scores: Float[Array, "*shape"],
    cap: float,
) -> Float[Array, "*shape"]:
    r"""Gradient of the cap: the further out, the less comes through.

    $dS = dS' \, (1 - \tanh^2(S / c))$
    """
    check_positive("cap", cap)
    bounded = np.tanh(scores / cap)
    d_bounded = d_capped * cap
    d_share = d_bounded * (1 - bounded * bounded)
    d_scores = d_share / cap
    return d_scores


@checked
def capped_attention(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    cap: float,
) -> Float[Array, "*batch query d_value"]:
    r"""Attention with capped scores: the cap first, and then the mask.

    $A = \operatorname{softmax}(c \tanh(Q K^\top / (c
    \sqrt{d_\text{head}})))$ over the keys that the mask allows

    The other way round a masked score of -inf would come out as -c, and
    be seen.
    """
    scores = attention_scores(query, key)
    capped = soft_cap(scores, cap)
    weights = masked_softmax(capped, mask)
    context = weights @ value
    return context


@checked
def capped_attention_backward(
    d_context: Float[Array, "*batch query d_value"],
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    cap: float,
) -> tuple[
    Float[Array, "*batch query d_head"],
    Float[Array, "*batch key d_head"],
    Float[Array, "*batch key d_value"],
]:
    """Gradient of attention, through the cap."""
    scores = attention_scores(query, key)
    capped = soft_cap(scores, cap)
    weights = masked_softmax(capped, mask)
    d_value = weights.swapaxes(-2, -1) @ d_context
    d_weights = d_context @ value.swapaxes(-2, -1)
    d_capped = masked_softmax_backward(d_weights, capped, mask)
    d_scores = soft_cap_backward(d_capped, scores, cap)
    d_query, d_key = attention_scores_backward(d_scores, query, key)
    return d_query, d_key, d_value
