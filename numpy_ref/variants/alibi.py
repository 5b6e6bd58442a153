"""ALiBi: what is far away gets a lower score (Press et al. 2022).

No position is added to any token. Each head subtracts the distance, times
a slope of its own, from its scores: one looks at neighbours, another far
back. A model reads longer texts than it was trained on.
"""

from math import floor, log2

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from ..checked import check_at_least, checked


@checked
def alibi_bias(
    query_positions: Float[Array, " query"],
    key_positions: Float[Array, " key"],
    heads: int,
) -> Float[Array, "head query key"]:
    r"""ALiBi's bias: minus the distance, times the slope of each head.

    $B_{hij} = -m_h (i - j)$, $m_h = 2^{-8h / H}$ for h = 1 ... H
    (Press et al. 2022, section 3)

    Under a causal mask no key is later than its query. Where H is no
    power of two, models have the slopes of the authors' code: those of
    the power below, P, and then every other one of 2P heads. Raises
    ValueError for no head.

    >>> import numpy as np
    >>> alibi_bias(np.array([2.0]), np.arange(3.0), heads=2)
    array([[[-0.125     , -0.0625    , -0.        ]],
    <BLANKLINE>
           [[-0.0078125 , -0.00390625, -0.        ]]])
    """
    check_at_least("heads", heads, 1)
    power = 2 ** floor(log2(heads))
    whole = np.arange(1.0, power + 1)
    between = np.arange(0.5, heads - power)
    exponent = np.concatenate([whole, between]) * 8 / power
    slope = (2.0**-exponent).astype(query_positions.dtype)
    distance = query_positions[:, None] - key_positions
    bias = -slope[:, None, None] * distance
    return bias
