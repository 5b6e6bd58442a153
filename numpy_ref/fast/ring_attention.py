"""Ring attention: a text over several processes, keys passed around.

Each rank, as a process of a group is called, holds some tokens of a text
that is too long for one. Queries stay where they are. Keys and values
travel: in every round a rank attends to those that have come to it, merges
what it finds with what it has (`partial_attention`), and passes them on to
the next rank. When they have been everywhere, every query has seen every
key, and no rank ever had more than two shards of them (Liu et al. 2023).

In a causal text early tokens have little to see, and the rank that holds
them would soon be idle. So the text is cut into two chunks for each rank,
and dealt out as in zigzag, forth and then back: rank 0 gets the first
chunk and the last, and every rank has the same to do in every round.
(Striped attention deals out single tokens, to the same end: Brandon et al.
2023.)

Here all ranks take turns in one process. In `torch_impl` they are
processes, too (`ring_of_ranks`), which take these very steps.

Axes: `query` counts the tokens that a rank asks for, `key` those of the
shard that has come to it; `position` the tokens of one shard, or of the
whole text. Positions in a shard ascend.
"""

from math import inf
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from ..checked import check_at_least, check_between, checked
from .partial_attention import (
    PartialAttention,
    merge_partial_attention,
    partial_attention,
)
from .tiled_attention import attention_delta, block_gradient


class QueryShard(NamedTuple):
    """What stays on a rank: its queries, and how far each may look."""

    query: Float[Array, "*batch query d_head"]
    last_visible: Int[Array, " query"]


class KeyShard(NamedTuple):
    """What travels: keys and values, with their places in the text."""

    key: Float[Array, "*batch key d_head"]
    value: Float[Array, "*batch key d_value"]
    attention_mask: Bool[Array, "*#batch key"]
    key_positions: Int[Array, " key"]


