r"""Tiled attention on threads: `tiled_causal_attention`, at speed.

Each thread takes one piece of work after the other: some queries of some
heads (`threads`).

Every pass over the scores goes through memory once. So they are written
into one buffer (`out=`), again and again, which is small enough for the
cache of a core. Where texts are short, several heads share it: a call of
NumPy's costs about a microsecond, whatever it is for.

The numbers are those of the twinned form within its bound, not to the last
bit, since sums are taken in another order. One worker computes in the
calling thread.

Axes as in `tiled_attention`; `group` are the heads of one piece.
"""

from functools import cache
from math import ceil, inf, prod, sqrt

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray as Array

from ..checked import check_at_least, checked
from .partial_attention import PartialAttention
from .threads import Buffers, Index, blocks_of, run_on_threads

# Queries and keys of a tile: three quarters of a megabyte of scores in
# float32, about what a core has for itself. The gradient needs two tiles.
TILE = (256, 768)
GRADIENT_TILE = (256, 256)

# A score may be so far above what is subtracted from it: e^20 is far from
# the largest number, and costs no digit.
MARGIN = 20.0


@checked
def attention_on_threads(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    past: int,
    workers: int,
) -> tuple[
    Float[Array, "*batch query d_value"],
    PartialAttention,
]:
    """Causal attention on so many threads, and what its gradient needs.

    With as many keys in the past as there are, no position hides any.
    Raises ValueError for a negative past, and without a worker.
    """
    check_at_least("past", past, 0)
    check_at_least("workers", workers, 1)
    context = np.empty((*query.shape[:-1], value.shape[-1]), query.dtype)
    log_sum_exp = np.empty(query.shape[:-1], query.dtype)
    hidden = hidden_by(mask, query, key)

    def work(piece: Index, buffers: Buffers) -> None:
        heads, rows = piece[:-1], piece[-1]
        attend(
            query[piece],
            key[heads],
            value[heads],
            None if hidden is None else hidden[piece],
            past + rows.start,
            context[piece],
            log_sum_exp[piece],
            buffers,
        )

    queries, keys = query.shape[-2], key.shape[-2]
    # Two blocks at least, since of one a causal mask hides half.
    most = ceil(queries / 2) if past + 1 < keys else queries
    height = max(1, min(TILE[0], most))
    width = max(1, min(TILE[1], keys))
    groups = groups_of_heads(query.shape, prod(TILE) // (height * width))
    # The last queries see most: begun last, one would keep all waiting.
    blocks = blocks_of(queries, height)[::-1]
    pieces = [(*group, rows) for rows in blocks for group in groups]
    run_on_threads(work, pieces, workers)
    partial = PartialAttention(context, log_sum_exp)
    return context, partial


@checked
def attention_on_threads_backward(
    d_context: Float[Array, "*batch query d_value"],
    partial: PartialAttention,
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    past: int,
    workers: int,
) -> tuple[
    Float[Array, "*batch query d_head"],
    Float[Array, "*batch key d_head"],
    Float[Array, "*batch key d_value"],
]:
    """Gradient of attention on threads: heads by themselves, then tiles.

    `partial` is what the step has returned beside its context.
    """
    check_at_least("past", past, 0)
    check_at_least("workers", workers, 1)
    d_query, d_key, d_value = map(np.zeros_like, (query, key, value))
    hidden = hidden_by(mask, query, key)

    def work(heads: Index, buffers: Buffers) -> None:
        add_gradients(
            d_context[heads],
            PartialAttention(*(part[heads] for part in partial)),
            query[heads],
            key[heads],
            value[heads],
            None if hidden is None else hidden[heads],
            past,
            (d_query[heads], d_key[heads], d_value[heads]),
            buffers,
        )

    queries, keys = query.shape[-2], key.shape[-2]
    height = max(1, min(GRADIENT_TILE[0], queries))
    width = max(1, min(GRADIENT_TILE[1], keys))
    fitting = prod(GRADIENT_TILE) // (height * width)
    groups = groups_of_heads(query.shape, fitting)
    run_on_threads(work, groups, workers)
    return d_query, d_key, d_value


def attend(
    query: Float[Array, "*group query d_head"],
    key: Float[Array, "*group key d_head"],
    value: Float[Array, "*group key d_value"],
    hidden: Bool[Array, "*group query key"] | None,
    past: int,
    context: Float[Array, "*group query d_value"],
    log_sum_exp: Float[Array, "*group query"],
    buffers: Buffers,
) -> None:
    """Some queries meet one block of keys after the other.

    Writes into `context` and `log_sum_exp`. The steps are those of
    `add_key_block`, and at the end of `normalised`, but for two passes
    over the scores. What is subtracted from them need not be the maximum:
    the first key's score does as well, as long as no other is far above
    it. And the product subtracts it: a query has it, negated, as one
    feature more, in which every key has a 1.
    """
    features = query.shape[-1]
    queries = buffers.take(
        "queries", (*query.shape[:-1], features + 1), query.dtype
    )
    np.divide(query, sqrt(features), out=queries[..., :-1])
    queries[..., -1] = 0

    def scores_of(columns: slice) -> Array:
        keys = with_ones(key[..., columns, :], buffers)
        width = columns.stop - columns.start
        scores = buffers.take(
            "scores", (*query.shape[:-1], width), query.dtype
        )
        np.matmul(queries, keys.swapaxes(-2, -1), out=scores)
        hide(scores, hidden, past, columns)
        return scores

    seen = min(past + query.shape[-2], key.shape[-2])
    shift = scores_of(slice(0, min(1, seen))).max(axis=-1, initial=-inf)
    queries[..., -1] = negated(shift)
    total = np.zeros_like(shift)
    context[...] = 0
    for columns in blocks_of(seen, TILE[1]):
        scores = scores_of(columns)
        if shift.min() == -inf or not scores.max() <= MARGIN:
            # The plain step: from the scores as they are, their maximum.
            queries[..., -1] = 0
            scores = scores_of(columns)
            maximum = np.maximum(shift, scores.max(axis=-1))
            queries[..., -1] = negated(maximum)
            scores += queries[..., -1:]
            rescale = np.exp(shift + queries[..., -1])
            total *= rescale
            context *= rescale[..., None]
            shift = maximum
        exponentials = np.exp(scores, out=scores)
        # A third of the time that `.sum` takes, since BLAS does it.
        total += exponentials @ np.ones(scores.shape[-1], scores.dtype)
        context += exponentials @ value[..., columns, :]
    divisor = np.where(total == 0, 1, total)
    context /= divisor[..., None]
    np.add(shift, np.log(divisor), out=log_sum_exp)


def with_ones(
    key: Float[Array, "*group key d_head"], buffers: Buffers
) -> Float[Array, "*group key d_head_and_1"]:
    """Keys with one feature more, which is 1."""
    *axes, features = key.shape
    keys = buffers.take("keys", (*axes, features + 1), key.dtype)
    keys[..., :-1], keys[..., -1] = key, 1
    return keys


def negated(
    shift: Float[Array, "*group query"],
) -> Float[Array, "*group query"]:
    """What to add to scores; nothing where no key has been seen."""
    return np.where(shift == -inf, 0, -shift)


def add_gradients(
    d_context: Float[Array, "*group query d_value"],
    partial: PartialAttention,
    query: Float[Array, "*group query d_head"],
    key: Float[Array, "*group key d_head"],
    value: Float[Array, "*group key d_value"],
    hidden: Bool[Array, "*group query key"] | None,
    past: int,
    gradients: tuple[Array, Array, Array],
    buffers: Buffers,
) -> None:
    """All gradients of some heads, tile by tile, added to zeros.

    The steps of a tile are those of `block_gradient`.
    """
    d_query, d_key, d_value = gradients
    root = sqrt(query.shape[-1])
    delta = (d_context * partial.output).sum(axis=-1)
    sums = partial.log_sum_exp
    shift = np.where(sums == -inf, 0, sums)
    for rows in blocks_of(query.shape[-2], GRADIENT_TILE[0]):
        scaled = query[..., rows, :] / root
        d_rows = d_context[..., rows, :]
        masked = None if hidden is None else hidden[..., rows, :]
        seen = min(past + rows.stop, key.shape[-2])
        for columns in blocks_of(seen, GRADIENT_TILE[1]):
            width = columns.stop - columns.start
            shape = (*scaled.shape[:-1], width)
            keys, values = key[..., columns, :], value[..., columns, :]
            weights = buffers.take("weights", shape, query.dtype)
            np.matmul(scaled, keys.swapaxes(-2, -1), out=weights)
            hide(weights, masked, past + rows.start, columns)
            weights -= shift[..., rows, None]
            np.exp(weights, out=weights)
            d_scores = buffers.take("d_scores", shape, query.dtype)
            np.matmul(d_rows, values.swapaxes(-2, -1), out=d_scores)
            d_scores -= delta[..., rows, None]
            d_scores *= weights
            d_value[..., columns, :] += weights.swapaxes(-2, -1) @ d_rows
            d_key[..., columns, :] += d_scores.swapaxes(-2, -1) @ scaled
            d_query[..., rows, :] += d_scores @ keys
    d_query /= root


def hidden_by(mask: Array, query: Array, key: Array) -> Array | None:
    """What the mask hides, in full size though not in memory, or None."""
    if mask.all():
        return None
    shape = (*query.shape[:-1], key.shape[-2])
    return np.broadcast_to(~mask, shape)


def hide(
    scores: Float[Array, "*group query key"],
    hidden: Bool[Array, "*group query every_key"] | None,
    past: int,
    columns: slice,
) -> None:
    """-inf for what the mask hides, and what comes after a query."""
    if hidden is not None:
        np.copyto(scores, -inf, where=hidden[..., columns])
    begin = max(columns.start, past + 1)
    if begin < columns.stop:
        count = scores.shape[-2]
        later = keys_later(count)[:, begin - past - 1 :]
        here = scores[..., begin - columns.start :]
        np.copyto(here, -inf, where=later[:, : here.shape[-1]])


@cache
def keys_later(count: int) -> Bool[Array, "query key"]:
    """For so many queries, which keys after the first one's are later."""
    return np.triu(np.ones((count, count), bool))


def groups_of_heads(shape: tuple[int, ...], size: int) -> list[Index]:
    """All heads of queries of this shape, as indices of so many."""
    *batch, _, _ = shape
    if not batch:
        return [()]
    *outer, heads = batch
    groups = blocks_of(heads, size)
    return [
        (*place, group) for place in np.ndindex(*outer) for group in groups
    ]
