"""Sliding window: a query sees the last keys only.

With a window of w keys, n tokens cost n w products, not n times n, and a
cache needs no more than w keys. Layers above each other still pass on
what is further back: of L layers the last may depend on L (w - 1) earlier
tokens.
"""

import numpy as np
from jaxtyping import Bool
from numpy import ndarray as Array

from ..checked import check_at_least, checked
from ..masks import causal_mask


@checked
def sliding_window_mask(
    queries: int,
    keys: int,
    window: int,
    past: int = 0,
) -> Bool[Array, "query key"]:
    r"""Sliding window: the query's own key, and window - 1 before it.

    $M_{ij} = [\,0 \le \text{past} + i - j < w\,]$
    (Beltagy et al. 2020, section 3.1; Jiang et al. 2023, section 2)

    A window as long as the keys is the causal mask. `past` counts the
    keys before the first query, as in `causal_mask`. Raises ValueError
    for a window below 1, and for a negative number.

    >>> sliding_window_mask(4, 4, window=2).astype(int)
    array([[1, 0, 0, 0],
           [1, 1, 0, 0],
           [0, 1, 1, 0],
           [0, 0, 1, 1]])
    """
    check_at_least("queries", queries, 0)
    check_at_least("keys", keys, 0)
    check_at_least("window", window, 1)
    check_at_least("past", past, 0)
    query_position = past + np.arange(queries)
    distance = query_position[:, None] - np.arange(keys)
    mask = (distance >= 0) & (distance < window)
    return mask


@checked
def streaming_mask(
    queries: int,
    keys: int,
    window: int,
    first: int,
    past: int = 0,
) -> Bool[Array, "query key"]:
    r"""Window and sinks: the last keys, and the first ones of the text.

    $M_{ij} = [\,0 \le d < w\,] \lor [\,d \ge 0 \land j < f\,]$,
    $d = \text{past} + i - j$ (Xiao et al. 2023, section 3.2)

    A trained model lets the first tokens take what no other key should
    have, whatever they say. Without them a window's text falls apart;
    with four of them it goes on. Raises ValueError as
    `sliding_window_mask` does, and for a negative number of first keys.
    """
    check_at_least("first", first, 0)
    recent = sliding_window_mask(queries, keys, window, past)
    causal = causal_mask(queries, keys, past)
    kept = causal & (np.arange(keys) < first)
    mask = recent | kept
    return mask
