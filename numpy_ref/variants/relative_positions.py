"""Relative positions as in T5: a learned number for each distance.

Near distances have a number of their own; further ones share one, the
more of them the further away, on a logarithmic scale. All layers use the
table of the first (Raffel et al. 2020, section 2.1).
"""

from dataclasses import dataclass
from math import log

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray as Array

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
    r"""Bucket of each distance: exact when near, logarithmic beyond.

    With n buckets for a side and $e = n / 2$ of them exact, a key d
    before its query is in bucket d below e, and else in
    $e + \lfloor (n - e) \log(d / e) / \log(d_\text{max} / e) \rfloor$, at
    most n - 1.

    In an encoder, `both_ways`, later keys have the second half of the
    buckets; in a decoder they share bucket 0 with the query's own.
    Raises ValueError where no bucket is left for what is far, or
    `max_distance` is not beyond the exact ones.
    """
    check_at_least("queries", queries, 0)
    check_at_least("keys", keys, 0)
    check_at_least("past", past, 0)
    check_even("buckets", buckets)
    side = buckets // 2 if both_ways else buckets
    exact = side // 2
    check_at_least("buckets", buckets, 4 if both_ways else 2)
    check_at_least("max_distance", max_distance, exact + 1)
    distance = past + np.arange(queries)[:, None] - np.arange(keys)
    later = side * (distance < 0) if both_ways else 0 * distance
    apart = abs(distance) if both_ways else np.maximum(distance, 0)
    scale = log(max_distance / exact) / (side - exact)
    beyond = np.maximum(apart, exact)
    far = exact + (np.log(beyond / exact) / scale).astype(np.int64)
    last = np.minimum(far, side - 1)
    bucket = later + np.where(apart < exact, apart, last)
    return bucket


@checked
@dataclass(frozen=True, eq=False)
class RelativePositionBias:
    """T5's bias: for each bucket a number in each head."""

    weight: Float[Array, "buckets head"]


@checked
def relative_position_bias(
    bucket: Int[Array, "query key"],
    params: RelativePositionBias,
) -> Float[Array, "head query key"]:
    """T5's bias: the row of each distance's bucket, heads first.

    It is added to the scores (`additive_bias.py`), which T5 does not
    divide by a root. Raises ValueError for a bucket outside the table.
    """
    check_indices("bucket", bucket, len(params.weight))
    rows = params.weight[bucket]
    bias = np.moveaxis(rows, -1, 0)
    return bias


@checked
def relative_position_bias_backward(
    d_bias: Float[Array, "head query key"],
    bucket: Int[Array, "query key"],
    params: RelativePositionBias,
) -> RelativePositionBias:
    r"""Gradient of the look-up: a row gets the sum over its bucket.

    $dW_b = \sum_{ij : b_{ij} = b} dB_{ij}$
    """
    d_rows = np.moveaxis(d_bias, 0, -1)
    d_weight = np.zeros_like(params.weight)
    np.add.at(d_weight, bucket, d_rows)
    d_params = RelativePositionBias(d_weight)
    return d_params
