"""Mutants of byte-pair encoding: which pairs there are, which merge."""

from collections.abc import Callable

import numpy as np

from numpy_ref.byte_pair_encoding import (
    NEVER,
    WIDTH,
    has_merge,
    merge_lowest,
    merge_pairs,
    pair_ranks,
    without_overlap,
)

from .pieces import Mutants

BYTE_IDS: Mutants = {
    "bytes keep their own order, not GPT-2's": (
        lambda data: np.array([*data], dtype=int)
    ),
    "only the bytes of this text are numbered": (
        lambda data: np.unique([*data], return_inverse=True)[1]
    ),
}

MERGE_TABLE: Mutants = {
    "the pairs are not sorted": lambda merges: np.stack(
        [
            [*(merges[:, 0] * WIDTH + merges[:, 1]), WIDTH * WIDTH - 1],
            [*range(256, 256 + len(merges)), NEVER],
        ]
    ),
}


def next_rank(ids, table):
    """The rank of the first known pair that is not smaller."""
    known, rank = table
    return rank[np.searchsorted(known, ids[:-1] * WIDTH + ids[1:])]


PAIR_RANKS: Mutants = {
    "an unknown pair gets the rank of the next known one": next_rank,
    "a pair's place in the text is taken for its rank": (
        lambda ids, _: np.arange(len(ids) - 1)
    ),
}

WITHOUT_OVERLAP: Mutants = {
    "matches that overlap are all taken": lambda matches: matches,
}

MERGE_PAIRS: Mutants = {
    "the right token of a pair stays": lambda ids, chosen, rank: np.where(
        np.append(chosen, False), rank, ids
    ),
}

HAS_MERGE: Mutants = {"it is true of every text": lambda ids, table: True}


def merged_by(pick: Callable, overlap: bool = False) -> Callable:
    """Merge the pair whose rank is picked from those of known pairs."""

    def merged(ids, table):
        ranks = pair_ranks(ids, table)
        rank = pick(ranks[ranks < NEVER])
        matches = ranks == rank
        chosen = matches if overlap else without_overlap(matches)
        return merge_pairs(ids, chosen, np.array([rank]))

    return merged


def only_once(ids, table):
    """Merge the earliest pair, but only its first occurrence."""
    ranks = pair_ranks(ids, table)
    chosen = np.arange(len(ranks)) == ranks.argmin()
    return merge_pairs(ids, chosen, ranks.min(keepdims=True))


def until_none(merge_once: Callable) -> Callable:
    def merged(ids, table):
        while has_merge(ids, table):
            ids = merge_once(ids, table)
        return ids

    return merged


PAIR_MUTANTS: Mutants = {
    "the first known pair is merged, not the one learned earliest": (
        merged_by(lambda ranks: ranks[0])
    ),
    "the last known pair is merged, not the one learned earliest": (
        merged_by(lambda ranks: ranks[-1])
    ),
    "the pair learned last is merged, not the earliest": merged_by(max),
    "pairs that overlap are all merged": merged_by(min, overlap=True),
}
MERGE_LOWEST: Mutants = PAIR_MUTANTS | {
    "only the first occurrence of the pair is merged": only_once,
    "nothing is merged": lambda ids, table: ids,
}
MERGE_ALL: Mutants = {
    n: until_none(mutant) for n, mutant in PAIR_MUTANTS.items()
} | {
    "it ends after the first merge": merge_lowest,
    "nothing is merged": lambda ids, table: ids,
}

MUTANTS: dict[str, Mutants] = {
    "byte_ids": BYTE_IDS,
    "has_merge": HAS_MERGE,
    "merge_all": MERGE_ALL,
    "merge_lowest": MERGE_LOWEST,
    "merge_pairs": MERGE_PAIRS,
    "merge_table": MERGE_TABLE,
    "pair_ranks": PAIR_RANKS,
    "without_overlap": WITHOUT_OVERLAP,
}
