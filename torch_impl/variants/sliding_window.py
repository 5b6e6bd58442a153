"""Sliding window: a query sees the last keys only."""

import torch
from jaxtyping import Bool
from torch import Tensor as Array

from ..checked import check_at_least, checked
from ..masks import causal_mask


@checked
def sliding_window_mask(
    queries: int,
    keys: int,
    window: int,
    past: int = 0,
) -> Bool[Array, "query key"]:
    check_at_least("queries", queries, 0)
    check_at_least("keys", keys, 0)
    check_at_least("window", window, 1)
    check_at_least("past", past, 0)
    query_position = past + torch.arange(queries)
    distance = query_position[:, None] - torch.arange(keys)
    mask = (distance >= 0) & (distance < window)
    return mask


@checked
def streaming_mask(
    queries: int,
    keys: int,
    window: int,
    first: int,
    past: int = 0,
) -> Bool[Array, "query key"]:
    check_at_least("first", first, 0)
    recent = sliding_window_mask(queries, keys, window, past)
    causal = causal_mask(queries, keys, past)
    kept = causal & (torch.arange(keys) < first)
    mask = recent | kept
    return mask
