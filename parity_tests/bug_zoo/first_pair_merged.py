"""The first known pair is merged, not the one that was learned first.

Origin: ztxz16/fastllm pull request 715, "BPE merges are applied
left-to-right instead of by merge rank"; also joshcarp/llm.go issue 2.

Cause: merges by first pair in place of lowest rank
"""

from itertools import pairwise

import numpy as np

WIDTH = 2**31  # more than any id


def merge_all(ids, table):
    """Merge neighbours until none of them are a known pair.

    `table` holds the known pairs as left * 2**31 + right, in ascending
    order, and below each the id that it becomes, which is its rank.
    """
    numbers, becomes = table.tolist()
    ranks = dict(zip(numbers, becomes, strict=True))
    tokens = ids.tolist()
    while True:
        known = [
            (ranks[left * WIDTH + right], left, right)
            for left, right in pairwise(tokens)
            if left * WIDTH + right in ranks
        ]
        if not known:
            return np.array(tokens, dtype=ids.dtype)
        rank, left, right = known[0]
        merged = []
        while tokens:
            if tokens[:2] == [left, right]:
                merged.append(rank)
                tokens = tokens[2:]
            else:
                merged.append(tokens[0])
                tokens = tokens[1:]
        tokens = merged
