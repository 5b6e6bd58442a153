"""Aligning two sequences: the longest that both have in common."""

from collections.abc import Sequence


def aligned(
    left: Sequence[str], right: Sequence[str]
) -> list[tuple[int | None, int | None]]:
    """Pairs of indices by a longest common subsequence, all in order.

    >>> aligned("abd", "acd")
    [(0, 0), (1, None), (None, 1), (2, 2)]
    """
    longest = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i in reversed(range(len(left))):
        for j in reversed(range(len(right))):
            longest[i][j] = (
                1 + longest[i + 1][j + 1]
                if left[i] == right[j]
                else max(longest[i + 1][j], longest[i][j + 1])
            )
    pairs, i, j = [], 0, 0
    while i < len(left) or j < len(right):
        if i < len(left) and j < len(right) and left[i] == right[j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif j == len(right) or (
            i < len(left) and longest[i + 1][j] >= longest[i][j + 1]
        ):
            pairs.append((i, None))
            i += 1
        else:
            pairs.append((None, j))
            j += 1
    return pairs
