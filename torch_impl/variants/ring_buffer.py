"""Ring buffer: a key-value cache of a window, the new over the oldest."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor as Array

from ..attention import scaled_dot_product_attention
from ..checked import check_at_least, checked


@checked
def ring_positions(past: int, window: int) -> Int[Array, " slot"]:
    check_at_least("past", past, 0)
    check_at_least("window", window, 1)
    newest = past - 1
    age = (newest - torch.arange(window)) % window
    positions = newest - age
    return positions


@checked
def ring_write(
    ring: Float[Array, "*batch slot feature"],
    new: Float[Array, "*batch position feature"],
    past: int,
) -> Float[Array, "*batch slot feature"]:
    check_at_least("past", past, 0)
    slots, count = ring.shape[-2], new.shape[-2]
    positions = ring_positions(past + count, slots)
    is_new = positions >= past
    source = torch.where(
        is_new, slots + positions - past, torch.arange(slots)
    )
    both = torch.cat([ring, new], dim=-2)
    written = both.index_select(-2, source.to(both.device))
    return written


@checked
def ring_mask(
    queries: int,
    window: int,
    past: int,
) -> Bool[Array, "query key"]:
    check_at_least("queries", queries, 0)
    slot_position = ring_positions(past, window)
    query_position = past + torch.arange(queries)
    key_position = torch.cat([slot_position, query_position])
    distance = query_position[:, None] - key_position
    is_near = (distance >= 0) & (distance < window)
    mask = is_near & (key_position >= 0)
    return mask


@checked
def ring_window_attention(
    query: Float[Array, "*batch position d_head"],
    key: Float[Array, "*batch position d_head"],
    value: Float[Array, "*batch position d_value"],
    ring_key: Float[Array, "*batch slot d_head"],
    ring_value: Float[Array, "*batch slot d_value"],
    past: int,
) -> Float[Array, "*batch position d_value"]:
    mask = ring_mask(query.shape[-2], ring_key.shape[-2], past)
    seen_key = torch.cat([ring_key, key], dim=-2)
    seen_value = torch.cat([ring_value, value], dim=-2)
    context = scaled_dot_product_attention(
        query, seen_key, seen_value, mask.to(query.device)
    )
    return context
