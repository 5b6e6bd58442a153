"""Relative positions as in T5: a learned number for each distance."""

from math import log

import torch
from jaxtyping import Float, Int
from torch import Tensor as Array
from torch import nn

from ..checked import check_at_least, check_even, check_indices, checked


@checked
def relative_buckets(
    queries: int,
    keys: int,
    buckets: int,
    max_distance: int,
    both_ways: bool,
    past: int = 0,
) -> Int[Array, "query key"]:
    check_at_least("queries", queries, 0)
    check_at_least("keys", keys, 0)
    check_at_least("past", past, 0)
    check_even("buckets", buckets)
    side = buckets // 2 if both_ways else buckets
    exact = side // 2
    check_at_least("buckets", buckets, 4 if both_ways else 2)
    check_at_least("max_distance", max_distance, exact + 1)
    distance = past + torch.arange(queries)[:, None] - torch.arange(keys)
    later = side * (distance < 0) if both_ways else 0 * distance
    apart = abs(distance) if both_ways else distance.clamp(min=0)
    scale = log(max_distance / exact) / (side - exact)
    beyond = apart.clamp(min=exact)
    far = exact + (torch.log(beyond.double() / exact) / scale).long()
    last = far.clamp(max=side - 1)
    bucket = later + torch.where(apart < exact, apart, last)
    return bucket


class RelativePositionBias(nn.Module):
    weight: Float[Array, "buckets head"]

    def __init__(self, buckets: int, heads: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(buckets, heads))

    @checked
    def forward(
        self,
        bucket: Int[Array, "query key"],
    ) -> Float[Array, "head query key"]:
        check_indices("bucket", bucket, len(self.weight))
        rows = self.weight[bucket]
        bias = rows.movedim(-1, 0)
        return bias
