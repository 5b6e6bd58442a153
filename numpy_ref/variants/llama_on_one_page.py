"""Llama on one page: from token ids to the ids that follow them.

The whole model, made of the steps of the other files and nothing else;
`llama` shows its inside, and `llama_cache` writes without computing
anything twice. `checkpoints.llama` loads a real one:

    from numpy_ref.checkpoints.llama import load_llama
    checkpoint = load_llama("SmolLM2-135M-Instruct.Q4_1.gguf")
    write(ids, 20, checkpoint.model, checkpoint.config)
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from ..embeddings import token_embedding
from ..masks import causal_mask
from ..multi_head import merge_heads, split_heads
from .grouped_queries import grouped_attention
from .llama import (
    Llama,
    LlamaAttentionSublayer,
    LlamaFeedForwardSublayer,
)
from .projection import projection
from .rms_norm import rms_norm
from .rotary import rotary_halves, rotary_tables
from .swiglu import silu


def attend(
    x: Float[Array, "position d_model"],
    params: LlamaAttentionSublayer,
    mask: Bool[Array, "position position"],
    tables: tuple[Array, Array],
    sizes,
) -> Float[Array, "position d_model"]:
    """Causal self-attention, added: queries and keys are turned first."""
    normed, layers = (
        rms_norm(x, params.norm, sizes.epsilon),
        params.attention,
    )
    query = split_heads(projection(normed, layers.query), sizes.heads)
    key = split_heads(projection(normed, layers.key), sizes.key_heads)
    value = split_heads(projection(normed, layers.value), sizes.key_heads)
    query, key = (rotary_halves(part, *tables) for part in (query, key))
    context = grouped_attention(query, key, value, mask[None])
    return x + projection(merge_heads(context), layers.output)


def think(
    x: Float[Array, "position d_model"],
    params: LlamaFeedForwardSublayer,
    sizes,
) -> Float[Array, "position d_model"]:
    """Feed-forward network: widen twice, gate, project back, add."""
    normed = rms_norm(x, params.norm, sizes.epsilon)
    gate = silu(projection(normed, params.feed_forward.gate))
    gated = gate * projection(normed, params.feed_forward.up)
    return x + projection(gated, params.feed_forward.down)


def next_token_logits(
    ids: Int[Array, " position"], params: Llama, sizes
) -> Float[Array, "position vocabulary"]:
    """Logits: for each token, a score for every token that may follow.

    `sizes` has heads, key_heads, d_head, base and epsilon.
    """
    x = token_embedding(ids, params.embedding)
    positions = np.arange(len(ids), dtype=x.dtype)
    tables = rotary_tables(positions, sizes.d_head, sizes.base)
    mask = causal_mask(len(ids), len(ids))
    for block in params.decoder.blocks:
        x = attend(x, block.attention_sublayer, mask, tables, sizes)
        x = think(x, block.feed_forward_sublayer, sizes)
    return projection(
        rms_norm(x, params.norm, sizes.epsilon), params.output
    )


def write(
    ids: Int[Array, " position"], count: int, params: Llama, sizes
) -> Int[Array, " longer"]:
    """Greedy decoding: `count` times the most likely token, appended."""
    for _ in range(count):
        logits = next_token_logits(ids, params, sizes)
        ids = np.append(ids, logits[-1].argmax())
    return ids
