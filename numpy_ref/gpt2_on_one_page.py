r"""GPT-2 on one page: from the ids of a text to the token that comes next.

This is `gpt2` once more, without a cache and without intermediate results,
one text at a time. Each step is imported by its name; follow the one that
you want to understand. With a folder of `twice train --out my-gpt2`:

    checkpoint = numpy_ref.checkpoints.gpt2.load_gpt2("my-gpt2")
    config = checkpoint.config
    write(ids, 20, checkpoint.model, config.heads, config.epsilon)
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from .attention import scaled_dot_product_attention
from .embeddings import position_embedding, token_embedding
from .gpt2 import Gpt2
from .layers import gelu_tanh, layer_norm, linear
from .masks import causal_mask
from .multi_head import merge_heads, split_heads
from .sublayers import AttentionSublayer, FeedForwardSublayer


def attend(
    x: Float[Array, "position d_model"],
    params: AttentionSublayer,
    mask: Bool[Array, "position position"],
    heads: int,
    epsilon: float,
) -> Float[Array, "position d_model"]:
    """Causal self-attention, added: each token sees itself and earlier."""
    normed = layer_norm(x, params.norm, epsilon)
    query = split_heads(linear(normed, params.attention.query), heads)
    key = split_heads(linear(normed, params.attention.key), heads)
    value = split_heads(linear(normed, params.attention.value), heads)
    context = scaled_dot_product_attention(query, key, value, mask)
    return x + linear(merge_heads(context), params.attention.output)


def think(
    x: Float[Array, "position d_model"],
    params: FeedForwardSublayer,
    epsilon: float,
) -> Float[Array, "position d_model"]:
    """Feed-forward network: widen, apply GELU, project back, add."""
    normed = layer_norm(x, params.norm, epsilon)
    inner = gelu_tanh(linear(normed, params.feed_forward.inner))
    return x + linear(inner, params.feed_forward.output)


def next_token_logits(
    ids: Int[Array, " position"], params: Gpt2, heads: int, epsilon: float
) -> Float[Array, "position vocabulary"]:
    """Logits: for each token, a score for every token that may follow."""
    positions, table = np.arange(len(ids)), params.embedding.token
    x = token_embedding(ids, table)
    x = x + position_embedding(positions, params.embedding.position)
    mask = causal_mask(len(ids), len(ids))
    for block in params.decoder.blocks:
        x = attend(x, block.attention_sublayer, mask, heads, epsilon)
        x = think(x, block.feed_forward_sublayer, epsilon)
    return layer_norm(x, params.norm, epsilon) @ table.weight.T


def write(
    ids: Int[Array, " position"],
    count: int,
    params: Gpt2,
    heads: int,
    epsilon: float,
) -> Int[Array, " longer"]:
    """Greedy decoding: `count` times the most likely token, appended."""
    for _ in range(count):
        logits = next_token_logits(ids, params, heads, epsilon)
        ids = np.append(ids, logits[-1].argmax())
    return ids
