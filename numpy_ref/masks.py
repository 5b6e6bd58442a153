"""Masks: which query may attend to which key.

True means *may attend*. A mask broadcasts to (..., query, key), so masks
join with `&`:

>>> import numpy as np
>>> mask = causal_mask(3, 3) & padding_mask(np.array([3, 2]), 3)
>>> mask.astype(int)[1]
array([[1, 0, 0],
       [1, 1, 0],
       [1, 1, 0]])
"""

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray as Array

from .checked import check_all_at_least, check_at_least, checked


@checked
def causal_mask(
    queries: int,
    keys: int,
    past: int = 0,
) -> Bool[Array, "query key"]:
    r"""Causal mask: a query sees the keys up to its own position, no more.

    $M_{ij} = [\,j \le \text{past} + i\,]$

    That is what keeps a model from reading the answer (Vaswani et al.
    2017, section 3.2.3). `past` counts the keys before the first query:
    0 when queries and keys are the same tokens; with a key-value cache,
    the number of keys in it. Raises ValueError for a negative number.
    """
    check_at_least("queries", queries, 0)
    check_at_least("keys", keys, 0)
    check_at_least("past", past, 0)
    query_position = past + np.arange(queries)
    key_position = np.arange(keys)
    mask = key_position <= query_position[:, None]
    return mask


@checked
def padding_mask(
    lengths: Int[Array, " batch"],
    keys: int,
) -> Bool[Array, "batch 1 key"]:
    r"""Padding mask: a text's keys are its tokens, not the padding after.

    $M_{bj} = [\,j < \text{length}_b\,]$

    Raises ValueError for a negative length.
    """
    check_at_least("keys", keys, 0)
    check_all_at_least("lengths", lengths, 0)
    key_position = np.arange(keys)
    mask = key_position < lengths[:, None, None]
    return mask


@checked
def causal_padding_mask(
    attention_mask: Bool[Array, "*batch position"],
) -> Bool[Array, "*batch position position"]:
    r"""Causal mask of padded texts: no query sees padding or the future.

    $M_{ij} = [\,j \le i\,] \land a_j$

    `attention_mask` is True for the tokens of a text, False for padding,
    on whichever side. Padding before a text sees nothing at all.
    """
    positions = attention_mask.shape[-1]
    causal = causal_mask(positions, positions)
    mask = causal & attention_mask[..., None, :]  # the same for all queries
    return mask


@checked
def positions_of_mask(
    attention_mask: Bool[Array, "*batch position"],
) -> Int[Array, "*batch position"]:
    r"""Position ids of padded texts: padding is not counted.

    $p_i = \max(0, \sum_{j \le i} a_j - 1)$

    A text's first token is at position 0, wherever it stands. Padding
    gets the position of the token before it, or 0, so that every
    position has its row in a table.

    >>> import numpy as np
    >>> positions_of_mask(np.array([False, False, True, True, True]))
    array([0, 0, 0, 1, 2])
    """
    tokens_so_far = attention_mask.cumsum(axis=-1)
    positions = np.maximum(tokens_so_far - 1, 0)
    return positions
