r"""Byte-pair encoding: the pair learned first is merged first.

The form for reading: every step is an array, and one word after the
other can be watched. For use, `tokenizers.fast_merging` gives the same.

A token is an id. The ids 0 ... 255 are the bytes, in GPT-2's order, and
id $256 + k$ is merge $k$: a pair of smaller ids. The *rank* of a pair is
the id that it becomes; the lower the rank, the earlier the pair was
learned, and the earlier it is merged (Gage 1994; Sennrich et al. 2016,
section 3.2; on bytes Radford et al. 2019, section 2.2). Axes: `token`
counts the ids of one pre-token (`tokenizers.pretokens`), `pair` its
neighbours, `entry` the known pairs.

>>> import numpy as np
>>> merges = np.array([[64, 64], [256, 65]])  # a + a, aa + b
>>> merge_all(byte_ids(b"aaab"), merge_table(merges))
array([256,  64,  65])
>>> merge_all(byte_ids(b"aaaab"), merge_table(merges))
array([256, 257])
"""

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray as Array

from .checked import checked

# GPT-2 puts the bytes that print as one character of Latin-1 first.
PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTE_ORDER = bytes([*PRINTABLE, *sorted({*range(256)} - {*PRINTABLE})])

WIDTH = 2**31  # more than any id
NEVER = WIDTH - 1  # the rank of a pair that is not merged


@checked
def byte_ids(
    data: bytes,
) -> Int[Array, " token"]:
    """Byte ids: each byte's place in GPT-2's order.

    >>> byte_ids(b"!a ")
    array([  0,  64, 220])
    """
    places = [BYTE_ORDER.index(value) for value in data]
    ids = np.array(places, dtype=np.int64)
    return ids


@checked
def merge_table(
    merges: Int[Array, "merge 2"],
) -> Int[Array, "2 entry"]:
    r"""Merge table: pairs as one number each, sorted, above their ranks.

    $n = \text{left} \cdot 2^{31} + \text{right}$

    The last entry is larger than any pair, so that each has a place.
    """
    numbers = merges[:, 0] * WIDTH + merges[:, 1]
    order = np.argsort(numbers)
    entries = np.stack([numbers[order], 256 + order])
    last = np.array([[WIDTH * WIDTH - 1], [NEVER]])
    table = np.concatenate([entries, last], axis=1)
    return table


@checked
def pair_ranks(
    ids: Int[Array, " token"],
    table: Int[Array, "2 entry"],
) -> Int[Array, " pair"]:
    """Pair ranks: the id that two neighbours would become, or NEVER."""
    known, rank = table
    numbers = ids[:-1] * WIDTH + ids[1:]
    place = np.searchsorted(known, numbers)
    ranks = np.where(known[place] == numbers, rank[place], NEVER)
    return ranks


@checked
def without_overlap(
    matches: Bool[Array, " pair"],
) -> Bool[Array, " pair"]:
    """Matches without overlap: from the left, those that share no token.

    In a run of matches, each shares a token with the next: the first
    stays, the second goes, the third stays.

    >>> import numpy as np
    >>> without_overlap(np.array([True, True, True, False, True]))
    array([ True, False,  True, False,  True])
    """
    place = np.arange(len(matches))
    before_run = np.maximum.accumulate(np.where(matches, -1, place))
    chosen = matches & ((place - before_run) % 2 == 1)
    return chosen


@checked
def merge_pairs(
    ids: Int[Array, " token"],
    chosen: Bool[Array, " pair"],
    rank: Int[Array, " 1"],
) -> Int[Array, " merged"]:
    """Merge: each chosen pair becomes one token, whose id is `rank`."""
    none = np.array([False])
    is_left = np.concatenate([chosen, none])
    is_right = np.concatenate([none, chosen])
    replaced = np.where(is_left, rank, ids)
    merged = replaced[~is_right]
    return merged


@checked
def merge_lowest(
    ids: Int[Array, " token"],
    table: Int[Array, "2 entry"],
) -> Int[Array, " merged"]:
    r"""Merge the pair of lowest rank, everywhere it occurs.

    $r = \min_i \operatorname{rank}(t_i, t_{i+1})$

    Not the first pair that could be merged: the one learned earliest.
    At least one pair must have a rank (`has_merge`).
    """
    ranks = pair_ranks(ids, table)
    lowest = ranks.min(keepdims=True)
    chosen = without_overlap(ranks == lowest)
    merged = merge_pairs(ids, chosen, lowest)
    return merged


@checked
def has_merge(
    ids: Int[Array, " token"],
    table: Int[Array, "2 entry"],
) -> bool:
    """Whether any two neighbours are a known pair."""
    ranks = pair_ranks(ids, table)
    mergeable = bool((ranks < NEVER).any())
    return mergeable


@checked
def merge_all(
    ids: Int[Array, " token"],
    table: Int[Array, "2 entry"],
) -> Int[Array, " merged"]:
    """Merge until no two neighbours are a known pair."""
    while has_merge(ids, table):
        ids = merge_lowest(ids, table)
    return ids
