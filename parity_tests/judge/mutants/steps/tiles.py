"""Mutants of attention in tiles: of its block step and its merge.

Most have been somebody's. A rescaling that was always 1, since the old
maximum stood in the register of the new one: paiml/aprender issue 2753.
NaN from a wholly masked block: flashinfer-ai/flashinfer pull request 4401;
the 0 that was put in its place and then kept as the maximum:
Dao-AILab/flash-attention issue 2082. Lengths that no block divides:
jax-ml/jax issue 27224, and zeros that were read behind the last key and
counted: flashinfer-ai/flashinfer pull request 5090. Log-sum-exps of base 2
that were merged as natural ones: sgl-project/sglang issue 40903.
"""

from functools import partial
from math import inf, log

import numpy as np

from numpy_ref.attention import attention_scores
from numpy_ref.fast.partial_attention import (
    PartialAttention,
    RunningSoftmax,
    add_key_block,
    merge_partial_attention,
    normalised,
    nothing_seen,
    partial_attention,
)
from numpy_ref.masks import causal_mask

from .pieces import Mutants


def block_added(
    running,
    query,
    key,
    value,
    mask,
    guarded=True,
    forgets=False,
    rescaled_total=True,
    rescaled_sum=True,
    keeps_the_shift=False,
):
    """The block step, with one thing otherwise."""
    allowed = np.where(mask, attention_scores(query, key), -inf)
    maximum = allowed.max(axis=-1)
    if not forgets:
        maximum = np.maximum(maximum, running.maximum)
    shift = np.where(maximum == -inf, 0, maximum) if guarded else maximum
    rescale = np.exp(running.maximum - shift)
    exponentials = np.exp(allowed - shift[..., None])
    total = running.total * (rescale if rescaled_total else 1)
    sums = running.weighted_sum * (
        rescale[..., None] if rescaled_sum else 1
    )
    return RunningSoftmax(
        sums + exponentials @ value,
        shift if keeps_the_shift else maximum,
        total + exponentials.sum(axis=-1),
    )


BLOCK_STEP = {
    "a wholly masked first block makes NaN: -∞ minus -∞": partial(
        block_added, guarded=False
    ),
    "the maximum is that of the last block, and not of all": partial(
        block_added, forgets=True
    ),
    "sums under the old maximum are not rescaled": partial(
        block_added, rescaled_total=False, rescaled_sum=False
    ),
    "the weighted values are not rescaled, only their total": partial(
        block_added, rescaled_sum=False
    ),
    "the total is not rescaled, only the weighted values": partial(
        block_added, rescaled_total=False
    ),
}
ADD_KEY_BLOCK: Mutants = BLOCK_STEP | {
    "after a wholly masked block the maximum stays at 0": partial(
        block_added, keeps_the_shift=True
    ),
    "a block takes the place of what was met before": (
        lambda running, query, key, value, mask: add_key_block(
            nothing_seen(query, value), query, key, value, mask
        )
    ),
}


def merged_by(first, second, share=None, log_sum_exp=None):
    """The merge, with other shares or another sum."""
    right = merge_partial_attention(first, second)
    output = right.output
    if share is not None:
        shares = share(first.log_sum_exp, second.log_sum_exp)[..., None]
        output = shares * first.output + (1 - shares) * second.output
    sums = right.log_sum_exp
    if log_sum_exp is not None:
        sums = log_sum_exp(first.log_sum_exp, second.log_sum_exp)
    return PartialAttention(output, sums)


def share_of_base_2(first, second):
    """The first part's share by log-sum-exps of base 2, to base e."""
    distance = (first - second) / log(2)
    known = np.where(np.isnan(distance), 0.0, distance)
    return 1 / (1 + np.exp(-known))


MERGE: Mutants = {
    "the log-sum-exp is not merged: it stays the first part's": partial(
        merged_by, log_sum_exp=lambda first, second: first
    ),
    "the log-sum-exp is the greater of the two": partial(
        merged_by, log_sum_exp=np.maximum
    ),
    "the log-sum-exps are of base 2, and merged as natural ones": partial(
        merged_by,
        share=share_of_base_2,
    ),
    "both parts count alike": partial(
        merged_by, share=lambda first, second: np.full(first.shape, 0.5)
    ),
    "the part with the greater log-sum-exp takes all": partial(
        merged_by, share=lambda first, second: 1.0 * (first >= second)
    ),
}


