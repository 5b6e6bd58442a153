r"""Llama with a key-value cache: fewer heads to keep, angles that go on.

The functions are those of `llama`, for tokens that have a past. What is
kept of a token is its key, already turned by its position, and its value,
for each key head: with 9 query heads and 3 key heads a third of what
multi-head attention would keep.

Axes as in `grouped_queries`; `past` counts the earlier tokens, `position`
the new ones, `key` both. `folded` counts the queries of a whole group.
"""

from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from ..attention import attention_scores, masked_softmax
from ..checked import check_divides, checked
from ..embeddings import token_embedding
from ..generation import Decoding
from ..key_value_cache import KeyValueCache
from ..masks import causal_mask
from ..multi_head import merge_heads, split_heads
from .grouped_queries import GroupedHeads, GroupedQueryAttention
from .llama import (
    Llama,
    LlamaAttentionSublayer,
    LlamaBlock,
    LlamaDecoder,
    LlamaLayer,
    llama_feed_forward_sublayer,
)
from .projection import projection
from .qwen2 import projected
from .rms_norm import rms_norm
from .rotary import rotary_halves, rotary_tables


@checked
def fold_heads(
    x: Float[Array, "*batch head position d_head"],
    key_heads: int,
) -> Float[Array, "*batch key_head folded d_head"]:
    """Fold the heads of a group: they become more queries of one head.

    A group asks the same keys, so its queries may as well stand below
    each other. Then no key has to be repeated. Raises ValueError when
    `key_heads` does not divide the heads.
    """
    *batch, heads, positions, d_head = x.shape
    check_divides("key_heads", key_heads, "heads", heads)
    queries = heads // key_heads * positions
    folded = x.reshape(*batch, key_heads, queries, d_head)
    return folded


@checked
def fold_heads_backward(
    d_folded: Float[Array, "*batch key_head folded d_head"],
    x: Float[Array, "*batch head position d_head"],
    key_heads: int,
) -> Float[Array, "*batch head position d_head"]:
    """Gradient of folding: what was only moved, is moved back."""
    check_divides("key_heads", key_heads, "heads", x.shape[-3])
    d_x = unfold_heads(d_folded, heads=x.shape[-3])
    return d_x


@checked
def unfold_heads(
    x: Float[Array, "*batch key_head folded d_head"],
    heads: int,
) -> Float[Array, "*batch head position d_head"]:
    """Unfold the heads of a group; undoes `fold_heads`.

    Raises ValueError when they are not as many for each key head.
    """
    *batch, key_heads, queries, d_head = x.shape
    check_divides("heads", heads, "folded queries", key_heads * queries)
    positions = key_heads * queries // heads
    unfolded = x.reshape(*batch, heads, positions, d_head)
    return unfolded


@checked
def unfold_heads_backward(
    d_unfolded: Float[Array, "*batch head position d_head"],
    x: Float[Array, "*batch key_head folded d_head"],
    heads: int,
) -> Float[Array, "*batch key_head folded d_head"]:
    """Gradient of unfolding: moved back, too."""
    key_heads, queries = x.shape[-3:-1]
    check_divides("heads", heads, "folded queries", key_heads * queries)
    d_x = fold_heads(d_unfolded, key_heads)
    return d_x


@checked
def cached_grouped_heads(
    x: Float[Array, "*batch position d_model"],
    past_key: Float[Array, "*batch key_head past d_head"],
    past_value: Float[Array, "*batch key_head past d_head"],
    params: GroupedQueryAttention,
    mask: Bool[Array, "*#batch #position #key"],
    cosine: Float[Array, "position pair"],
    sine: Float[Array, "position pair"],
    heads: int,
    key_heads: int,
) -> GroupedHeads:
    r"""Grouped heads for new tokens, which see the earlier ones, too.

    $S = [Q K_\text{past}^\top, Q K^\top] / \sqrt{d_\text{head}}$,
    $O = A_\text{past} V_\text{past} + A_\text{new} V$, with the queries
    of a group folded into one head

    No key and no value is copied or repeated. Those of the result are
    the new tokens'.
    """
    check_divides("key_heads", key_heads, "heads", heads)
    split_query = split_heads(projected(x, params.query), heads)
    split_key = split_heads(projected(x, params.key), key_heads)
    query = rotary_halves(split_query, cosine, sine)
    key = rotary_halves(split_key, cosine, sine)
    value = split_heads(projected(x, params.value), key_heads)
    folded_query = fold_heads(query, key_heads)
    past_scores = attention_scores(folded_query, past_key)
    new_scores = attention_scores(folded_query, key)
    folded_scores = np.concatenate([past_scores, new_scores], axis=-1)
    scores = unfold_heads(folded_scores, heads)
    head_mask = mask[..., None, :, :]  # the same for all heads
    weights = masked_softmax(scores, head_mask)
    folded_weights = fold_heads(weights, key_heads)
    past = past_key.shape[-2]
    past_context = folded_weights[..., :past] @ past_value
    folded_context = past_context + folded_weights[..., past:] @ value
    context = unfold_heads(folded_context, heads)
    attention = GroupedHeads(query, key, value, weights, context)
    return attention


