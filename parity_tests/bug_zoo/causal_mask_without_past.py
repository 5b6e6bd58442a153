"""Keys from the cache are not counted, so a new query sees only the first.

Origin: jingyaogong/minimind issue 631, which asks what happens with more
than one new token; also tinygrad/tinygrad pull request 15949.

Cause: the cache offset is forgotten
"""

import numpy as np


def causal_mask(queries, keys, past=0):
    """True where a key stands no later than the query.

    `past` counts the keys before the first query.
    """
    return np.tri(queries, keys, dtype=bool)
