"""Llama: a decoder as it is built since 2023 (Touvron et al. 2023).

What differs from GPT-2: RMSNorm for layer norm, rotary positions for a
table of positions, fewer key heads than query heads, SwiGLU for GELU, and
no biases. What does not: blocks of two residual sublayers, a norm before
each, and one after the last.

Axes as in `grouped_queries`; `d_ff` counts the features inside of a
feed-forward network. `llama_cache` has the form that writes one token
after the other; `llama_training` the one that learns.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from ..checked import checked
from ..embeddings import TokenEmbedding, token_embedding
from ..masks import causal_mask
from ..multi_head import merge_heads
from .grouped_queries import (
    GroupedHeads,
    GroupedQueryAttention,
    grouped_query_attention_backward,
    open_grouped_heads,
)
from .projection import Projection, projection
from .rms_norm import RMSNorm, rms_norm, rms_norm_backward
from .rotary import rotary_tables
from .swiglu import SwiGLU, swiglu, swiglu_backward


@checked
@dataclass(frozen=True, eq=False)
class LlamaAttentionSublayer:
    """Llama's attention sublayer: the norm, and the attention after it."""

    norm: RMSNorm
    attention: GroupedQueryAttention


@checked
def llama_attention_sublayer(
    x: Float[Array, "*batch position d_model"],
    params: LlamaAttentionSublayer,
    mask: Bool[Array, "*#batch #position #position"],
    cosine: Float[Array, "position pair"],
    sine: Float[Array, "position pair"],
    heads: int,
    key_heads: int,
    epsilon: float,
) -> tuple[Float[Array, "*batch position d_model"], GroupedHeads]:
    r"""Grouped-query attention with a residual connection; also its parts.

    $H = X + \operatorname{attention}(\operatorname{norm}(X))$
    """
    normed = rms_norm(x, params.norm, epsilon)
    attention = open_grouped_heads(
        normed, params.attention, mask, cosine, sine, heads, key_heads
    )
    merged = merge_heads(attention.context)
    attention_output = projection(merged, params.attention.output)
    after_attention = x + attention_output
    return after_attention, attention


@checked
def llama_attention_sublayer_backward(
    d_after_attention: Float[Array, "*batch position d_model"],
    x: Float[Array, "*batch position d_model"],
    params: LlamaAttentionSublayer,
    mask: Bool[Array, "*#batch #position #position"],
    cosine: Float[Array, "position pair"],
    sine: Float[Array, "position pair"],
    heads: int,
    key_heads: int,
    epsilon: float,
) -> tuple[Float[Array, "*batch position d_model"], LlamaAttentionSublayer]:
    """Gradient of the sublayer: past the attention, and through it."""
    normed = rms_norm(x, params.norm, epsilon)
    d_attention_output = d_after_attention
    d_normed, d_params_attention = grouped_query_attention_backward(
        *(d_attention_output, normed, params.attention, mask),
        *(cosine, sine, heads, key_heads),
    )
    through_norm, d_params_norm = rms_norm_backward(
        d_normed, x, params.norm, epsilon
    )
    d_x = d_after_attention + through_norm
    d_params = LlamaAttentionSublayer(d_params_norm, d_params_attention)
    return d_x, d_params


@checked
@dataclass(frozen=True, eq=False)
class LlamaFeedForwardSublayer:
    """Llama's feed-forward sublayer: the norm, and SwiGLU after it."""

    norm: RMSNorm
    feed_forward: SwiGLU


@checked
def llama_feed_forward_sublayer(
    x: Float[Array, "*batch d_model"],
    params: LlamaFeedForwardSublayer,
    epsilon: float,
) -> Float[Array, "*batch d_model"]:
    r"""SwiGLU with a residual connection.

    $Y = X + \operatorname{swiglu}(\operatorname{norm}(X))$
    """
    mlp_input = rms_norm(x, params.norm, epsilon)
    mlp_output = swiglu(mlp_input, params.feed_forward)
    y = x + mlp_output
    return y


@checked
def llama_feed_forward_sublayer_backward(
    d_y: Float[Array, "*batch d_model"],
    x: Float[Array, "*batch d_model"],
    params: LlamaFeedForwardSublayer,
    epsilon: float,
) -> tuple[Float[Array, "*batch d_model"], LlamaFeedForwardSublayer]:
    """Gradient of the sublayer: past the network, and through it."""
    mlp_input = rms_norm(x, params.norm, epsilon)
    d_mlp_output = d_y
    d_mlp_input, d_params_feed_forward = swiglu_backward(
        d_mlp_output, mlp_input, params.feed_forward
    )
    through_norm, d_params_norm = rms_norm_backward(
        d_mlp_input, x, params.norm, epsilon
    )
    d_x = d_y + through_norm
    d_params = LlamaFeedForwardSublayer(
        d_params_norm, d_params_feed_forward
    )
    return d_x, d_params


