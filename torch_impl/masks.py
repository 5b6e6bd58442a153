"""Masks: which query may attend to which key."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor as Array

from .checked import checked


@checked
def causal_mask(
    queries: int,
    keys: int,
    past: int = 0,
) -> Bool[Array, "query key"]:
    query_position = past + torch.arange(queries)
    key_position = torch.arange(keys)
    mask = key_position <= query_position[:, None]
    return mask


@checked
def padding_mask(
    lengths: Int[Array, " batch"],
    keys: int,
) -> Bool[Array, "batch 1 key"]:
    key_position = torch.arange(keys, device=lengths.device)
    mask = key_position < lengths[:, None, None]
    return mask
