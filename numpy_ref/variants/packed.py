"""Packed documents: several short texts in one row, which do not mix.

Padding them apart would waste most of a batch. Packed, each keeps to its
own: the mask is block diagonal, and positions begin anew.
"""

from jaxtyping import Bool, Int
from numpy import ndarray as Array

from ..checked import checked
from ..masks import causal_mask


@checked
def packed_mask(
    documents: Int[Array, "*batch position"],
) -> Bool[Array, "*batch position position"]:
    r"""Packed mask: causal, and within one document only.

    $M_{ij} = [\,j \le i\,] \land [\,c_i = c_j\,]$
    (Krell et al. 2021)

    `documents` says for each token which document it is of.
    """
    positions = documents.shape[-1]
    causal = causal_mask(positions, positions)
    same = documents[..., :, None] == documents[..., None, :]
    mask = causal & same
    return mask


@checked
def packed_positions(
    documents: Int[Array, "*batch position"],
) -> Int[Array, "*batch position"]:
    r"""Positions of packed documents: each begins at 0.

    $p_i = \sum_j M_{ij} - 1$, as many as the token sees before itself

    >>> import numpy as np
    >>> packed_positions(np.array([5, 5, 5, 9, 9, 7]))
    array([0, 1, 2, 0, 1, 0])
    """
    mask = packed_mask(documents)
    positions = mask.sum(axis=-1) - 1
    return positions
