r"""Tiled attention: scores tile by tile, and never all of them.

Attention writes a matrix of scores that is n times n, and reads it again.
FlashAttention (Dao et al. 2022) cuts it in tiles: a block of queries meets
one block of keys after the other, and keeps no more than online softmax
does (`partial_attention`). Numbers are the same, for any size of block;
memory grows with n, no longer with its square. What a causal mask hides
as a whole is not even looked at, half of all tiles.

The gradient needs the weights again. They are not kept but computed once
more, tile by tile, from the log-sum-exp: $A = e^{S - L}$.

Axes as in `attention`. Query i stands at position `past` + i, and no
query sees a key behind its own position. With as many keys in the past as
there are, that hides none.

A query that may attend to nothing gets 0. A NaN in a masked key is
stopped; one in a masked value spreads, because 0 times NaN is NaN, but
not from a tile that is hidden as a whole.
"""

from math import inf, sqrt

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray as Array

from ..attention import attention_scores
from ..checked import check_at_least, checked
from ..masks import causal_mask
from .partial_attention import PartialAttention, partial_attention_in_blocks


@checked
def attention_delta(
    d_context: Float[Array, "*batch query d_value"],
    context: Float[Array, "*batch query d_value"],
) -> Float[Array, "*batch query"]:
    r"""The mean that softmax's gradient subtracts, without the weights.

    $D_i = \sum_j A_{ij} \, dA_{ij} = \sum_v dO_{iv} O_{iv}$ (Dao et al.
    2022, appendix B.2)

    With $dA = dO \, V^\top$ and $O = A V$ both are the same sum. So all
    that a row has to know of its other keys is one number.
    """
    delta = (d_context * context).sum(axis=-1)
    return delta


@checked
def block_weights(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    mask: Bool[Array, "*#batch #query #key"],
    log_sum_exp: Float[Array, "*batch query"],
) -> Float[Array, "*batch query key"]:
    r"""Attention weights of one block of keys, from the log-sum-exp of all.

    $A_{ij} = e^{S_{ij} - L_i}$ where the mask allows, and 0 elsewhere

    A row sums to 1 over all blocks. One that has seen nothing, with a
    log-sum-exp of $-\infty$, is masked in every block.
    """
    scores = attention_scores(query, key)
    allowed = np.where(mask, scores, -inf)
    shift = np.where(log_sum_exp == -inf, 0, log_sum_exp)
    weights = np.exp(allowed - shift[..., None])
    return weights


@checked
def block_gradient(
    d_context: Float[Array, "*batch query d_value"],
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    log_sum_exp: Float[Array, "*batch query"],
    delta: Float[Array, "*batch query"],
) -> tuple[
    Float[Array, "*batch query d_head"],
    Float[Array, "*batch key d_head"],
    Float[Array, "*batch key d_value"],
]:
    r"""One block's part in the gradient (Dao et al. 2022, algorithm 4).

    $dV = A^\top dO$, $dS = A \odot (dO \, V^\top - D)$,
    $dQ = dS \, K / \sqrt{d_\text{head}}$,
    $dK = dS^\top Q / \sqrt{d_\text{head}}$

    Keys and values of the block have their whole gradient from these
    queries; the queries get what comes by this block, and sum it up.
    """
    weights = block_weights(query, key, mask, log_sum_exp)
    d_value = weights.swapaxes(-2, -1) @ d_context
    d_weights = d_context @ value.swapaxes(-2, -1)
    d_scores = weights * (d_weights - delta[..., None])
    d_similarity = d_scores / sqrt(query.shape[-1])
    d_query = d_similarity @ key
    d_key = d_similarity.swapaxes(-2, -1) @ query
    return d_query, d_key, d_value