def in_blocks(query, key, value, mask, block, add=add_key_block, last=True):
    """Attention, key block by key block, with any block step."""
    keys = key.shape[-2]
    whole = np.broadcast_to(mask, (*query.shape[:-1], keys))
    running = nothing_seen(query, value)
    for start in range(0, keys, block):
        columns = slice(start, start + block)
        if last or start + block <= keys:
            running = add(
                running,
                query,
                key[..., columns, :],
                value[..., columns, :],
                whole[..., columns],
            )
    return normalised(running).output


def with_zeros_behind(query, key, value, mask, block):
    """A last block filled up with keys of zeros, which count."""
    keys = key.shape[-2]
    more = -keys % block
    whole = np.broadcast_to(mask, (*query.shape[:-1], keys))
    behind = [(0, 0)] * (key.ndim - 2) + [(0, more), (0, 0)]
    columns = [(0, 0)] * (key.ndim - 1) + [(0, more)]
    return in_blocks(
        query,
        np.pad(key, behind),
        np.pad(value, behind),
        np.pad(whole, columns, constant_values=True),
        block,
    )


def in_parts(query, key, value, mask, block, join):
    """Attention to each block by itself, joined in some way."""
    keys = key.shape[-2]
    whole = np.broadcast_to(mask, (*query.shape[:-1], keys))
    parts = [
        partial_attention(
            query,
            key[..., start : start + block, :],
            value[..., start : start + block, :],
            whole[..., start : start + block],
        )
        for start in range(0, keys, block)
    ]
    return join(parts)


def mean_of(parts):
    return np.mean([part.output for part in parts], axis=0)


def one_after_the_other(parts):
    """Merged from the left, each time with the first one's sum."""
    joined, *others = parts
    for part in others:
        output = merge_partial_attention(joined, part).output
        joined = PartialAttention(output, joined.log_sum_exp)
    return joined.output


def without_the_odd(parts):
    """Merged in pairs, the odd one left out."""
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        parts = [merge_partial_attention(*pair) for pair in pairs]
    return parts[0].output


TILED: Mutants = {
    cause: partial(in_blocks, add=step)
    for cause, step in BLOCK_STEP.items()
} | {
    "a last block that is shorter is left out": partial(
        in_blocks, last=False
    ),
    "a last block that is shorter is filled up with zeros, which count": (
        with_zeros_behind
    ),
    "each block is normalised by itself, and their mean taken": partial(
        in_parts, join=mean_of
    ),
}
SPLIT: Mutants = {
    "a last block that is shorter is left out": partial(
        in_blocks, last=False
    ),
    "each block is normalised by itself, and their mean taken": partial(
        in_parts, join=mean_of
    ),
    "the log-sum-exp is not merged: it stays the first part's": partial(
        in_parts, join=one_after_the_other
    ),
    "of an odd number of parts the last is left out": partial(
        in_parts, join=without_the_odd
    ),
}


def tile_by_tile(query, key, value, mask, past, block, offset):
    """Causal attention whose tiles take their positions from `offset`."""
    queries, keys = query.shape[-2], key.shape[-2]
    whole = np.broadcast_to(mask, (*query.shape[:-1], keys))
    tiles = []
    for start in range(0, queries, block):
        rows = slice(start, start + block)
        beside = whole[..., rows, :]
        causal = causal_mask(*beside.shape[-2:], offset(past, start))
        tiles.append(
            partial_attention(
                query[..., rows, :], key, value, beside & causal
            )
        )
    context = np.concatenate([tile.output for tile in tiles], axis=-2)
    sums = np.concatenate([tile.log_sum_exp for tile in tiles], axis=-1)
    return context, PartialAttention(context, sums)


CAUSAL: Mutants = {
    "the offset of a tile is forgotten: each begins at the first key": (
        partial(tile_by_tile, offset=lambda past, start: past)
    ),
    "the past is forgotten: it is taken for 0": partial(
        tile_by_tile, offset=lambda past, start: start
    ),
    "a tile sees one key too many": partial(
        tile_by_tile, offset=lambda past, start: past + start + 1
    ),
}

MUTANTS = {
    "add_key_block": ADD_KEY_BLOCK,
    "merge_partial_attention": MERGE,
    "tiled_attention": TILED,
    "split_key_attention": SPLIT,
    "tiled_causal_attention": CAUSAL,
}
