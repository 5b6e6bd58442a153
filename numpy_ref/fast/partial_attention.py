r"""Partial attention: online softmax, and how two parts become one.

Softmax seems to need all scores of a row at once: its maximum, then its
sum. It does not. A query keeps the maximum so far, the sum of the
exponentials under it, and the values weighted by them; a new block of
keys that brings a greater maximum costs one factor on both sums. That is
the online softmax of Milakov and Gimelshein (2018), and with the values
the block step of FlashAttention (Dao et al. 2022).

Divided by its sum, what a query has is attention to the keys that it has
met. With the logarithm of that sum beside it, the log-sum-exp, two such
parts merge into attention to the keys of both, in whatever order: on
several threads, machines, or a ring of them.

Axes as in `attention`; `key` counts the keys of one block or of one part.
A block without keys changes nothing.
"""

from math import inf
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray as Array

from ..attention import attention_scores
from ..checked import check_at_least, checked


class RunningSoftmax(NamedTuple):
    """Online softmax: what each query keeps of the keys that it has met."""

    weighted_sum: Float[Array, "*batch query d_value"]
    maximum: Float[Array, "*batch query"]
    total: Float[Array, "*batch query"]


class PartialAttention(NamedTuple):
    """Attention to some of the keys, and what merging needs."""

    output: Float[Array, "*batch query d_value"]
    log_sum_exp: Float[Array, "*batch query"]


@checked
def nothing_seen(
    query: Float[Array, "*batch query d_head"],
    value: Float[Array, "*batch key d_value"],
) -> RunningSoftmax:
    r"""Online softmax before the first key.

    $U = 0$, $m = -\infty$, the maximum of no number at all, $l = 0$
    """
    shape = (*query.shape[:-1], value.shape[-1])
    weighted_sum = np.zeros(shape, query.dtype)
    maximum = np.full(shape[:-1], -inf, query.dtype)
    total = np.zeros(shape[:-1], query.dtype)
    running = RunningSoftmax(weighted_sum, maximum, total)
    return running


@checked
def add_key_block(
    running: RunningSoftmax,
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
) -> RunningSoftmax:
    r"""Online softmax: one block of keys more.

    $m' = \max(m, \max_j S_j)$,
    $l' = l \, e^{m - m'} + \sum_j e^{S_j - m'}$,
    $U' = U \, e^{m - m'} + \sum_j e^{S_j - m'} V_j$, over the keys that
    the mask allows (Milakov and Gimelshein 2018, section 3)

    The factor $e^{m - m'}$ makes sums under the old maximum sums under
    the new one.
    """
    scores = attention_scores(query, key)
    allowed = np.where(mask, scores, -inf)
    block_maximum = allowed.max(axis=-1, initial=-inf)
    maximum = np.maximum(running.maximum, block_maximum)
    # As long as no key was allowed it is -inf, and -inf + inf is NaN.
    shift = np.where(maximum == -inf, 0, maximum)
    rescale = np.exp(running.maximum - shift)
    exponentials = np.exp(allowed - shift[..., None])
    total = running.total * rescale + exponentials.sum(axis=-1)
    rescaled_sum = running.weighted_sum * rescale[..., None]
    weighted_sum = rescaled_sum + exponentials @ value
    extended = RunningSoftmax(weighted_sum, maximum, total)
    return extended


@checked
def add_key_blocks(
    running: RunningSoftmax,
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    block: int,
) -> RunningSoftmax:
    """Online softmax: key block by key block, the last maybe shorter.

    Never more than (query, block) scores are kept. Raises ValueError for a
    `block` below 1.
    """
    check_at_least("block", block, 1)
    whole = np.broadcast_to(mask, (*mask.shape[:-1], key.shape[-2]))
    for start in range(0, key.shape[-2], block):
        columns = slice(start, start + block)
        running = add_key_block(
            running,
            query,
            key[..., columns, :],
            value[..., columns, :],
            whole[..., columns],
        )
    extended = running
    return extended


