"""Ring attention over processes: the loop that communicates.

What a rank computes stands in `ring_attention`; here is what it sends and
receives, on any backend of torch.distributed (gloo, nccl). Keys and values
for the next round are on their way while a rank attends to those it has.
On the way back their gradients follow them, a round behind, and go one
round further: home.

Each rank sends, of n tokens, all keys and values but those of the rank
after it, once on the way there and once on the way back, and then the
gradients of all n.
"""

from collections.abc import Iterator

import torch
from torch import Tensor as Array
from torch import distributed

from .ring_attention import (
    KeyShard,
    QueryShard,
    attend_to_arrival,
    gradient_of_arrival,
    nothing_attended,
    zigzag_positions,
)
from .tiled_attention import attention_delta


class Ring:
    """A ring of ranks: who comes before and after, and what was sent."""

    def __init__(self, group=None):
        self.group = group
        self.rank = distributed.get_rank(group)
        self.ranks = distributed.get_world_size(group)
        self.sent_bytes = 0

    def neighbour(self, steps: int) -> int:
        """The rank so many steps further, as torch.distributed counts."""
        rank = (self.rank + steps) % self.ranks
        if self.group is None:
            return rank
        return distributed.get_global_rank(self.group, rank)

    def positions(self, tokens: int, rounds: int) -> Array:
        """Where those tokens stand whose keys are here in this round."""
        rank = (self.rank - rounds) % self.ranks
        return zigzag_positions(tokens, self.ranks, rank)

    def pass_on(self, arrays: list[Array], count: int) -> "OnTheWay":
        """Send to the next rank, and receive from the one before.

        All arrays have positions as their last axis but one; `count` of
        them are to come.
        """
        if self.ranks == 1:
            return OnTheWay([], arrays, arrays)
        sent = [array.contiguous() for array in arrays]
        coming = [
            array.new_empty((*array.shape[:-2], count, array.shape[-1]))
            for array in arrays
        ]
        send, receive = distributed.isend, distributed.irecv
        after, before = self.neighbour(1), self.neighbour(-1)
        operations = [
            distributed.P2POp(send, array, after, self.group)
            for array in sent
        ] + [
            distributed.P2POp(receive, array, before, self.group)
            for array in coming
        ]
        self.sent_bytes += sum(array.nbytes for array in sent)
        works = distributed.batch_isend_irecv(operations)
        return OnTheWay(works, sent, coming)

    def arrivals(self, own: KeyShard, tokens: int) -> Iterator[KeyShard]:
        """A rank's own keys, and then all others, as they come round.

        While one shard is attended to, the next is on its way.
        """
        arrival = own
        for rounds in range(1, self.ranks):
            positions = self.positions(tokens, rounds)
            is_token = arrival.attention_mask[..., None].to(torch.uint8)
            arrays = [arrival.key, arrival.value, is_token]
            on_the_way = self.pass_on(arrays, len(positions))
            yield arrival
            key, value, is_token = on_the_way.arrived()
            mask = is_token[..., 0].to(torch.bool)
            arrival = KeyShard(key, value, mask, positions)
        yield arrival


class OnTheWay:
    """Arrays that are being sent, and others that are to come."""

    def __init__(self, works, sent: list[Array], coming: list[Array]):
        # What is sent must not be freed before it has gone.
        self.works, self.sent, self.coming = works, sent, coming

    def arrived(self) -> list[Array]:
        """Wait, and return what has come."""
        for work in self.works:
            work.wait()
        return self.coming


class _RingOfRanks(torch.autograd.Function):
    """Forward and backward of one rank, for autograd."""

    @staticmethod
    def forward(
        context, query, key, value, attention_mask, tokens, is_causal, ring
    ):
        own = ring.positions(tokens, rounds=0)
        last = own if is_causal else torch.full_like(own, tokens - 1)
        queries = QueryShard(query, last)
        shard = KeyShard(key, value, attention_mask, own)
        partial = nothing_attended(query, value)
        for arrival in ring.arrivals(shard, tokens):
            partial = attend_to_arrival(partial, queries, arrival)
        context.save_for_backward(query, key, value, attention_mask)
        context.partial, context.last = partial, last
        context.tokens, context.ring = tokens, ring
        return partial.output

    @staticmethod
    def backward(context, d_output):
        query, key, value, attention_mask = context.saved_tensors
        tokens, ring = context.tokens, context.ring
        queries = QueryShard(query, context.last)
        own = ring.positions(tokens, rounds=0)
        shard = KeyShard(key, value, attention_mask, own)
        delta = attention_delta(d_output, context.partial.output)
        d_query = torch.zeros_like(query)
        # The gradients of the own keys set out with nothing in them.
        d_key, d_value = torch.zeros_like(key), torch.zeros_like(value)
        on_the_way = OnTheWay([], [], [d_key, d_value])
        for rounds, arrival in enumerate(ring.arrivals(shard, tokens), 1):
            d_seen_query, d_seen_key, d_seen_value = gradient_of_arrival(
                d_output,
                queries,
                arrival,
                context.partial.log_sum_exp,
                delta,
            )
            d_query = d_query + d_seen_query
            d_key, d_value = on_the_way.arrived()
            on_the_way = ring.pass_on(
                [d_key + d_seen_key, d_value + d_seen_value],
                len(ring.positions(tokens, rounds)),
            )
        d_key, d_value = on_the_way.arrived()  # home
        return d_query, d_key, d_value, None, None, None, None


def ring_attention_of_rank(
    query: Array,
    key: Array,
    value: Array,
    attention_mask: Array,
    tokens: int,
    is_causal: bool,
    ring: Ring,
) -> Array:
    """Attention of one rank's tokens to the whole text.

    All arrays are those of the rank's `zigzag_positions` of `tokens`. All
    ranks must call it, and all go back through it, in the same order.
    """
    return _RingOfRanks.apply(
        query, key, value, attention_mask, tokens, is_causal, ring
    )