@checked
def cached_llama_attention_sublayer(
    x: Float[Array, "*batch position d_model"],
    past_key: Float[Array, "*batch key_head past d_head"],
    past_value: Float[Array, "*batch key_head past d_head"],
    params: LlamaAttentionSublayer,
    mask: Bool[Array, "*#batch #position #key"],
    cosine: Float[Array, "position pair"],
    sine: Float[Array, "position pair"],
    heads: int,
    key_heads: int,
    epsilon: float,
) -> tuple[Float[Array, "*batch position d_model"], GroupedHeads]:
    """Llama's attention sublayer for new tokens."""
    normed = rms_norm(x, params.norm, epsilon)
    attention = cached_grouped_heads(
        *(normed, past_key, past_value, params.attention, mask),
        *(cosine, sine, heads, key_heads),
    )
    merged = merge_heads(attention.context)
    attention_output = projection(merged, params.attention.output)
    after_attention = x + attention_output
    return after_attention, attention


@checked
def cached_llama_block(
    x: Float[Array, "*batch position d_model"],
    past_key: Float[Array, "*batch key_head past d_head"],
    past_value: Float[Array, "*batch key_head past d_head"],
    params: LlamaBlock,
    mask: Bool[Array, "*#batch #position #key"],
    cosine: Float[Array, "position pair"],
    sine: Float[Array, "position pair"],
    heads: int,
    key_heads: int,
    epsilon: float,
) -> LlamaLayer:
    """Llama's decoder block for new tokens."""
    after_attention, attention = cached_llama_attention_sublayer(
        *(x, past_key, past_value, params.attention_sublayer, mask),
        *(cosine, sine, heads, key_heads, epsilon),
    )
    hidden = llama_feed_forward_sublayer(
        after_attention, params.feed_forward_sublayer, epsilon
    )
    layer = LlamaLayer(*attention[:4], hidden)
    return layer


@checked
def cached_llama_decoder(
    x: Float[Array, "*batch position d_model"],
    past_key: Float[Array, "layers *batch key_head past d_head"],
    past_value: Float[Array, "layers *batch key_head past d_head"],
    params: LlamaDecoder,
    mask: Bool[Array, "*#batch #position #key"],
    cosine: Float[Array, "position pair"],
    sine: Float[Array, "position pair"],
    heads: int,
    key_heads: int,
    epsilon: float,
) -> list[LlamaLayer]:
    """Llama's decoder for new tokens; each block has a past of its own."""
    layers = []
    for index, block in enumerate(params.blocks):
        layer = cached_llama_block(
            *(x, past_key[index], past_value[index], block, mask),
            *(cosine, sine, heads, key_heads, epsilon),
        )
        layers.append(layer)
        x = layer.hidden
    return layers


@checked
def cached_llama(
    ids: Int[Array, "*batch position"],
    past_key: Float[Array, "layers *batch key_head past d_head"],
    past_value: Float[Array, "layers *batch key_head past d_head"],
    params: Llama,
    heads: int,
    key_heads: int,
    base: float,
    epsilon: float,
) -> tuple[list[LlamaLayer], Float[Array, "*batch vocabulary"]]:
    """Llama for new tokens: every layer, and the logits after the last.

    They are those that `llama` gives for the last position of the whole
    text: a new token's angle goes on where the past ends. Raises
    ValueError as `llama` does.
    """
    x = token_embedding(ids, params.embedding)
    past, d_head = past_key.shape[-2:]
    positions = past + np.arange(ids.shape[-1], dtype=x.dtype)
    cosine, sine = rotary_tables(positions, d_head, base)
    mask = causal_mask(ids.shape[-1], past + ids.shape[-1], past)
    layers = cached_llama_decoder(
        *(x, past_key, past_value, params.decoder, mask, cosine, sine),
        *(heads, key_heads, epsilon),
    )
    last = layers[-1].hidden[..., -1, :]
    normed = rms_norm(last, params.norm, epsilon)
    logits = projection(normed, params.output)
    return layers, logits


def llama_decoding(
    params: Llama,
    heads: int,
    key_heads: int,
    d_head: int,
    base: float,
    epsilon: float,
    positions: int,
) -> Decoding:
    """A Llama that has read nothing yet, with room for `positions`.

    SmolLM2 keeps 2 · 30 · 3 · 64 numbers for each token.
    """
    check_divides("key_heads", key_heads, "heads", heads)
    layers, dtype = len(params.decoder.blocks), params.norm.weight.dtype
    step = partial(
        cached_llama,
        params=params,
        heads=heads,
        key_heads=key_heads,
        base=base,
        epsilon=epsilon,
    )
    cache = KeyValueCache(layers, key_heads, positions, d_head, dtype)
    return Decoding(step, cache)