@checked
def normalised(running: RunningSoftmax) -> PartialAttention:
    r"""Online softmax after the last key: one division for each query.

    $O = U / l$, and the log-sum-exp $L = m + \ln l$

    A query that has met no key gets 0, and $-\infty$.
    """
    divisor = np.where(running.total == 0, 1, running.total)
    output = running.weighted_sum / divisor[..., None]
    log_sum_exp = running.maximum + np.log(divisor)
    partial = PartialAttention(output, log_sum_exp)
    return partial


@checked
def partial_attention(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
) -> PartialAttention:
    r"""Partial attention: to some of the keys, ready to be merged.

    $O = A V$, $L_i = \ln \sum_{j \in M_i} e^{S_{ij}}$

    The output is what `scaled_dot_product_attention` gives for these keys
    alone.
    """
    running = nothing_seen(query, value)
    extended = add_key_block(running, query, key, value, mask)
    partial = normalised(extended)
    return partial


@checked
def partial_attention_in_blocks(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    block: int,
) -> PartialAttention:
    """Partial attention, key block by key block.

    The numbers are those of `partial_attention`. Raises ValueError for a
    `block` below 1.
    """
    running = nothing_seen(query, value)
    extended = add_key_blocks(running, query, key, value, mask, block)
    partial = normalised(extended)
    return partial


@checked
def merge_partial_attention(
    first: PartialAttention,
    second: PartialAttention,
) -> PartialAttention:
    r"""Merge two partial attentions into attention to the keys of both.

    $L = \ln(e^{L_1} + e^{L_2})$, $O = e^{L_1 - L} O_1 + e^{L_2 - L} O_2$

    Each part counts by its share of the sum. Which is the first makes no
    difference, and of three parts neither does which two are merged first.
    A part that has seen nothing has no share.
    """
    maximum = np.maximum(first.log_sum_exp, second.log_sum_exp)
    shift = np.where(maximum == -inf, 0, maximum)
    first_power = np.exp(first.log_sum_exp - shift)
    second_power = np.exp(second.log_sum_exp - shift)
    total = first_power + second_power
    divisor = np.where(total == 0, 1, total)
    first_share = first_power / divisor
    second_share = second_power / divisor
    first_part = first_share[..., None] * first.output
    output = first_part + second_share[..., None] * second.output
    log_sum_exp = maximum + np.log(divisor)
    merged = PartialAttention(output, log_sum_exp)
    return merged


@checked
def merge_neighbours(
    partials: tuple[PartialAttention, ...],
) -> tuple[PartialAttention, ...]:
    """Merge each two neighbours; an odd one at the end stays as it is."""
    merged = [
        merge_partial_attention(*pair)
        for pair in zip(partials[::2], partials[1::2], strict=False)
    ]
    odd = partials[2 * len(merged) :]
    fewer = (*merged, *odd)
    return fewer


@checked
def merge_tree(partials: tuple[PartialAttention, ...]) -> PartialAttention:
    r"""Merge any number of partial attentions, as a tree.

    Of n parts each goes through $\lceil \log_2 n \rceil$ merges, and all
    merges of one level could run at once. Raises ValueError without any.
    """
    check_at_least("partials", len(partials), 1)
    while len(partials) > 1:
        partials = merge_neighbours(partials)
    (merged,) = partials
    return merged


@checked
def split_key_attention(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    block: int,
) -> Float[Array, "*batch query d_value"]:
    """Split keys: attention to each block by itself, merged at the end.

    A new token's one query leaves nothing to share but the keys: here no
    block waits for another (Dao et al. 2023, Flash-Decoding). Raises
    ValueError for a `block` below 1.
    """
    check_at_least("block", block, 1)
    whole = np.broadcast_to(mask, (*mask.shape[:-1], key.shape[-2]))
    starts = range(0, key.shape[-2], block)
    partials = tuple(
        partial_attention(
            query,
            key[..., start : start + block, :],
            value[..., start : start + block, :],
            whole[..., start : start + block],
        )
        for start in starts
    )
    context = merge_tree(partials).output
    return context
