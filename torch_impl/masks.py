"""Masks: which query may attend to which key."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor as Array

from .checked import check_all_at_least, check_at_least, checked


@checked
def causal_mask(
    queries: int,
    keys: int,
    past: int = 0,
) -> Bool[Array, "query key"]:
    check_at_least("queries", queries, 0)
    check_at_least("keys", keys, 0)
    check_at_least("past", past, 0)
    query_position = past + torch.arange(queries)
    key_position = torch.arange(keys)
    mask = key_position <= query_position[:, None]
    return mask


@checked
def padding_mask(
    lengths: Int[Array, " batch"],
    keys: int,
) -> Bool[Array, "batch 1 key"]:
    check_at_least("keys", keys, 0)
    check_all_at_least("lengths", lengths, 0)
    key_position = torch.arange(keys, device=lengths.device)
    mask = key_position < lengths[:, None, None]
    return mask


@checked
def causal_padding_mask(
    attention_mask: Bool[Array, "*batch position"],
) -> Bool[Array, "*batch position position"]:
    positions = attention_mask.shape[-1]
    causal = causal_mask(positions, positions).to(attention_mask.device)
    mask = causal & attention_mask[..., None, :]
    return mask


@checked
def positions_of_mask(
    attention_mask: Bool[Array, "*batch position"],
) -> Int[Array, "*batch position"]:
    tokens_so_far = attention_mask.cumsum(dim=-1)
    positions = (tokens_so_far - 1).clamp(min=0)
    return positions
