r"""Prefill at speed: a whole text is read at once, on threads.

A model that writes reads its prompt first. Of all those tokens it needs
the keys, the values, and the logits after the last; nobody looks at the
attention weights. So attention may be `attention_on_threads`, which never
has them all and looks at no key that comes after a query. All else goes
token by token, and each thread takes some of them. Of the last block only
the last token is of use.

The numbers are those of `cached_gpt2` and `cached_llama` within what
rounding does to them. A single new token leaves nothing to be shared out:
`on_threads` leaves it to them.

Axes as in `key_value_cache`; `rows` counts the tokens of one thread.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray as Array

from ..checked import check_at_least, check_divides, checked
from ..embeddings import position_embedding, token_embedding
from ..generation import Decoding
from ..gpt2 import DecoderBlock, Gpt2
from ..key_value_cache import cached_gpt2
from ..layers import layer_norm, linear
from ..multi_head import merge_heads, split_heads
from ..sublayers import feed_forward_sublayer
from ..variants.llama import (
    Llama,
    LlamaBlock,
    llama_feed_forward_sublayer,
)
from ..variants.llama_cache import cached_llama
from ..variants.projection import projection
from ..variants.qwen2 import projected
from ..variants.rms_norm import rms_norm
from ..variants.rotary import rotary_halves, rotary_tables
from .attention_on_threads import attention_on_threads
from .threads import blocks_of, results_on_threads

ROWS = 256  # enough for products of matrices to be fast


class Kept(NamedTuple):
    """What one block keeps of some tokens."""

    key: Float[Array, "*batch head position d_head"]
    value: Float[Array, "*batch head position d_head"]


@checked
def gpt2_prefill(
    ids: Int[Array, "*batch position"],
    past_key: Float[Array, "layers *batch head past d_head"],
    past_value: Float[Array, "layers *batch head past d_head"],
    params: Gpt2,
    heads: int,
    epsilon: float,
    workers: int,
) -> tuple[list[Kept], Float[Array, "*batch vocabulary"]]:
    """`cached_gpt2` at speed: keys and values, and the last logits.

    Raises ValueError as `gpt2` does, and without a worker.
    """
    positions = past_key.shape[-2] + np.arange(ids.shape[-1])
    tokens = token_embedding(ids, params.embedding.token)
    x = tokens + position_embedding(positions, params.embedding.position)
    blocks, layers = params.decoder.blocks, []
    for block, *past in zip(blocks, past_key, past_value, strict=True):
        ask = partial(gpt2_ask, params=block, epsilon=epsilon)
        answer = partial(gpt2_answer, params=block, epsilon=epsilon)
        query, key, value = (
            split_heads(part, heads) for part in by_rows(ask, workers, x)
        )
        layers.append(Kept(key, value))
        if block is blocks[-1]:
            x, query = x[..., -1:, :], query[..., -1:, :]
        context = attend(query, layers[-1], Kept(*past), workers)
        (x,) = by_rows(answer, workers, x, merge_heads(context))
    normed = layer_norm(x[..., -1, :], params.norm, epsilon)
    logits = normed @ params.embedding.token.weight.swapaxes(-2, -1)
    return layers, logits


def gpt2_ask(
    x: Float[Array, "*batch rows d_model"],
    params: DecoderBlock,
    epsilon: float,
) -> tuple[Array, ...]:
    """Query, key and value of some tokens, before they are split."""
    sublayer = params.attention_sublayer
    normed = layer_norm(x, sublayer.norm, epsilon)
    attention = sublayer.attention
    layers = attention.query, attention.key, attention.value
    return tuple(linear(normed, layer) for layer in layers)


def gpt2_answer(
    x: Float[Array, "*batch rows d_model"],
    context: Float[Array, "*batch rows d_model"],
    params: DecoderBlock,
    epsilon: float,
) -> tuple[Array]:
    """What a block makes of some tokens and what they attended to."""
    output = params.attention_sublayer.attention.output
    after_attention = x + linear(context, output)
    y = feed_forward_sublayer(
        after_attention, params.feed_forward_sublayer, epsilon
    )
    return (y,)


@checked
def llama_prefill(
    ids: Int[Array, "*batch position"],
    past_key: Float[Array, "layers *batch key_head past d_head"],
    past_value: Float[Array, "layers *batch key_head past d_head"],
    params: Llama,
    heads: int,
    key_heads: int,
    base: float,
    epsilon: float,
    workers: int,
) -> tuple[list[Kept], Float[Array, "*batch vocabulary"]]:
    """`cached_llama` at speed: keys and values, and the last logits.

    Raises ValueError as `llama` does, and without a worker.
    """
    check_divides("key_heads", key_heads, "heads", heads)
    x = token_embedding(ids, params.embedding)
    length, d_head = past_key.shape[-2:]
    positions = length + np.arange(ids.shape[-1], dtype=x.dtype)
    tables = rotary_tables(positions, d_head, base)
    blocks, layers = params.decoder.blocks, []
    for block, *past in zip(blocks, past_key, past_value, strict=True):
        ask = partial(llama_ask, params=block, epsilon=epsilon)
        answer = partial(llama_answer, params=block, epsilon=epsilon)
        asked, offered, value = by_rows(ask, workers, x)
        query = rotary_halves(split_heads(asked, heads), *tables)
        key = rotary_halves(split_heads(offered, key_heads), *tables)
        value = split_heads(value, key_heads)
        layers.append(Kept(key, value))
        if block is blocks[-1]:
            x, query = x[..., -1:, :], query[..., -1:, :]
        context = attend(query, layers[-1], Kept(*past), workers)
        (x,) = by_rows(answer, workers, x, merge_heads(context))
    normed = rms_norm(x[..., -1, :], params.norm, epsilon)
    logits = projection(normed, params.output)
    return layers, logits


def llama_ask(
    x: Float[Array, "*batch rows d_model"],
    params: LlamaBlock,
    epsilon: float,
) -> tuple[Array, ...]:
    """Query, key and value of some tokens, before they are split."""
    sublayer = params.attention_sublayer
    normed = rms_norm(x, sublayer.norm, epsilon)
    attention = sublayer.attention
    layers = attention.query, attention.key, attention.value
    return tuple(projected(normed, layer) for layer in layers)


def llama_answer(
    x: Float[Array, "*batch rows d_model"],
    context: Float[Array, "*batch rows d_context"],
    params: LlamaBlock,
    epsilon: float,
) -> tuple[Array]:
    """What a block makes of some tokens and what they attended to."""
    output = params.attention_sublayer.attention.output
    after_attention = x + projection(context, output)
    y = llama_feed_forward_sublayer(
        after_attention, params.feed_forward_sublayer, epsilon
    )
    return (y,)


def by_rows(
    function: Callable[..., tuple[Array, ...]], workers: int, *arrays: Array
) -> list[Array]:
    """What a function gives for all tokens, some of them at a time."""

    def results(rows: slice) -> tuple[Array, ...]:
        return function(*(array[..., rows, :] for array in arrays))

    pieces = blocks_of(arrays[0].shape[-2], ROWS)
    return [
        np.concatenate(parts, axis=-2)
        for parts in zip(
            *results_on_threads(results, pieces, workers), strict=True
        )
    ]


def attend(
    query: Float[Array, "*batch head position d_head"],
    new: Kept,
    past: Kept,
    workers: int,
) -> Float[Array, "*batch head position d_head"]:
    """Causal attention of the last tokens to the past and the new ones.

    Each key head serves as many query heads, one after the other. It is
    not copied for them: an axis that only repeats takes no memory.
    """
    *batch, heads, positions, d_head = query.shape
    key_heads = new.key.shape[-3]
    group = heads // key_heads
    key, value = (
        np.concatenate(parts, axis=-2)[..., None, :, :]
        for parts in zip(past, new, strict=True)
    )
    groups = (*batch, key_heads, group)
    keys = key.shape[-2]
    context, _ = attention_on_threads(
        query.reshape(*groups, positions, d_head),
        np.broadcast_to(key, (*groups, keys, d_head)),
        np.broadcast_to(value, (*groups, keys, d_head)),
        np.ones((1, 1), bool),
        keys - positions,
        workers,
    )
    return context.reshape(query.shape)


PREFILL = {cached_gpt2: gpt2_prefill, cached_llama: llama_prefill}


def on_threads(decoding: Decoding, workers: int) -> Decoding:
    """A decoding that reads several tokens at once on so many threads.

    What it has read stays read. Raises ValueError without a worker.
    """
    check_at_least("workers", workers, 1)
    one_by_one = decoding.step
    prefill = partial(
        PREFILL[one_by_one.func], **one_by_one.keywords, workers=workers
    )

    def step(ids: Array, past_key: Array, past_value: Array) -> tuple:
        several = len(ids) > 1
        read = prefill if several else one_by_one
        return read(ids, past_key, past_value)

    faster = Decoding(step, decoding.cache)
    faster.ids = decoding.ids
    return faster
