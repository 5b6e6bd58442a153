"""Token chain: a doubly linked list, in which neighbours merge at once.

Merging inside a list or an array moves all that comes after; here it
changes the two neighbours and nothing else. A token keeps the place of
its first byte.
"""

from collections.abc import Iterable, Iterator

Pair = tuple[int, int]

GONE = -1  # at both ends of a row, and where a token was merged away


class TokenChain:
    """Rows of ids, one after the other; no pair reaches across a row.

    >>> chain = TokenChain([[7, 8, 9], [7]])
    >>> list(chain.all_pairs())
    [(1, (7, 8)), (2, (8, 9))]
    >>> chain.merge(1, 256)
    >>> list(chain.pairs_around(1)), chain.left_over()
    ([(1, (256, 9))], [256, 9, 7])
    """

    def __init__(self, rows: Iterable[list[int]]):
        self.ids = [GONE]
        for row in rows:
            self.ids += [*row, GONE]
        self.before = list(range(-1, len(self.ids) - 1))
        self.after = [*range(1, len(self.ids)), 0]

    def pair(self, place: int) -> Pair:
        """The token at `place` and the next."""
        return self.ids[place], self.ids[self.after[place]]

    def all_pairs(self) -> Iterator[tuple[int, Pair]]:
        """Every two neighbours, with the place of the first."""
        return self._pairs_at(range(len(self.ids)))

    def pairs_around(self, place: int) -> Iterator[tuple[int, Pair]]:
        """Every two neighbours of which the token at `place` is one."""
        return self._pairs_at((self.before[place], place))

    def pairs_beside(self, place: int) -> Iterator[tuple[int, Pair]]:
        """The pairs that share a token with the pair at `place`."""
        return self._pairs_at((self.before[place], self.after[place]))

    def merge(self, place: int, merged: int) -> None:
        """Let the token at `place` and the next become `merged`."""
        right = self.after[place]
        end = self.after[right]
        self.ids[place], self.ids[right] = merged, GONE
        self.after[place], self.before[end] = end, place

    def left_over(self) -> list[int]:
        """The ids of all rows, as they are now."""
        return [token for token in self.ids if token != GONE]

    def _pairs_at(self, places):
        for place in places:
            pair = self.pair(place)
            if GONE not in pair:
                yield place, pair
