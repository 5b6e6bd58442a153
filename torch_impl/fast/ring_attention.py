"""Ring attention: a text over several processes, keys passed around."""

from math import inf
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor as Array

from ..checked import check_at_least, check_between, checked
from .partial_attention import (
    PartialAttention,
    merge_partial_attention,
    partial_attention,
)
from .tiled_attention import block_gradient


class QueryShard(NamedTuple):
    query: Float[Array, "*batch query d_head"]
    last_visible: Int[Array, " query"]


class KeyShard(NamedTuple):
    key: Float[Array, "*batch key d_head"]
    value: Float[Array, "*batch key d_value"]
    attention_mask: Bool[Array, "*#batch key"]
    key_positions: Int[Array, " key"]


@checked
def zigzag_positions(
    tokens: int, ranks: int, rank: int
) -> Int[Array, " position"]:
    check_at_least("tokens", tokens, 1)
    check_between("ranks", ranks, 1, tokens)
    check_between("rank", rank, 0, ranks - 1)
    length = -(-tokens // (2 * ranks))  # rounded up
    early = rank * length + torch.arange(length)
    late = (2 * ranks - 1 - rank) * length + torch.arange(length)
    both = torch.cat([early, late])
    positions = both[both < tokens]
    return positions


@checked
def query_shards(
    query: Float[Array, "*batch position d_head"],
    ranks: int,
    is_causal: bool,
) -> list[QueryShard]:
    tokens = query.shape[-2]
    check_between("ranks", ranks, 1, tokens)
    places = [
        zigzag_positions(tokens, ranks, rank) for rank in range(ranks)
    ]
    shards = [
        QueryShard(
            query[..., positions, :],
            positions
            if is_causal
            else torch.full_like(positions, tokens - 1),
        )
        for positions in places
    ]
    return shards


@checked
def key_shards(
    key: Float[Array, "*batch position d_head"],
    value: Float[Array, "*batch position d_value"],
    attention_mask: Bool[Array, "*#batch position"],
    ranks: int,
) -> list[KeyShard]:
    tokens = key.shape[-2]
    check_between("ranks", ranks, 1, tokens)
    places = [
        zigzag_positions(tokens, ranks, rank) for rank in range(ranks)
    ]
    shards = [
        KeyShard(
            key[..., positions, :],
            value[..., positions, :],
            attention_mask[..., positions],
            positions,
        )
        for positions in places
    ]
    return shards


@checked
def shard_mask(
    last_visible: Int[Array, " query"],
    key_positions: Int[Array, " key"],
    attention_mask: Bool[Array, "*batch key"],
) -> Bool[Array, "*batch query key"]:
    is_in_sight = key_positions <= last_visible[:, None]
    allowed = attention_mask[..., None, :]
    mask = is_in_sight.to(allowed.device) & allowed
    return mask


@checked
def part_in_sight(
    last_visible: Int[Array, " query"],
    key_positions: Int[Array, " key"],
) -> tuple[int, int]:
    first = int((last_visible < key_positions.min()).sum())
    end = int((key_positions <= last_visible.max()).sum())
    return first, end


@checked
def nothing_attended(
    query: Float[Array, "*batch query d_head"],
    value: Float[Array, "*batch key d_value"],
) -> PartialAttention:
    shape = (*query.shape[:-1], value.shape[-1])
    output = query.new_zeros(shape)
    log_sum_exp = query.new_full(shape[:-1], -inf)
    partial = PartialAttention(output, log_sum_exp)
    return partial


@checked
def attend_to_arrival(
    partial: PartialAttention,
    queries: QueryShard,
    arrival: KeyShard,
) -> PartialAttention:
    first, end = part_in_sight(queries.last_visible, arrival.key_positions)
    mask = shard_mask(
        queries.last_visible[first:],
        arrival.key_positions[:end],
        arrival.attention_mask[..., :end],
    )
    found = partial_attention(
        queries.query[..., first:, :],
        arrival.key[..., :end, :],
        arrival.value[..., :end, :],
        mask,
    )
    earlier_output = partial.output[..., first:, :]
    earlier_log_sum_exp = partial.log_sum_exp[..., first:]
    earlier = PartialAttention(earlier_output, earlier_log_sum_exp)
    merged = merge_partial_attention(earlier, found)
    outputs = [partial.output[..., :first, :], merged.output]
    output = torch.cat(outputs, dim=-2)
    sums = [partial.log_sum_exp[..., :first], merged.log_sum_exp]
    log_sum_exp = torch.cat(sums, dim=-1)
    attended = PartialAttention(output, log_sum_exp)
    return attended


@checked
def gradient_of_arrival(
    d_context: Float[Array, "*batch query d_value"],
    queries: QueryShard,
    arrival: KeyShard,
    log_sum_exp: Float[Array, "*batch query"],
    delta: Float[Array, "*batch query"],
) -> tuple[
    Float[Array, "*batch query d_head"],
    Float[Array, "*batch key d_head"],
    Float[Array, "*batch key d_value"],
]:
    first, end = part_in_sight(queries.last_visible, arrival.key_positions)
    mask = shard_mask(
        queries.last_visible[first:],
        arrival.key_positions[:end],
        arrival.attention_mask[..., :end],
    )
    d_seeing, d_seen_key, d_seen_value = block_gradient(
        d_context[..., first:, :],
        queries.query[..., first:, :],
        arrival.key[..., :end, :],
        arrival.value[..., :end, :],
        mask,
        log_sum_exp[..., first:],
        delta[..., first:],
    )
    d_blind = torch.zeros_like(queries.query[..., :first, :])
    d_unseen_key = torch.zeros_like(arrival.key[..., end:, :])
    d_unseen_value = torch.zeros_like(arrival.value[..., end:, :])
    d_query = torch.cat([d_blind, d_seeing], dim=-2)
    d_key = torch.cat([d_seen_key, d_unseen_key], dim=-2)
    d_value = torch.cat([d_seen_value, d_unseen_value], dim=-2)
    return d_query, d_key, d_value


@checked
def ring_round(
    partials: list[PartialAttention],
    queries: list[QueryShard],
    arrivals: list[KeyShard],
) -> list[PartialAttention]:
    attended = [
        attend_to_arrival(*rank)
        for rank in zip(partials, queries, arrivals, strict=True)
    ]
    return attended


@checked
def pass_on(arrivals: list[KeyShard]) -> list[KeyShard]:
    passed = arrivals[-1:] + arrivals[:-1]
    return passed


@checked
def ring_walk(
    partials: list[PartialAttention],
    queries: list[QueryShard],
    arrivals: list[KeyShard],
) -> list[PartialAttention]:
    for _ in range(len(queries)):
        partials = ring_round(partials, queries, arrivals)
        arrivals = pass_on(arrivals)
    attended = partials
    return attended


@checked
def ring_attention(
    query: Float[Array, "*batch position d_head"],
    key: Float[Array, "*batch position d_head"],
    value: Float[Array, "*batch position d_value"],
    attention_mask: Bool[Array, "*#batch position"],
    ranks: int,
    is_causal: bool,
) -> Float[Array, "*batch position d_value"]:
    queries = query_shards(query, ranks, is_causal)
    shards = key_shards(key, value, attention_mask, ranks)
    nothing = [nothing_attended(rank.query, value) for rank in queries]
    attended = ring_walk(nothing, queries, shards)
    outputs = [partial.output for partial in attended]
    rows = torch.cat(outputs, dim=-2)
    places = torch.cat([shard.key_positions for shard in shards])
    order = torch.argsort(places)
    context = rows[..., order, :]
    return context
