"""Tiled attention: scores tile by tile, and never all of them."""

from math import inf, sqrt

import torch
from jaxtyping import Bool, Float
from torch import Tensor as Array

from ..attention import attention_scores
from ..checked import check_at_least, checked
from ..masks import causal_mask
from .partial_attention import PartialAttention, partial_attention_in_blocks


@checked
def attention_delta(
    d_context: Float[Array, "*batch query d_value"],
    context: Float[Array, "*batch query d_value"],
) -> Float[Array, "*batch query"]:
    delta = (d_context * context).sum(dim=-1)
    return delta


@checked
def block_weights(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    mask: Bool[Array, "*#batch #query #key"],
    log_sum_exp: Float[Array, "*batch query"],
) -> Float[Array, "*batch query key"]:
    scores = attention_scores(query, key)
    allowed = scores.masked_fill(~mask, -inf)
    shift = log_sum_exp.masked_fill(log_sum_exp == -inf, 0)
    weights = torch.exp(allowed - shift[..., None])
    return weights


@checked
def block_gradient(
    d_context: Float[Array, "*batch query d_value"],
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    log_sum_exp: Float[Array, "*batch query"],
    delta: Float[Array, "*batch query"],
) -> tuple[
    Float[Array, "*batch query d_head"],
    Float[Array, "*batch key d_head"],
    Float[Array, "*batch key d_value"],
]:
    weights = block_weights(query, key, mask, log_sum_exp)
    d_value = weights.transpose(-2, -1) @ d_context
    d_weights = d_context @ value.transpose(-2, -1)
    d_scores = weights * (d_weights - delta[..., None])
    d_similarity = d_scores / sqrt(query.shape[-1])
    d_query = d_similarity @ key
    d_key = d_similarity.transpose(-2, -1) @ query
    return d_query, d_key, d_value


@checked
def add_block_gradients(
    d_query: Float[Array, "*batch query d_head"],
    d_context: Float[Array, "*batch query d_value"],
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    log_sum_exp: Float[Array, "*batch query"],
    delta: Float[Array, "*batch query"],
    past: int,
    block: int,
) -> tuple[
    Float[Array, "*batch query d_head"],
    Float[Array, "*batch key d_head"],
    Float[Array, "*batch key d_value"],
]:
    check_at_least("past", past, 0)
    check_at_least("block", block, 1)
    queries, keys = query.shape[-2], key.shape[-2]
    whole = mask.expand(*mask.shape[:-2], queries, keys)
    d_keys, d_values = [], []
    for start in range(0, keys, block):
        columns = slice(start, start + block)
        first = max(start - past, 0)
        below = whole[..., first:, columns]
        causal = causal_mask(*below.shape[-2:], max(past - start, 0))
        part, d_key_block, d_value_block = block_gradient(
            d_context[..., first:, :],
            query[..., first:, :],
            key[..., columns, :],
            value[..., columns, :],
            below & causal.to(query.device),
            log_sum_exp[..., first:],
            delta[..., first:],
        )
        before = d_query[..., :first, :]
        behind = d_query[..., first:, :] + part
        d_query = torch.cat([before, behind], dim=-2)
        d_keys.append(d_key_block)
        d_values.append(d_value_block)
    d_key = torch.cat(d_keys, dim=-2)
    d_value = torch.cat(d_values, dim=-2)
    summed_d_query = d_query
    return summed_d_query, d_key, d_value


@checked
def tiled_causal_attention(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    past: int,
    block: int,
) -> tuple[
    Float[Array, "*batch query d_value"],
    PartialAttention,
]:
    check_at_least("past", past, 0)
    check_at_least("block", block, 1)
    queries, keys = query.shape[-2], key.shape[-2]
    whole = mask.expand(*mask.shape[:-2], queries, keys)
    outputs, sums = [], []
    for start in range(0, queries, block):
        rows = slice(start, start + block)
        seen = past + start + block
        beside = whole[..., rows, :seen]
        causal = causal_mask(*beside.shape[-2:], past + start)
        tile = partial_attention_in_blocks(
            query[..., rows, :],
            key[..., :seen, :],
            value[..., :seen, :],
            beside & causal.to(query.device),
            block,
        )
        outputs.append(tile.output)
        sums.append(tile.log_sum_exp)
    context = torch.cat(outputs, dim=-2)
    log_sum_exp = torch.cat(sums, dim=-1)
    partial = PartialAttention(context, log_sum_exp)
    return context, partial


@checked
def tiled_attention(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    block: int,
) -> Float[Array, "*batch query d_value"]:
    past = key.shape[-2]
    context, _ = tiled_causal_attention(
        query, key, value, mask, past, block
    )
    return context
