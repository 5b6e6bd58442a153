"""Additive bias: numbers that are added to the scores, head by head.

ALiBi (`alibi.py`) and T5 (`relative_positions.py`) say by them how far
apart two tokens are. A number is as large as the score it stands beside,
so the bias comes after the division by the root of d_head.
"""

from jaxtyping import Bool, Float
from numpy import ndarray as Array

from ..attention import (
    attention_scores,
    attention_scores_backward,
    masked_softmax,
    masked_softmax_backward,
)
from ..checked import checked


@checked
def biased_attention(
    query: Float[Array, "*batch head query d_head"],
    key: Float[Array, "*batch head key d_head"],
    value: Float[Array, "*batch head key d_value"],
    bias: Float[Array, "head query key"],
    mask: Bool[Array, "*#batch #head #query #key"],
) -> Float[Array, "*batch head query d_value"]:
    r"""Attention with a bias, the same for all texts.

    $A = \operatorname{softmax}(Q K^\top / \sqrt{d_\text{head}} + B)$,
    $O = A V$

    A constant added to a whole row changes nothing: softmax is of
    differences.
    """
    scores = attention_scores(query, key)
    biased = scores + bias
    weights = masked_softmax(biased, mask)
    context = weights @ value
    return context


@checked
def biased_attention_backward(
    d_context: Float[Array, "*batch head query d_value"],
    query: Float[Array, "*batch head query d_head"],
    key: Float[Array, "*batch head key d_head"],
    value: Float[Array, "*batch head key d_value"],
    bias: Float[Array, "head query key"],
    mask: Bool[Array, "*#batch #head #query #key"],
) -> tuple[
    Float[Array, "*batch head query d_head"],
    Float[Array, "*batch head key d_head"],
    Float[Array, "*batch head key d_value"],
    Float[Array, "head query key"],
]:
    r"""Gradient: that of the scores, summed over the texts for the bias.

    $dB = \sum_\text{texts} dS$
    """
    scores = attention_scores(query, key)
    biased = scores + bias
    weights = masked_softmax(biased, mask)
    d_value = weights.swapaxes(-2, -1) @ d_context
    d_weights = d_context @ value.swapaxes(-2, -1)
    d_biased = masked_softmax_backward(d_weights, biased, mask)
    d_scores = d_biased
    d_query, d_key = attention_scores_backward(d_scores, query, key)
    d_bias = d_biased.reshape(-1, *bias.shape).sum(axis=0)
    return d_query, d_key, d_value, d_bias
