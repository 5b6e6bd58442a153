import numpy as np

from parity_tests.bounds.gradients import over_tokens

from ..numbers import known_exactly, parameters


def relative_buckets(queries, keys, buckets, max_distance, both_ways, past):
    """By comparing whole numbers: no logarithm is taken."""
    side = buckets // 2 if both_ways else buckets
    bucket = np.zeros((queries, keys), int)
    for query, key in np.ndindex(bucket.shape):
        distance = past + query - key
        apart = abs(distance) if both_ways else max(distance, 0)
        later = side if both_ways and distance < 0 else 0
        bucket[query, key] = later + bucket_of(apart, side, max_distance)
    return {"bucket": bucket}


def bucket_of(apart, side, farthest):
    """The last bucket that does not begin beyond that distance: the k-th
    after the exact ones begins where (d / e)^n = (farthest / e)^k."""
    exact = side // 2
    if apart < exact:
        return apart
    n = side - exact
    begun = (
        k for k in range(n) if apart**n * exact**k >= farthest**k * exact**n
    )
    return exact + max(begun)


def relative_position_bias(bucket, params):
    rows = params.weight.moved(lambda a: a.take(bucket, axis=0))
    bias = rows.moved(lambda a: a.transpose(2, 0, 1))
    return locals()


def relative_position_bias_backward(d_bias, bucket, params):
    known = np.arange(params.weight.shape[0])
    one_hot = known_exactly(np.equal.outer(bucket, known), params.weight)
    d_rows = d_bias.moved(lambda a: a.transpose(1, 2, 0))
    d_weight = over_tokens(one_hot, d_rows)
    d_params = parameters(weight=d_weight)
    return locals()