@checked
def add_block_gradients(
    d_query: Float[Array, "*batch query d_head"],
    d_context: Float[Array, "*batch query d_value"],
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    log_sum_exp: Float[Array, "*batch query"],
    delta: Float[Array, "*batch query"],
    past: int,
    block: int,
) -> tuple[
    Float[Array, "*batch query d_head"],
    Float[Array, "*batch key d_head"],
    Float[Array, "*batch key d_value"],
]:
    """Gradients of attention, one block of keys after the other.

    `d_query` is what comes by other keys, zeros without any. Queries that
    stand before a block have no part in it and are left out. Raises
    ValueError for a negative past, and for a `block` below 1.
    """
    check_at_least("past", past, 0)
    check_at_least("block", block, 1)
    queries, keys = query.shape[-2], key.shape[-2]
    whole = np.broadcast_to(mask, (*mask.shape[:-2], queries, keys))
    d_keys, d_values = [], []
    for start in range(0, keys, block):
        columns = slice(start, start + block)
        first = max(start - past, 0)
        below = whole[..., first:, columns]
        causal = causal_mask(*below.shape[-2:], max(past - start, 0))
        part, d_key_block, d_value_block = block_gradient(
            d_context[..., first:, :],
            query[..., first:, :],
            key[..., columns, :],
            value[..., columns, :],
            below & causal,
            log_sum_exp[..., first:],
            delta[..., first:],
        )
        before = d_query[..., :first, :]
        behind = d_query[..., first:, :] + part
        d_query = np.concatenate([before, behind], axis=-2)
        d_keys.append(d_key_block)
        d_values.append(d_value_block)
    d_key = np.concatenate(d_keys, axis=-2)
    d_value = np.concatenate(d_values, axis=-2)
    summed_d_query = d_query
    return summed_d_query, d_key, d_value


@checked
def tiled_causal_attention(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    past: int,
    block: int,
) -> tuple[
    Float[Array, "*batch query d_value"],
    PartialAttention,
]:
    r"""Causal attention, tile by tile, and what its gradient needs.

    $O = \operatorname{attention}(Q, K, V, M \land C)$, $C_{ij} = [\,j \le
    \text{past} + i\,]$ (Dao et al. 2022, algorithm 2)

    `mask` is for what else is hidden, padding say. A block of queries
    meets the keys up to its last position, and none behind. Raises
    ValueError for a negative past, and for a `block` below 1.
    """
    check_at_least("past", past, 0)
    check_at_least("block", block, 1)
    queries, keys = query.shape[-2], key.shape[-2]
    whole = np.broadcast_to(mask, (*mask.shape[:-2], queries, keys))
    outputs, sums = [], []
    for start in range(0, queries, block):
        rows = slice(start, start + block)
        seen = past + start + block
        beside = whole[..., rows, :seen]
        causal = causal_mask(*beside.shape[-2:], past + start)
        tile = partial_attention_in_blocks(
            query[..., rows, :],
            key[..., :seen, :],
            value[..., :seen, :],
            beside & causal,
            block,
        )
        outputs.append(tile.output)
        sums.append(tile.log_sum_exp)
    context = np.concatenate(outputs, axis=-2)
    log_sum_exp = np.concatenate(sums, axis=-1)
    partial = PartialAttention(context, log_sum_exp)
    return context, partial


@checked
def tiled_causal_attention_backward(
    d_context: Float[Array, "*batch query d_value"],
    partial: PartialAttention,
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    past: int,
    block: int,
) -> tuple[
    Float[Array, "*batch query d_head"],
    Float[Array, "*batch key d_head"],
    Float[Array, "*batch key d_value"],
]:
    """Gradient of tiled attention: its weights computed a second time.

    `partial` is what the step has returned beside its context.
    """
    check_at_least("past", past, 0)
    check_at_least("block", block, 1)
    delta = attention_delta(d_context, partial.output)
    d_query, d_key, d_value = add_block_gradients(
        np.zeros_like(query),
        d_context,
        query,
        key,
        value,
        mask,
        partial.log_sum_exp,
        delta,
        past,
        block,
    )
    return d_query, d_key, d_value


@checked
def tiled_attention(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    block: int,
) -> Float[Array, "*batch query d_value"]:
    """Scaled dot-product attention, tile by tile.

    The numbers are those of `scaled_dot_product_attention`: every query
    stands behind all keys. Raises ValueError for a `block` below 1.
    """
    past = key.shape[-2]
    context, _ = tiled_causal_attention(
        query, key, value, mask, past, block
    )
    return context


@checked
def tiled_attention_backward(
    d_context: Float[Array, "*batch query d_value"],
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    block: int,
) -> tuple[
    Float[Array, "*batch query d_head"],
    Float[Array, "*batch key d_head"],
    Float[Array, "*batch key d_value"],
]:
    """Gradient of tiled attention, of which nothing was kept."""
    past = key.shape[-2]
    _, partial = tiled_causal_attention(
        query, key, value, mask, past, block
    )
    d_query, d_key, d_value = tiled_causal_attention_backward(
        d_context, partial, query, key, value, mask, past, block
    )
    return d_query, d_key, d_value
