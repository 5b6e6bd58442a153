"""Training byte-pair encoding: which pairs to merge, from a text.

The most frequent pair becomes a token, then the most frequent of what is
there now, and so on (Sennrich et al. 2016, section 3.2, algorithm 1).
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count, islice

import numpy as np
from jaxtyping import Int
from numpy import ndarray as Array

from ..checked import check_at_least, checked
from .fast_merging import fast_byte_ids
from .pretokens import split
from .token_chain import Pair, TokenChain


@checked
def train_bpe(
    text: str,
    vocabulary_size: int,
    special_tokens: tuple[str, ...] = (),
    watch: Callable[[Iterable[Pair]], Iterable[Pair]] = iter,
) -> Int[Array, "merge 2"]:
    """Train byte-pair encoding: the merges of a vocabulary of this size.

    It also holds 256 bytes and the special tokens; there are fewer merges
    when the text has no pairs left. They pass through `watch` one by one,
    a progress bar for instance: `rich.progress.track`.
    Raises ValueError for a size without room for the bytes.

    >>> train_bpe("low lower lowest", 259)
    array([[ 75,  78],
           [256,  86],
           [220, 257]])
    """
    least = 256 + len(special_tokens)
    check_at_least("vocabulary_size", vocabulary_size, least)
    learned = learn_merges(Counter(split(text)))
    merges = list(watch(islice(learned, vocabulary_size - least)))
    return np.array(merges, dtype=np.int64).reshape(-1, 2)


def learn_merges(pretokens: dict[str, int]) -> Iterator[Pair]:
    """Learn one merge after the other, from pre-tokens and their counts.

    Highest count first; of equal ones the smallest pair of ids. Every
    two neighbours count, overlapping ones too: `aaa` has `aa` twice.
    """
    counts = PairCounts(pretokens)
    for merged in count(256):
        pair = counts.most_frequent()
        if pair is None:
            return
        yield pair
        counts.merge(pair, merged)


class PairCounts:
    """Pair counts, kept up to date merge by merge.

    Only what a merge touches is counted anew. `queue` may be out of
    date: a count in it is never too low, and is looked at when its turn
    comes.
    """

    def __init__(self, pretokens: dict[str, int]):
        rows = [fast_byte_ids(piece.encode()) for piece in pretokens]
        self.chain = TokenChain(rows)
        self.weights = [0]
        for row, weight in zip(rows, pretokens.values(), strict=True):
            self.weights += [weight] * (len(row) + 1)
        self.counts = Counter()
        self.places = defaultdict(list)
        for place, pair in self.chain.all_pairs():
            self._add(place, pair)
        self.queue = [(-self.counts[pair], pair) for pair in self.counts]
        heapify(self.queue)

    def most_frequent(self) -> Pair | None:
        """The pair to merge next; None when there is no pair."""
        while self.queue:
            negative, pair = heappop(self.queue)
            if self.counts[pair] == -negative:
                return pair
            self._enqueue(pair)
        return None

    def merge(self, pair: Pair, merged: int) -> None:
        """Let `pair` become `merged` at all its places, left to right."""
        created = set()
        for place in sorted(self.places.pop(pair)):
            if self.chain.pair(place) == pair:
                created.update(self._merge_at(place, merged))
        del self.counts[pair]
        for pair in created:
            self._enqueue(pair)

    def _merge_at(self, place, merged):
        """The new pairs of one merge; the old ones' counts go down."""
        chain, weight = self.chain, self.weights[place]
        for _, pair in chain.pairs_beside(place):
            self.counts[pair] -= weight
        chain.merge(place, merged)
        for near, pair in chain.pairs_around(place):
            self._add(near, pair)
            yield pair

    def _add(self, place, pair):
        self.counts[pair] += self.weights[place]
        self.places[pair].append(place)

    def _enqueue(self, pair):
        if self.counts[pair] > 0:
            heappush(self.queue, (-self.counts[pair], pair))