@checked
@dataclass(frozen=True, eq=False)
class LlamaBlock:
    """Llama's decoder block: attention, then a feed-forward network."""

    attention_sublayer: LlamaAttentionSublayer
    feed_forward_sublayer: LlamaFeedForwardSublayer


class LlamaLayer(NamedTuple):
    """What one block computed: `Layer`, with fewer heads of keys."""

    query: Float[Array, "*batch head position d_head"]
    key: Float[Array, "*batch key_head position d_head"]
    value: Float[Array, "*batch key_head position d_head"]
    weights: Float[Array, "*batch head position key"]
    hidden: Float[Array, "*batch position d_model"]


@checked
def llama_block(
    x: Float[Array, "*batch position d_model"],
    params: LlamaBlock,
    mask: Bool[Array, "*#batch #position #position"],
    cosine: Float[Array, "position pair"],
    sine: Float[Array, "position pair"],
    heads: int,
    key_heads: int,
    epsilon: float,
) -> LlamaLayer:
    r"""Llama's decoder block, pre-norm: attend, then think.

    $H = X + \operatorname{attention}(\operatorname{norm}(X))$,
    $Y = H + \operatorname{swiglu}(\operatorname{norm}(H))$
    (Touvron et al. 2023, section 2.2)
    """
    after_attention, attention = llama_attention_sublayer(
        *(x, params.attention_sublayer, mask, cosine, sine),
        *(heads, key_heads, epsilon),
    )
    hidden = llama_feed_forward_sublayer(
        after_attention, params.feed_forward_sublayer, epsilon
    )
    layer = LlamaLayer(*attention[:4], hidden)
    return layer


@checked
@dataclass(frozen=True, eq=False)
class LlamaDecoder:
    """Llama's decoder: blocks of one size, one after the other."""

    blocks: tuple[LlamaBlock, ...]


@checked
def llama_decoder(
    x: Float[Array, "*batch position d_model"],
    params: LlamaDecoder,
    mask: Bool[Array, "*#batch #position #position"],
    cosine: Float[Array, "position pair"],
    sine: Float[Array, "position pair"],
    heads: int,
    key_heads: int,
    epsilon: float,
) -> list[LlamaLayer]:
    """Llama's decoder: the positions are the same in every block."""
    layers = []
    for block in params.blocks:
        layer = llama_block(
            *(x, block, mask, cosine, sine, heads, key_heads, epsilon)
        )
        layers.append(layer)
        x = layer.hidden
    return layers


@checked
@dataclass(frozen=True, eq=False)
class Llama:
    """Llama: the table of tokens, the blocks, a norm, and the way back.

    Where the embeddings are tied, as in SmolLM2, `output` holds the very
    array of the table.
    """

    embedding: TokenEmbedding
    decoder: LlamaDecoder
    norm: RMSNorm
    output: Projection


@checked
def llama(
    ids: Int[Array, "*batch position"],
    params: Llama,
    heads: int,
    key_heads: int,
    d_head: int,
    base: float,
    epsilon: float,
) -> tuple[
    Float[Array, "*batch position d_model"],
    list[LlamaLayer],
    Float[Array, "*batch position vocabulary"],
]:
    r"""Llama: the tokens as they go in, every layer, next-token logits.

    $\text{logits} = \operatorname{norm}(Y) W_\text{output}^\top$

    The logits at a position are those of the token after it. Raises
    ValueError for an id that the table does not have, for an odd
    `d_head`, and for key heads that do not divide the heads.
    """
    x = token_embedding(ids, params.embedding)
    positions = np.arange(ids.shape[-1], dtype=x.dtype)
    cosine, sine = rotary_tables(positions, d_head, base)
    mask = causal_mask(ids.shape[-1], ids.shape[-1])
    layers = llama_decoder(
        *(x, params.decoder, mask, cosine, sine),
        *(heads, key_heads, epsilon),
    )
    normed = rms_norm(layers[-1].hidden, params.norm, epsilon)
    logits = projection(normed, params.output)
    return x, layers, logits
