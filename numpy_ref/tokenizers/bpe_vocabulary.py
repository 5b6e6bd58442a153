"""A vocabulary of byte pairs, as its merges, its tokens or its ranks.

Merge $k$ is the pair of ids that becomes id $256 + k$. Each of the three
forms gives the others: a token's last merge is the one of its own bytes.
"""

from itertools import count
from typing import AnyStr

import numpy as np
from jaxtyping import Int
from numpy import ndarray as Array

from ..byte_pair_encoding import BYTE_ORDER
from ..checked import checked
from .fast_merging import fast_byte_ids, fast_merge_all
from .token_chain import Pair


@checked
def merged_tokens(merges: Int[Array, "merge 2"]) -> list[bytes]:
    """The bytes of each id: 256 single ones, then those of the merges.

    >>> merged_tokens(np.array([[64, 64], [256, 65]]))[256:]
    [b'aa', b'aab']
    """
    return joined([bytes([value]) for value in BYTE_ORDER], merges)


def joined(
    tokens: list[AnyStr], merges: Int[Array, "merge 2"]
) -> list[AnyStr]:
    """Tokens, and those that the merges make of them, as bytes or text.

    >>> joined(["a", "b"], np.array([[0, 0], [2, 1]]))
    ['a', 'b', 'aa', 'aab']
    """
    tokens = [*tokens]
    for left, right in zip(*merges.T.tolist(), strict=True):
        tokens.append(tokens[left] + tokens[right])
    return tokens


def rank_of_pairs(merges: Int[Array, "merge 2"]) -> dict[Pair, int]:
    """The id that each known pair becomes.

    >>> rank_of_pairs(np.array([[64, 64], [256, 65]]))
    {(64, 64): 256, (256, 65): 257}
    """
    left, right = merges.T.tolist()
    return dict(zip(zip(left, right, strict=True), count(256)))


def merges_of_tokens(tokens: list[bytes]) -> Int[Array, "merge 2"]:
    """The merges that made the tokens, which stand in order of rank.

    With the merges before it, a token's bytes come down to two tokens:
    the pair that it is made of. Raises ValueError where they do not, for
    then no training can give these ranks; and unless the first 256
    tokens are the bytes in GPT-2's order.

    >>> tokens = merged_tokens(np.array([[64, 64], [256, 65]]))
    >>> merges_of_tokens(tokens)
    array([[ 64,  64],
           [256,  65]])
    """
    check_begins_with_bytes(tokens)
    ranks: dict[Pair, int] = {}
    for rank, token in enumerate(tokens[256:], 256):
        pair = fast_merge_all(fast_byte_ids(token), ranks)
        check_is_pair(pair, rank, token)
        ranks[tuple(pair)] = rank
    return np.array(list(ranks), dtype=np.int64).reshape(-1, 2)


def check_merges(merges: Int[Array, "merge 2"]) -> None:
    """Raise ValueError unless each merge is of ids that come before it."""
    ids = 256 + np.arange(len(merges))
    wrong = np.flatnonzero(((merges < 0) | (merges >= ids[:, None])).any(1))
    if wrong.size:
        raise ValueError(
            f"expected merge {wrong[0]} to be of ids below "
            f"{ids[wrong[0]]}, got {merges[wrong[0]].tolist()}"
        )


def check_begins_with_bytes(tokens: list[bytes]) -> None:
    """Raise ValueError unless ids 0 ... 255 are as GPT-2 orders bytes."""
    for rank, value in enumerate(BYTE_ORDER):
        token = tokens[rank] if rank < len(tokens) else None
        if token != bytes([value]):
            raise ValueError(
                f"expected rank {rank} to be {bytes([value])}, got {token}"
            )


def check_is_pair(pair: list[int], rank: int, token: bytes) -> None:
    """Raise ValueError when a token is not made of two before it."""
    if len(pair) != 2:
        raise ValueError(
            f"expected rank {rank} to be two tokens of lower rank merged, "
            f"got {token}, which is {len(pair)} of them"
        )
