r"""Ring buffer: a key-value cache of a window, the new over the oldest.

Attention within a window of w never asks for a key that is further back
than w - 1 tokens. So a cache needs w slots and no more: the token at
position p goes into slot p mod w, over the one that no query will see
again.

The slots are then out of order. Attention does not mind: it is a sum over
keys, and the same in any order. What does depend on the position is the
mask, which has to know who stands in which slot; and a rotary key, which
is turned by its position before it is written, and never by its slot.

Axes: `slot` counts the slots of the ring, the window; `position` the new
tokens; `key` both, the slots first. `past` is the number of tokens that
came before the new ones, whether the ring still has them or not.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from ..attention import (
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
)
from ..checked import check_at_least, checked


@checked
def ring_positions(past: int, window: int) -> Int[Array, " slot"]:
    r"""Ring positions: which token stands in each slot.

    $p_s = n - 1 - ((n - 1 - s) \bmod w)$, with n the `past`: the last
    position that leaves s when it is divided by w
    (Jiang et al. 2023, section 2)

    A slot into which nothing has been written yet gets a negative number.
    Raises ValueError for a negative past, and for a window below 1.

    >>> ring_positions(6, window=4)
    array([4, 5, 2, 3])
    """
    check_at_least("past", past, 0)
    check_at_least("window", window, 1)
    newest = past - 1
    age = (newest - np.arange(window)) % window
    positions = newest - age
    return positions


@checked
def ring_write(
    ring: Float[Array, "*batch slot feature"],
    new: Float[Array, "*batch position feature"],
    past: int,
) -> Float[Array, "*batch slot feature"]:
    r"""Write into a ring: each new token over the oldest one.

    $R'_s = X_{p_s - n}$ where $p_s \ge n$, and $R_s$ elsewhere, with n
    the `past` and $p_s$ the positions when the new tokens are in

    Of more new tokens than there are slots, the last ones stay. An empty
    ring must hold numbers, zeros: a NaN would spread, as from any masked
    value. Raises ValueError for a negative past, and without a slot.
    """
    check_at_least("past", past, 0)
    slots, count = ring.shape[-2], new.shape[-2]
    positions = ring_positions(past + count, slots)
    is_new = positions >= past
    source = np.where(is_new, slots + positions - past, np.arange(slots))
    both = np.concatenate([ring, new], axis=-2)
    written = both[..., source, :]
    return written


@checked
def ring_write_backward(
    d_written: Float[Array, "*batch slot feature"],
    ring: Float[Array, "*batch slot feature"],
    new: Float[Array, "*batch position feature"],
    past: int,
) -> tuple[
    Float[Array, "*batch slot feature"],
    Float[Array, "*batch position feature"],
]:
    """Gradient of writing: to what stayed, and none to what is gone."""
    check_at_least("past", past, 0)
    slots, count = ring.shape[-2], new.shape[-2]
    positions = ring_positions(past + count, slots)
    is_new = positions >= past
    source = np.where(is_new, slots + positions - past, np.arange(slots))
    taken = np.arange(slots + count)[:, None] == source
    d_both = taken @ d_written
    d_ring, d_new = np.split(d_both, [slots], axis=-2)
    return d_ring, d_new


@checked
def ring_mask(
    queries: int,
    window: int,
    past: int,
) -> Bool[Array, "query key"]:
    r"""Mask of a ring: the slots first, then the new tokens themselves.

    $M_{ij} = [\,p_j \ge 0 \land 0 \le n + i - p_j < w\,]$, with $p_j$
    the position of key j

    These are the columns of `sliding_window_mask`, in the order of the
    slots. With its own key a query sees w - 1 of the slots, or fewer.
    Raises ValueError for a negative number, and for a window below 1.

    >>> ring_mask(2, window=4, past=6).astype(int)
    array([[1, 1, 0, 1, 1, 0],
           [1, 1, 0, 0, 1, 1]])
    """
    check_at_least("queries", queries, 0)
    slot_position = ring_positions(past, window)
    query_position = past + np.arange(queries)
    key_position = np.concatenate([slot_position, query_position])
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
    r"""Attention of new tokens to a ring and to themselves.

    $O = \operatorname{attention}(Q, [K_\text{ring}; K],
    [V_\text{ring}; V], M)$

    The window is the number of slots. These are the rows that attention
    with `sliding_window_mask` gives for the whole text. Afterwards the
    new keys and values are written into the ring (`ring_write`), and not
    before: of several new tokens the first still sees what the last
    overwrites.
    """
    mask = ring_mask(query.shape[-2], ring_key.shape[-2], past)
    seen_key = np.concatenate([ring_key, key], axis=-2)
    seen_value = np.concatenate([ring_value, value], axis=-2)
    context = scaled_dot_product_attention(
        query, seen_key, seen_value, mask
    )
    return context


@checked
def ring_window_attention_backward(
    d_context: Float[Array, "*batch position d_value"],
    query: Float[Array, "*batch position d_head"],
    key: Float[Array, "*batch position d_head"],
    value: Float[Array, "*batch position d_value"],
    ring_key: Float[Array, "*batch slot d_head"],
    ring_value: Float[Array, "*batch slot d_value"],
    past: int,
) -> tuple[
    Float[Array, "*batch position d_head"],
    Float[Array, "*batch position d_head"],
    Float[Array, "*batch position d_value"],
    Float[Array, "*batch slot d_head"],
    Float[Array, "*batch slot d_value"],
]:
    """Gradient of attention, cut where the ring ends."""
    slots = ring_key.shape[-2]
    mask = ring_mask(query.shape[-2], slots, past)
    seen_key = np.concatenate([ring_key, key], axis=-2)
    seen_value = np.concatenate([ring_value, value], axis=-2)
    d_query, d_seen_key, d_seen_value = (
        scaled_dot_product_attention_backward(
            d_context, query, seen_key, seen_value, mask
        )
    )
    d_ring_key, d_key = np.split(d_seen_key, [slots], axis=-2)
    d_ring_value, d_value = np.split(d_seen_value, [slots], axis=-2)
    return d_query, d_key, d_value, d_ring_key, d_ring_value
