"""A query sees the key after it.

Origin: no public report found; seen in exercises.

Cause: one future key is visible
"""

import numpy as np


def causal_mask(queries, keys, past=0):
    """True where a key stands no later than the query.

    `past` counts the keys before the first query.
    """
    query_position = past + np.arange(queries)[:, None]
    return np.arange(keys) <= query_position + 1
