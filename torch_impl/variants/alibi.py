"""ALiBi: what is far away gets a lower score (Press et al. 2022)."""

from math import floor, log2

import torch
from jaxtyping import Float
from torch import Tensor as Array

from ..checked import check_at_least, checked


@checked
def alibi_bias(
    query_positions: Float[Array, " query"],
    key_positions: Float[Array, " key"],
    heads: int,
) -> Float[Array, "head query key"]:
    check_at_least("heads", heads, 1)
    power = 2 ** floor(log2(heads))
    whole = torch.arange(1, power + 1, dtype=torch.float64)
    between = 0.5 + torch.arange(heads - power, dtype=torch.float64)
    exponent = torch.cat([whole, between]) * 8 / power
    slope = (2.0**-exponent).to(query_positions)
    distance = query_positions[:, None] - key_positions
    bias = -slope[:, None, None] * distance
    return bias
