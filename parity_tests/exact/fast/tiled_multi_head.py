"""Multi-head attention in tiles: exactly that with a causal mask."""

import numpy as np

from ..multi_head import multi_head_attention, multi_head_attention_backward
from .tiled_attention import tiled_causal_attention


def tiled_multi_head_attention(x, params, mask, heads, block):
    visible = up_to_itself(x, mask)
    steps = multi_head_attention(x, params, visible, heads)
    return steps | {"_": partial_of(steps, visible, block)}


def tiled_multi_head_attention_backward(d_y, x, params, mask, heads, block):
    visible = up_to_itself(x, mask)
    steps = multi_head_attention_backward(d_y, x, params, visible, heads)
    return steps | {"partial": partial_of(steps, visible, block)}


def up_to_itself(x, mask):
    """What the mask allows, of the tokens up to each."""
    positions = x.shape[-2]
    return mask & np.tri(positions, dtype=bool)


def partial_of(steps, visible, block):
    return tiled_causal_attention(
        *(steps[name] for name in ("query", "key", "value")),
        *(visible[..., None, :, :], 0, block),
    )["partial"]
