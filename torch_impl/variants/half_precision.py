"""Half precision: attention in bfloat16 or float16, and where it rounds."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor as Array

from ..attention import (
    attention_scores,
    masked_softmax,
    scaled_dot_product_attention,
)
from ..checked import Half, check_between, checked


@checked
def round_to(
    x: Float[Array, "*shape"],
    bits: int,
) -> Float[Array, "*shape"]:
    check_between("bits", bits, 1, 53)
    mantissa, exponent = torch.frexp(x)
    steps = mantissa * 2.0**bits
    whole = torch.round(steps)
    rounded = torch.ldexp(whole, exponent - bits)
    return rounded


@checked
def add_in_half(
    total: Half[Array, "*batch feature"],
    term: Half[Array, "*batch feature"],
) -> Half[Array, "*batch feature"]:
    total_rounded = total + term
    return total_rounded


@checked
def sum_in_half(
    total: Half[Array, "*batch feature"],
    terms: Half[Array, "*batch term feature"],
) -> Half[Array, "*batch feature"]:
    for index in range(terms.shape[-2]):
        total = add_in_half(total, terms[..., index, :])
    return total


@checked
def attention_inside_float32(
    query: Half[Array, "*batch query d_head"],
    key: Half[Array, "*batch key d_head"],
    value: Half[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
) -> Half[Array, "*batch query d_value"]:
    wide_query = query.float()
    wide_key = key.float()
    wide_value = value.float()
    context = scaled_dot_product_attention(
        wide_query, wide_key, wide_value, mask
    )
    context_rounded = context.to(query.dtype)
    return context_rounded


@checked
def attention_rounded_within(
    query: Half[Array, "*batch query d_head"],
    key: Half[Array, "*batch key d_head"],
    value: Half[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
) -> Half[Array, "*batch query d_value"]:
    wide_query = query.float()
    wide_key = key.float()
    wide_value = value.float()
    scores = attention_scores(wide_query, wide_key)
    scores_rounded = scores.to(query.dtype)
    wide_scores = scores_rounded.float()
    weights = masked_softmax(wide_scores, mask)
    weights_rounded = weights.to(query.dtype)
    wide_weights = weights_rounded.float()
    context = wide_weights @ wide_value
    context_rounded = context.to(query.dtype)
    return context_rounded
