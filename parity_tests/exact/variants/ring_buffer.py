from operator import and_

import numpy as np

from ..attention import (
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
)
from ..key_value_cache import after


def ring_positions(past, window):
    """Token by token: each takes the slot of the one that it replaces."""
    newest = past - 1
    positions = [slot - window for slot in range(window)]
    for position in range(past):
        positions[position % window] = position
    age = [newest - position for position in positions]
    return locals()


def ring_write(ring, new, past):
    slots, count = ring.shape[-2], new.shape[-2]
    before = ring_positions(past, slots)["positions"]
    positions = ring_positions(past + count, slots)["positions"]
    is_new = [position >= past for position in positions]
    everyone = [*before, *range(past, past + count)]
    source = [everyone.index(position) for position in positions]
    both = after(ring, new)
    written = both.moved(lambda a: a[..., source, :])
    return locals()


def ring_write_backward(d_written, ring, new, past):
    steps = ring_write(ring, new, past)
    slots, rows = steps["slots"], steps["both"].shape[-2]

    def back(a):
        everywhere = np.zeros((*a.shape[:-2], rows, a.shape[-1]), a.dtype)
        everywhere[..., steps["source"], :] = a
        return everywhere

    d_both = d_written.moved(back)
    d_ring, d_new = cut(d_both, slots)
    return locals()


def cut(both, slots):
    """What belongs to the ring, and what to the new tokens."""
    ring = both.moved(lambda a: a[..., :slots, :])
    new = both.moved(lambda a: a[..., slots:, :])
    return ring, new


def ring_mask(queries, window, past):
    slot_position = ring_positions(past, window)["positions"]
    query_position = list(range(past, past + queries))
    key_position = slot_position + query_position
    distance = [[q - k for k in key_position] for q in query_position]
    is_near = [[0 <= d < window for d in row] for row in distance]
    written = [position >= 0 for position in key_position]
    mask = [list(map(and_, row, written)) for row in is_near]
    return locals()


def ring_window_attention(query, key, value, ring_key, ring_value, past):
    window = ring_key.shape[-2]
    mask = np.array(ring_mask(query.shape[-2], window, past)["mask"])
    seen_key, seen_value = after(ring_key, key), after(ring_value, value)
    context = scaled_dot_product_attention(
        query, seen_key, seen_value, mask
    )["context"]
    return locals()


def ring_window_attention_backward(
    d_context, query, key, value, ring_key, ring_value, past
):
    steps = ring_window_attention(
        query, key, value, ring_key, ring_value, past
    )
    back = scaled_dot_product_attention_backward(
        *(d_context, query, steps["seen_key"], steps["seen_value"]),
        steps["mask"],
    )
    d_seen_key, d_seen_value = back["d_key"], back["d_value"]
    slots = ring_key.shape[-2]
    d_ring_key, d_key = cut(d_seen_key, slots)
    d_ring_value, d_value = cut(d_seen_value, slots)
    return locals() | {"d_query": back["d_query"]}
