"""The window has room for one key more than it says.

Origin: mobius 371, where a window was one key off: "up to w keys back" and
"w keys" are easily taken for the same.

Cause: the window counts the keys before the query's own, not with it
"""

import numpy as np


def sliding_window_mask(queries, keys, window, past=0):
    """Which keys each query sees: its own, and window - 1 before it.

    `past` counts the keys before the first query. Returns booleans,
    (queries, keys).
    """
    query_position = past + np.arange(queries)
    distance = query_position[:, None] - np.arange(keys)
    return (distance >= 0) & (distance <= window)
