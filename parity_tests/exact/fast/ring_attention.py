from functools import reduce
from operator import add

import numpy as np

from ..numbers import known_exactly
from .partial_attention import (
    PartialAttention,
    merge_partial_attention,
    partial_attention,
    rows,
)
from .tiled_attention import (
    attention_delta,
    below_each_other,
    block_gradient,
    from_row,
)


def zigzag_positions(tokens, ranks, rank):
    """Token by token: whose is its chunk?"""
    length = -(-tokens // (2 * ranks))
    chunks = (rank, 2 * ranks - 1 - rank)
    early, late = (
        [chunk * length + index for index in range(length)]
        for chunk in chunks
    )
    both = early + late
    positions = [n for n in range(tokens) if n // length in chunks]
    return locals()


def all_positions(tokens, ranks):
    return [
        zigzag_positions(tokens, ranks, rank)["positions"]
        for rank in range(ranks)
    ]


def query_shards(query, ranks, is_causal):
    tokens = query.shape[-2]
    places = all_positions(tokens, ranks)
    shards = [(rows(query, some), None) for some in places]
    return locals()


def key_shards(key, value, attention_mask, ranks):
    tokens = key.shape[-2]
    places = all_positions(tokens, ranks)
    shards = [
        (rows(key, some), rows(value, some), None, None) for some in places
    ]
    return locals()


def shard_mask(last_visible, key_positions, attention_mask):
    is_in_sight = [
        [p <= last for p in key_positions] for last in last_visible
    ]
    allowed = attention_mask[..., None, :]
    mask = (
        np.array(is_in_sight).reshape(len(last_visible), len(key_positions))
        * allowed
    )
    return locals()


def part_in_sight(last_visible, key_positions):
    seen = [p for p in key_positions if p <= max(last_visible)]
    blind = [last for last in last_visible if last < min(key_positions)]
    return {"first": len(blind), "end": len(seen)}


def nothing_attended(query, value):
    shape = (*query.shape[:-1], value.shape[-1])
    output = known_exactly(np.zeros(shape), query)
    log_sum_exp = known_exactly(np.full(shape[:-1], -np.inf), query)
    partial = PartialAttention(output, log_sum_exp)
    return locals()


def in_sight(queries, arrival):
    """What is left of queries and keys, and the mask between them."""
    key, value, attention_mask, key_positions = arrival
    query, last_visible = queries
    first, end = part_in_sight(last_visible, key_positions).values()
    mask = shard_mask(
        last_visible[first:], key_positions[:end], attention_mask[..., :end]
    )["mask"]
    left = rows(query, slice(first, None))
    return (
        first,
        end,
        mask,
        left,
        *(rows(a, slice(end)) for a in (key, value)),
    )


def attend_to_arrival(partial, queries, arrival):
    first, end, mask, query, key, value = in_sight(queries, arrival)
    found = partial_attention(query, key, value, mask)["partial"]
    earlier_output = rows(partial.output, slice(first, None))
    earlier_log_sum_exp = from_row(partial.log_sum_exp, first)
    earlier = PartialAttention(earlier_output, earlier_log_sum_exp)
    merged = merge_partial_attention(earlier, found)["merged"]
    outputs = [rows(partial.output, slice(first)), merged.output]
    before = partial.log_sum_exp.moved(lambda a: a[..., :first])
    sums = [before, merged.log_sum_exp]
    output = below_each_other(outputs)
    log_sum_exp = below_each_other(sums, -1)
    attended = PartialAttention(output, log_sum_exp)
    return locals()


def gradient_of_arrival(d_context, queries, arrival, log_sum_exp, delta):
    first, end, mask, query, key, value = in_sight(queries, arrival)
    steps = block_gradient(
        *(rows(d_context, slice(first, None)), query, key, value, mask),
        *(from_row(a, first) for a in (log_sum_exp, delta)),
    )
    d_seeing, d_seen_key, d_seen_value = (
        steps[name] for name in ("d_query", "d_key", "d_value")
    )
    d_blind = zeros(rows(queries[0], slice(first)))
    d_unseen_key = zeros(rows(arrival[0], slice(end, None)))
    d_unseen_value = zeros(rows(arrival[1], slice(end, None)))
    d_query = below_each_other([d_blind, d_seeing])
    d_key = below_each_other([d_seen_key, d_unseen_key])
    d_value = below_each_other([d_seen_value, d_unseen_value])
    return locals()


def zeros(a):
    return known_exactly(np.zeros(a.shape), a)


def ring_round(partials, queries, arrivals):
    attended = [
        attend_to_arrival(*rank)["attended"]
        for rank in zip(partials, queries, arrivals, strict=True)
    ]
    return {"attended": attended}


def pass_on(arrivals):
    passed = [(*shard[:2], None, None) for shard in arrivals]
    return {"passed": passed[-1:] + passed[:-1]}


def ring_walk(partials, queries, arrivals):
    """Rank by rank: what each has met in the end, in its order."""
    attended = []
    for rank, partial in enumerate(partials):
        for arrival in met_by(rank, arrivals):
            steps = attend_to_arrival(partial, queries[rank], arrival)
            partial = steps["attended"]
        attended.append(partial)
    return {"attended": attended}


def met_by(rank, arrivals):
    """The shards that come to a rank, its own first, then backwards."""
    return [arrivals[rank - rounds] for rounds in range(len(arrivals))]


def shards_of(query, key, value, attention_mask, ranks, is_causal):
    tokens = query.shape[-2]
    places = all_positions(tokens, ranks)
    queries, shards = [], []
    for some in map(np.array, places):
        last = some if is_causal else np.full_like(some, tokens - 1)
        queries.append((rows(query, some), last))
        mask = attention_mask[..., some]
        shards.append((rows(key, some), rows(value, some), mask, some))
    return queries, shards, np.concatenate(places)


def ring_attention(query, key, value, attention_mask, ranks, is_causal):
    queries, whole, places = shards_of(
        query, key, value, attention_mask, ranks, is_causal
    )
    nothing = [
        nothing_attended(rank[0], value)["partial"] for rank in queries
    ]
    attended = ring_walk(nothing, queries, whole)["attended"]
    outputs = [partial.output for partial in attended]
    stacked = below_each_other(outputs)
    order = np.argsort(places)
    return {
        "queries": [(rank[0], None) for rank in queries],
        "shards": [(*shard[:2], None, None) for shard in whole],
        "nothing": nothing,
        "attended": attended,
        "outputs": outputs,
        "rows": stacked,
        "places": places,
        "order": order,
        "context": rows(stacked, order),
    }


def ring_attention_backward(
    d_context, query, key, value, attention_mask, ranks, is_causal
):
    arguments = (query, key, value, attention_mask, ranks, is_causal)
    queries, shards, places = shards_of(*arguments)
    steps = ring_attention(*arguments)
    d_rows = rows(d_context, places)
    order = steps["order"]
    d_outputs = [rows(d_context, shard[-1]) for shard in shards]
    d_queries = []
    d_keys, d_values = ([[] for _ in shards] for _ in range(2))
    for rank, d_output in enumerate(d_outputs):
        partial = steps["attended"][rank]
        delta = attention_delta(d_output, partial.output)["delta"]
        d_parts = []
        for rounds, arrival in enumerate(met_by(rank, shards)):
            parts = gradient_of_arrival(
                d_output, queries[rank], arrival, partial.log_sum_exp, delta
            )
            d_parts.append(parts["d_query"])
            d_keys[rank - rounds].append((rounds, parts["d_key"]))
            d_values[rank - rounds].append((rounds, parts["d_value"]))
        d_queries.append(reduce(add, d_parts))
    return {
        "d_rows": d_rows,
        "d_outputs": d_outputs,
        "d_query": rows(below_each_other(d_queries), order),
        "d_key": rows(added_on_the_way(d_keys), order),
        "d_value": rows(added_on_the_way(d_values), order),
    }


def added_on_the_way(parts_of_shards):
    """For each shard the sum of its parts, in the order of the rounds."""
    return below_each_other(
        [
            reduce(add, (part for _, part in sorted(parts, key=first_of)))
            for parts in parts_of_shards
        ]
    )


def first_of(pair):
    return pair[0]
