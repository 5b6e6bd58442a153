"""Additive bias: numbers that are added to the scores, head by head."""

from jaxtyping import Bool, Float
from torch import Tensor as Array

from ..attention import attention_scores, masked_softmax
from ..checked import checked


@checked
def biased_attention(
    query: Float[Array, "*batch head query d_head"],
    key: Float[Array, "*batch head key d_head"],
    value: Float[Array, "*batch head key d_value"],
    bias: Float[Array, "head query key"],
    mask: Bool[Array, "*#batch #head #query #key"],
) -> Float[Array, "*batch head query d_value"]:
    scores = attention_scores(query, key)
    biased = scores + bias
    weights = masked_softmax(biased, mask)
    context = weights @ value
    return context
