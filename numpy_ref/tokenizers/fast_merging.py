"""Fast byte-pair merging: the ids of `merge_all`, in less time.

The form for use. `byte_pair_encoding` is the form for reading; a test
holds them equal. Merges are a dict here: a pair, and the id it becomes,
which is also its rank.
"""

from collections import defaultdict
from heapq import heappop, heappush
from itertools import pairwise

from ..byte_pair_encoding import BYTE_ORDER, NEVER
from .token_chain import GONE, Pair, TokenChain

LONG = 128  # tokens; from about here on the heap is the faster way

ID_OF_BYTE = bytes(BYTE_ORDER.index(value) for value in range(256))


def fast_byte_ids(data: bytes) -> list[int]:
    """Each byte's place in GPT-2's order."""
    return list(data.translate(ID_OF_BYTE))


def fast_merge_all(ids: list[int], merges: dict[Pair, int]) -> list[int]:
    """Merge until no two neighbours are a known pair.

    >>> fast_merge_all([64, 64, 64, 65], {(64, 64): 256, (256, 65): 257})
    [256, 64, 65]
    """
    merge = merge_by_scan if len(ids) < LONG else merge_by_heap
    return merge(ids, merges)


def merge_by_scan(ids: list[int], merges: dict[Pair, int]) -> list[int]:
    """Find the lowest rank, merge its first pair, and look again.

    Quadratic, but with nothing to prepare: for short pre-tokens.
    """
    ids = [GONE, *ids, GONE]  # so that each token has two neighbours
    ranks = [merges.get(pair, NEVER) for pair in pairwise(ids)]
    while (lowest := min(ranks)) < NEVER:
        place = ranks.index(lowest)
        ids[place] = lowest
        del ids[place + 1], ranks[place]
        left, right = ids[place - 1], ids[place + 1]
        ranks[place - 1] = merges.get((left, lowest), NEVER)
        ranks[place] = merges.get((lowest, right), NEVER)
    return ids[1:-1]


def merge_by_heap(ids: list[int], merges: dict[Pair, int]) -> list[int]:
    """Take the ranks in order; merge each one wherever it still stands.

    Grows like n log n. A merge makes pairs of a higher rank only, so all
    places of a rank are known by its turn.
    """
    chain = TokenChain([ids])
    waiting = RankQueue(merges)
    for place, pair in chain.all_pairs():
        waiting.add(place, pair)
    while waiting.ranks:
        rank, places = waiting.take()
        for place in places:
            if merges.get(chain.pair(place)) == rank:
                chain.merge(place, rank)
                for near, pair in chain.pairs_around(place):
                    waiting.add(near, pair)
    return chain.left_over()


class RankQueue:
    """Places of known pairs, to be taken in the order of their ranks."""

    def __init__(self, merges: dict[Pair, int]):
        self.merges = merges
        self.ranks = []
        self.places = defaultdict(list)

    def add(self, place: int, pair: Pair) -> None:
        """Let `place` wait, unless its pair is not a known one."""
        rank = self.merges.get(pair)
        if rank is not None:
            if rank not in self.places:
                heappush(self.ranks, rank)
            self.places[rank].append(place)

    def take(self) -> tuple[int, list[int]]:
        """The lowest rank, and its places from left to right."""
        rank = heappop(self.ranks)
        return rank, sorted(self.places.pop(rank))
