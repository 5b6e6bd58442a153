"""Prefix mask: a text's beginning is seen whole, and the rest in order.

The beginning is given, as a question is, and no answer stands in it; so
its tokens may see each other both ways.
"""

from jaxtyping import Bool, Int
from numpy import ndarray as Array

from ..checked import check_at_least, checked
from ..masks import causal_mask, padding_mask


@checked
def prefix_mask(
    lengths: Int[Array, " batch"],
    keys: int,
) -> Bool[Array, "batch key key"]:
    r"""Prefix mask: all see a text's first tokens; beyond, causal.

    $M_{bij} = [\,j \le i\,] \lor [\,j < \text{length}_b\,]$
    (Raffel et al. 2020, section 3.2.1)

    With a length of 0 or 1 it is the causal mask. Raises ValueError for
    a negative length.

    >>> import numpy as np
    >>> prefix_mask(np.array([2]), keys=3).astype(int)
    array([[[1, 1, 0],
            [1, 1, 0],
            [1, 1, 1]]])
    """
    check_at_least("keys", keys, 0)
    causal = causal_mask(keys, keys)
    in_prefix = padding_mask(lengths, keys)
    mask = causal | in_prefix
    return mask
