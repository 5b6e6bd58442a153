r"""Tiled attention on threads: `tiled_causal_attention`, at speed.

NumPy lets go of Python's lock while it computes, so threads do run at the
same time. Each takes one piece of work after the other: some queries of
some heads. BLAS stays in the thread that calls it, because threads of its
own would wait for each other's cores.

Every pass over the scores goes through memory once. So they are written
into one buffer (`out=`), again and again, which is small enough for the
cache of a core. Where texts are short, several heads share it: a call of
NumPy's costs about a microsecond, whatever it is for.

The numbers are those of the twinned form within its bound, not to the last
bit, since sums are taken in another order. One worker computes in the
calling thread.

Axes as in `tiled_attention`; `group` are the heads of one piece.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from math import ceil, inf, prod, sqrt

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray as Array

from ..checked import check_at_least, checked
from .partial_attention import PartialAttention

# Queries and keys of a tile: half a megabyte of scores in float32, about
# what a core has for itself. The gradient needs two such.
TILE = (256, 512)
GRADIENT_TILE = (256, 256)

# A score may be so far above what is subtracted from it: e^8 is no large
# number, and costs no digit.
MARGIN = 8.0

Index = tuple[int | slice, ...]


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

    def work(piece: Index, buffers: "Buffers") -> None:
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
    blocks = blocks_of(queries, height)
    pieces = [(*group, rows) for group in groups for rows in blocks]
    run_on_threads(work, pieces, query.dtype, workers)
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

    def work(heads: Index, buffers: "Buffers") -> None:
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
    run_on_threads(work, groups, query.dtype, workers)
    return d_query, d_key, d_value


class Buffers:
    """Buffers of one thread: memory that is used again, by its name."""

    def __init__(self, dtype: np.dtype):
        self.dtype = dtype
        self.memory = {}

    def take(self, name: str, shape: tuple[int, ...]) -> Array:
        """An array of this shape, whatever is in it."""
        size = prod(shape)
        if name not in self.memory or self.memory[name].size < size:
            self.memory[name] = np.empty(size, self.dtype)
        return self.memory[name][:size].reshape(shape)


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
    over the scores. What is subtracted from them stays as long as no score
    is far above it. And the product subtracts it: a query has it, negated,
    as one feature more, in which every key has a 1.
    """
    features = query.shape[-1]
    queries = buffers.take("queries", (*query.shape[:-1], features + 1))
    np.divide(query, sqrt(features), out=queries[..., :-1])
    queries[..., -1] = 0
    shift = np.full(log_sum_exp.shape, -inf, query.dtype)
    total = np.zeros_like(shift)
    context[...] = 0
    seen = min(past + query.shape[-2], key.shape[-2])
    for columns in blocks_of(seen, TILE[1]):
        width = columns.stop - columns.start
        keys = key[..., columns, :]
        if columns.start > 0:  # else there is nothing to subtract yet
            keys = with_ones(keys, buffers)
        scores = buffers.take("scores", (*query.shape[:-1], width))
        asking = queries[..., : keys.shape[-1]]
        np.matmul(asking, keys.swapaxes(-2, -1), out=scores)
        hide(scores, hidden, past, columns)
        if shift.min() == -inf or not scores.max() <= MARGIN:
            shift, rescale = shift_again(scores, shift)
            queries[..., -1] = np.where(shift == -inf, 0, -shift)
            total *= rescale
            context *= rescale[..., None]
        exponentials = np.exp(scores, out=scores)
        # A third of the time that `.sum` takes, since BLAS does it.
        total += exponentials @ np.ones(width, query.dtype)
        context += exponentials @ value[..., columns, :]
    divisor = np.where(total == 0, 1, total)
    context /= divisor[..., None]
    np.add(shift, np.log(divisor), out=log_sum_exp)


def with_ones(
    key: Float[Array, "*group key d_head"], buffers: Buffers
) -> Float[Array, "*group key d_head_and_1"]:
    """Keys with one feature more, which is 1."""
    *axes, features = key.shape
    keys = buffers.take("keys", (*axes, features + 1))
    keys[..., :-1], keys[..., -1] = key, 1
    return keys


def shift_again(
    scores: Float[Array, "*group query key"],
    shift: Float[Array, "*group query"],
) -> tuple[
    Float[Array, "*group query"],
    Float[Array, "*group query"],
]:
    r"""Subtract the maximum: what is subtracted then, and how sums shrink.

    From the scores `shift` is subtracted already, but where it is
    $-\infty$, since no key has been seen. There it stays so until one is:
    a 0 in its place would be kept as if it were a score.
    """
    above = scores.max(axis=-1)
    is_new = shift == -inf
    further = np.where(is_new, above, np.maximum(above, 0))
    moved = np.where(further == -inf, 0, further)
    scores -= moved[..., None]
    rescale = np.exp(-np.maximum(moved, 0))
    new_shift = np.where(is_new, further, shift + moved)
    return new_shift, rescale


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
            weights = buffers.take("weights", shape)
            np.matmul(scaled, keys.swapaxes(-2, -1), out=weights)
            hide(weights, masked, past + rows.start, columns)
            weights -= shift[..., rows, None]
            np.exp(weights, out=weights)
            d_scores = buffers.take("d_scores", shape)
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
    if columns.stop - 1 > past:
        query_position = past + np.arange(scores.shape[-2])
        key_position = np.arange(columns.start, columns.stop)
        later = key_position > query_position[:, None]
        np.copyto(scores, -inf, where=later)


def blocks_of(count: int, size: int) -> list[slice]:
    """0 ... count - 1 in blocks, the last maybe shorter."""
    return [
        slice(start, min(start + size, count))
        for start in range(0, count, size)
    ]


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


def run_on_threads(
    work: Callable[[Index, Buffers], None],
    pieces: list[Index],
    dtype: np.dtype,
    workers: int,
) -> None:
    """Each worker takes the next piece, as long as there is one."""
    queue = iter(pieces)  # of which one thread at a time takes the next

    def run() -> None:
        buffers = Buffers(dtype)
        for piece in queue:
            work(piece, buffers)

    with blas().limit(limits=1, user_api="blas"):
        if workers == 1:
            return run()
        with ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(run) for _ in range(workers)]
            for future in futures:
                future.result()


@cache
def blas():
    """What holds BLAS to a number of threads; to find it takes a while."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
