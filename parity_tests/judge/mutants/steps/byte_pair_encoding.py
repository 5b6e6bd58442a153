"""Mistakes in merging byte pairs."""

from collections.abc import Callable

import numpy as np

from numpy_ref.byte_pair_encoding import (
    NEVER,
    has_merge,
    merge_lowest,
    merge_pairs,
    pair_ranks,
    without_overlap,
)

from .pieces import Wrong


def merged_by(pick: Callable, overlap: bool = False) -> Callable:
    """Merge the pair whose rank is picked of those that are known."""

    def merged(ids, table):
        ranks = pair_ranks(ids, table)
        rank = pick(ranks[ranks < NEVER])
        matches = ranks == rank
        places = matches if overlap else without_overlap(matches)
        return merge_pairs(ids, places, np.array([rank]))

    return merged


def in_one_place(ids, table):
    """The earliest pair, where it occurs first."""
    ranks = pair_ranks(ids, table)
    place = np.arange(len(ranks)) == ranks.argmin()
    return merge_pairs(ids, place, ranks.min(keepdims=True))


def until_none(merge_once: Callable) -> Callable:
    def merged(ids, table):
        while has_merge(ids, table):
            ids = merge_once(ids, table)
        return ids

    return merged


WRONG_PAIR: Wrong = {
    "the first known pair is merged, not the one learned earliest": (
        merged_by(lambda ranks: ranks[0])
    ),
    "the last known pair is merged, not the one learned earliest": (
        merged_by(lambda ranks: ranks[-1])
    ),
    "the pair learned last is merged, not the earliest": merged_by(max),
    "pairs that overlap are all merged": merged_by(min, overlap=True),
}
MERGE_LOWEST: Wrong = WRONG_PAIR | {
    "only the first place of the pair is merged": in_one_place,
    "nothing is merged": lambda ids, table: ids,
}
MERGE_ALL: Wrong = {n: until_none(one) for n, one in WRONG_PAIR.items()} | {
    "it ends after the first merge": merge_lowest,
    "nothing is merged": lambda ids, table: ids,
}

VARIANTS: dict[str, Wrong] = {
    "merge_all": MERGE_ALL,
    "merge_lowest": MERGE_LOWEST,
}
