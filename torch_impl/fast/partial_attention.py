"""Partial attention: online softmax, and how two parts become one."""

from math import inf
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor as Array
from torch.nn import functional as F

from ..attention import attention_scores
from ..checked import check_at_least, checked


class RunningSoftmax(NamedTuple):
    """Online softmax: what each query keeps of the keys that it has met."""

    weighted_sum: Float[Array, "*batch query d_value"]
    maximum: Float[Array, "*batch query"]
    total: Float[Array, "*batch query"]


class PartialAttention(NamedTuple):
    """Attention to some of the keys, and what merging needs."""

    output: Float[Array, "*batch query d_value"]
    log_sum_exp: Float[Array, "*batch query"]


@checked
def nothing_seen(
    query: Float[Array, "*batch query d_head"],
    value: Float[Array, "*batch key d_value"],
) -> RunningSoftmax:
    shape = (*query.shape[:-1], value.shape[-1])
    weighted_sum = query.new_zeros(shape)
    maximum = query.new_full(shape[:-1], -inf)
    total = query.new_zeros(shape[:-1])
    running = RunningSoftmax(weighted_sum, maximum, total)
    return running


@checked
def add_key_block(
    running: RunningSoftmax,
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
) -> RunningSoftmax:
    scores = attention_scores(query, key)
    allowed = scores.masked_fill(~mask, -inf)
    # One column more, because PyTorch finds no maximum of nothing.
    block_maximum = F.pad(allowed, (0, 1), value=-inf).amax(dim=-1)
    maximum = torch.maximum(running.maximum, block_maximum)
    shift = maximum.masked_fill(maximum == -inf, 0)
    rescale = torch.exp(running.maximum - shift)
    exponentials = torch.exp(allowed - shift[..., None])
    total = running.total * rescale + exponentials.sum(dim=-1)
    rescaled_sum = running.weighted_sum * rescale[..., None]
    weighted_sum = rescaled_sum + exponentials @ value
    extended = RunningSoftmax(weighted_sum, maximum, total)
    return extended


@checked
def add_key_blocks(
    running: RunningSoftmax,
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    block: int,
) -> RunningSoftmax:
    check_at_least("block", block, 1)
    whole = mask.expand(*mask.shape[:-1], key.shape[-2])
    for start in range(0, key.shape[-2], block):
        columns = slice(start, start + block)
        running = add_key_block(
            running,
            query,
            key[..., columns, :],
            value[..., columns, :],
            whole[..., columns],
        )
    extended = running
    return extended


@checked
def normalised(running: RunningSoftmax) -> PartialAttention:
    divisor = running.total.masked_fill(running.total == 0, 1)
    output = running.weighted_sum / divisor[..., None]
    log_sum_exp = running.maximum + torch.log(divisor)
    partial = PartialAttention(output, log_sum_exp)
    return partial


@checked
def partial_attention(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
) -> PartialAttention:
    running = nothing_seen(query, value)
    extended = add_key_block(running, query, key, value, mask)
    partial = normalised(extended)
    return partial


@checked
def partial_attention_in_blocks(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    block: int,
) -> PartialAttention:
    running = nothing_seen(query, value)
    extended = add_key_blocks(running, query, key, value, mask, block)
    partial = normalised(extended)
    return partial


@checked
def merge_partial_attention(
    first: PartialAttention,
    second: PartialAttention,
) -> PartialAttention:
    maximum = torch.maximum(first.log_sum_exp, second.log_sum_exp)
    shift = maximum.masked_fill(maximum == -inf, 0)
    first_power = torch.exp(first.log_sum_exp - shift)
    second_power = torch.exp(second.log_sum_exp - shift)
    total = first_power + second_power
    divisor = total.masked_fill(total == 0, 1)
    first_share = first_power / divisor
    second_share = second_power / divisor
    first_part = first_share[..., None] * first.output
    output = first_part + second_share[..., None] * second.output
    log_sum_exp = maximum + torch.log(divisor)
    merged = PartialAttention(output, log_sum_exp)
    return merged


@checked
def merge_neighbours(
    partials: tuple[PartialAttention, ...],
) -> tuple[PartialAttention, ...]:
    merged = [
        merge_partial_attention(*pair)
        for pair in zip(partials[::2], partials[1::2], strict=False)
    ]
    odd = partials[2 * len(merged) :]
    fewer = (*merged, *odd)
    return fewer


@checked
def merge_tree(partials: tuple[PartialAttention, ...]) -> PartialAttention:
    check_at_least("partials", len(partials), 1)
    while len(partials) > 1:
        partials = merge_neighbours(partials)
    (merged,) = partials
    return merged


@checked
def split_key_attention(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    block: int,
) -> Float[Array, "*batch query d_value"]:
    check_at_least("block", block, 1)
    whole = mask.expand(*mask.shape[:-1], key.shape[-2])
    starts = range(0, key.shape[-2], block)
    partials = tuple(
        partial_attention(
            query,
            key[..., start : start + block, :],
            value[..., start : start + block, :],
            whole[..., start : start + block],
        )
        for start in starts
    )
    context = merge_tree(partials).output
    return context