@checked
def zigzag_positions(
    tokens: int, ranks: int, rank: int
) -> Int[Array, " position"]:
    r"""Zigzag: which tokens a rank holds, an early and a late chunk.

    Of $2R$ chunks, chunk r and chunk $2R - 1 - r$, with R the `ranks` and
    r the `rank`. A chunk has $\lceil n / 2R \rceil$ tokens; one at the
    end of the text may be shorter, and those after it are empty.

    Raises ValueError unless each rank gets a token, and for a rank that
    there is not.

    >>> [zigzag_positions(14, 4, rank).tolist() for rank in (0, 1, 3)]
    [[0, 1], [2, 3, 12, 13], [6, 7, 8, 9]]
    """
    check_at_least("tokens", tokens, 1)
    check_between("ranks", ranks, 1, tokens)
    check_between("rank", rank, 0, ranks - 1)
    length = -(-tokens // (2 * ranks))  # rounded up
    early = rank * length + np.arange(length)
    late = (2 * ranks - 1 - rank) * length + np.arange(length)
    both = np.concatenate([early, late])
    positions = both[both < tokens]
    return positions


@checked
def query_shards(
    query: Float[Array, "*batch position d_head"],
    ranks: int,
    is_causal: bool,
) -> list[QueryShard]:
    """Queries over ranks: in a causal text each looks as far as itself.

    Elsewhere it looks as far as the last token. Raises ValueError unless
    each rank gets a token.
    """
    tokens = query.shape[-2]
    check_between("ranks", ranks, 1, tokens)
    places = [
        zigzag_positions(tokens, ranks, rank) for rank in range(ranks)
    ]
    shards = [
        QueryShard(
            query[..., positions, :],
            positions if is_causal else np.full_like(positions, tokens - 1),
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
    """Keys and values over ranks. Raises ValueError as `query_shards`."""
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
    r"""Mask between a rank's queries and a shard of keys, by position.

    $M_{ij} = [\,p_j \le l_i\,] \land a_j$, with $p_j$ the position of key
    j in the whole text, and $l_i$ the last that query i may see

    Both must be positions of the text: places in the shards would say of
    every shard that it is the first.
    """
    is_in_sight = key_positions <= last_visible[:, None]
    allowed = attention_mask[..., None, :]  # the same for all queries
    mask = is_in_sight & allowed
    return mask


@checked
def part_in_sight(
    last_visible: Int[Array, " query"],
    key_positions: Int[Array, " key"],
) -> tuple[int, int]:
    """Which queries see any of these keys, and which keys are seen at all.

    The queries from `first` on, and the keys up to `end`. In zigzag one of
    two halves is left out in every round but the first.

    >>> part_in_sight(np.array([2, 3, 12, 13]), np.array([0, 1, 14, 15]))
    (0, 2)
    >>> part_in_sight(np.array([2, 3, 12, 13]), np.array([4, 5, 10, 11]))
    (2, 4)
    """
    first = int((last_visible < key_positions.min()).sum())
    end = int((key_positions <= last_visible.max()).sum())
    return first, end


@checked
def nothing_attended(
    query: Float[Array, "*batch query d_head"],
    value: Float[Array, "*batch key d_value"],
) -> PartialAttention:
    r"""Attention to no key: 0, with a log-sum-exp of $-\infty$."""
    shape = (*query.shape[:-1], value.shape[-1])
    output = np.zeros(shape, query.dtype)
    log_sum_exp = np.full(shape[:-1], -inf, query.dtype)
    partial = PartialAttention(output, log_sum_exp)
    return partial


@checked
def attend_to_arrival(
    partial: PartialAttention,
    queries: QueryShard,
    arrival: KeyShard,
) -> PartialAttention:
    """One round of one rank: attend to what has come, merge, keep both.

    Only for the queries that see any of it, to the keys that are seen; for
    the others all is as it was.
    """
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
    output = np.concatenate(outputs, axis=-2)
    sums = [partial.log_sum_exp[..., :first], merged.log_sum_exp]
    log_sum_exp = np.concatenate(sums, axis=-1)
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
    """One round of the way back: what a rank and what has come to it get.

    The log-sum-exp is that of all keys, so the weights are those of the
    whole text, and the parts of all rounds have only to be added. Whatever
    is out of sight gets 0.
    """
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
    d_blind = np.zeros_like(queries.query[..., :first, :])
    d_unseen_key = np.zeros_like(arrival.key[..., end:, :])
    d_unseen_value = np.zeros_like(arrival.value[..., end:, :])
    d_query = np.concatenate([d_blind, d_seeing], axis=-2)
    d_key = np.concatenate([d_seen_key, d_unseen_key], axis=-2)
    d_value = np.concatenate([d_seen_value, d_unseen_value], axis=-2)
    return d_query, d_key, d_value


@checked
def ring_round(
    partials: list[PartialAttention],
    queries: list[QueryShard],
    arrivals: list[KeyShard],
) -> list[PartialAttention]:
    """One round of all ranks: each attends to what has come to it."""
    attended = [
        attend_to_arrival(*rank)
        for rank in zip(partials, queries, arrivals, strict=True)
    ]
    return attended


@checked
def pass_on(arrivals: list[KeyShard]) -> list[KeyShard]:
    """Pass on: each rank gets what the one before it had."""
    passed = arrivals[-1:] + arrivals[:-1]
    return passed


@checked
def ring_walk(
    partials: list[PartialAttention],
    queries: list[QueryShard],
    arrivals: list[KeyShard],
) -> list[PartialAttention]:
    """As many rounds as there are ranks: all keys come to everyone."""
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
    r"""Ring attention: shards of a text, whose keys go round
    (Liu et al. 2023, section 3).

    $O_r = \operatorname{merge}_s \operatorname{attention}(Q_r, K_s, V_s)$,
    over all shards s, for each rank r

    The numbers are those of `scaled_dot_product_attention`, whatever the
    number of ranks. `attention_mask` is True for the tokens of a text and
    False for padding. Raises ValueError unless each rank gets a token.
    """
    queries = query_shards(query, ranks, is_causal)
    shards = key_shards(key, value, attention_mask, ranks)
    nothing = [nothing_attended(rank.query, value) for rank in queries]
    attended = ring_walk(nothing, queries, shards)
    outputs = [partial.output for partial in attended]
    rows = np.concatenate(outputs, axis=-2)
    places = np.concatenate([shard.key_positions for shard in shards])
    order = np.argsort(places)
    context = rows[..., order, :]
    return context


@checked
def ring_attention_backward(
    d_context: Float[Array, "*batch position d_value"],
    query: Float[Array, "*batch position d_head"],
    key: Float[Array, "*batch position d_head"],
    value: Float[Array, "*batch position d_value"],
    attention_mask: Bool[Array, "*#batch position"],
    ranks: int,
    is_causal: bool,
) -> tuple[
    Float[Array, "*batch position d_head"],
    Float[Array, "*batch position d_head"],
    Float[Array, "*batch position d_value"],
]:
    r"""Gradient of a ring: that of keys and values goes round with them.

    $dQ_r = \sum_s dQ_{rs}$, added where the queries stay;
    $dK_s = \sum_r dK_{rs}$ and $dV_s = \sum_r dV_{rs}$, added on the way

    After the last round they are passed on once more, and so come home,
    to the rank whose keys they belong to. A ring that forgets it has the
    right context, and gives everyone the gradient of another's keys.
    """
    queries = query_shards(query, ranks, is_causal)
    shards = key_shards(key, value, attention_mask, ranks)
    nothing = [nothing_attended(rank.query, value) for rank in queries]
    attended = ring_walk(nothing, queries, shards)
    places = np.concatenate([shard.key_positions for shard in shards])
    d_rows = d_context[..., places, :]
    borders = np.cumsum([len(shard.key_positions) for shard in shards])[:-1]
    d_outputs = np.split(d_rows, borders, axis=-2)
    sums = _gradient_walk(d_outputs, attended, queries, shards)
    order = np.argsort(places)
    d_query, d_key, d_value = (
        np.concatenate(parts, axis=-2)[..., order, :] for parts in sums
    )
    return d_query, d_key, d_value


def _gradient_walk(
    d_outputs: list[Array],
    attended: list[PartialAttention],
    queries: list[QueryShard],
    arrivals: list[KeyShard],
) -> tuple[list[Array], list[Array], list[Array]]:
    """The rounds of the way back: d_query stays, the others travel."""
    d_queries = [np.zeros_like(rank.query) for rank in queries]
    d_keys = [np.zeros_like(shard.key) for shard in arrivals]
    d_values = [np.zeros_like(shard.value) for shard in arrivals]
    deltas = [
        attention_delta(d_output, partial.output)
        for d_output, partial in zip(d_outputs, attended, strict=True)
    ]
    for _ in queries:
        for rank, arrival in enumerate(arrivals):
            parts = gradient_of_arrival(
                d_outputs[rank],
                queries[rank],
                arrival,
                attended[rank].log_sum_exp,
                deltas[rank],
            )
            d_queries[rank] = d_queries[rank] + parts[0]
            d_keys[rank] = d_keys[rank] + parts[1]
            d_values[rank] = d_values[rank] + parts[2]
        arrivals = pass_on(arrivals)
        d_keys = d_keys[-1:] + d_keys[:-1]
        d_values = d_values[-1:] + d_values[:-1]
    return d_queries, d_keys, d_values
