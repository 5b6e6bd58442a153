"""BERT: every token sees every other (Devlin et al. 2019).

Axes: `d_model` counts the features of a token, `d_head` those of a head,
`head` the heads. What a reader of the model may want to see, layer by
layer, is returned in the open (`Layer`). `checkpoints.bert` reads the
weights of a real one.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from .checked import checked
from .embeddings import (
    PositionEmbedding,
    TokenEmbedding,
    position_embedding,
    token_embedding,
)
from .layers import (
    FeedForward,
    LayerNorm,
    Linear,
    feed_forward,
    gelu,
    layer_norm,
    linear,
)
from .multi_head import MultiHeadAttention, merge_heads, open_heads


@checked
@dataclass(frozen=True, eq=False)
class BertEmbedding:
    """BERT's embedding: three tables, and the layer norm of their sum."""

    token: TokenEmbedding
    position: PositionEmbedding
    segment: TokenEmbedding
    norm: LayerNorm


@checked
def bert_embedding(
    ids: Int[Array, "*batch position"],
    segments: Int[Array, "*batch position"],
    params: BertEmbedding,
    epsilon: float,
) -> Float[Array, "*batch position d_model"]:
    """BERT's embedding: which token, where, in which of two texts (0, 1).

    Raises ValueError for an id, a segment or a position that its table
    does not have. (Devlin et al. 2019, figure 2)
    """
    token_embeddings = token_embedding(ids, params.token)
    positions = np.arange(ids.shape[-1])
    position_embeddings = position_embedding(positions, params.position)
    segment_embeddings = token_embedding(segments, params.segment)
    total = token_embeddings + segment_embeddings + position_embeddings
    x = layer_norm(total, params.norm, epsilon)
    return x


@checked
@dataclass(frozen=True, eq=False)
class EncoderBlock:
    """Encoder block: attention, feed-forward network, a norm after each."""

    attention: MultiHeadAttention
    attention_norm: LayerNorm
    feed_forward: FeedForward
    feed_forward_norm: LayerNorm


class Layer(NamedTuple):
    """What one block computed: its attention, and its hidden states."""

    query: Float[Array, "*batch head position d_head"]
    key: Float[Array, "*batch head position d_head"]
    value: Float[Array, "*batch head position d_head"]
    weights: Float[Array, "*batch head position position"]
    hidden: Float[Array, "*batch position d_model"]


@checked
def encoder_block(
    x: Float[Array, "*batch position d_model"],
    params: EncoderBlock,
    mask: Bool[Array, "*#batch #position #position"],
    heads: int,
    epsilon: float,
) -> Layer:
    r"""Encoder block, post-norm: attend, add, norm; think, add, norm.

    $H = \operatorname{norm}(X + \operatorname{attention}(X))$,
    $Y = \operatorname{norm}(H + \operatorname{feedforward}(H))$
    (Vaswani et al. 2017, section 3.1)

    The attention is that of `multi_head_attention`, with its parts in the
    open.
    """
    attention = open_heads(x, params.attention, mask, heads)
    merged = merge_heads(attention.context)
    attention_output = linear(merged, params.attention.output)
    attention_sum = x + attention_output
    after_attention = layer_norm(
        attention_sum, params.attention_norm, epsilon
    )
    mlp_output = feed_forward(after_attention, params.feed_forward)
    mlp_sum = after_attention + mlp_output
    hidden = layer_norm(mlp_sum, params.feed_forward_norm, epsilon)
    layer = Layer(*attention[:4], hidden)
    return layer


@checked
@dataclass(frozen=True, eq=False)
class Encoder:
    """Encoder: blocks of one size, one after the other."""

    blocks: tuple[EncoderBlock, ...]


@checked
def encoder(
    x: Float[Array, "*batch position d_model"],
    params: Encoder,
    mask: Bool[Array, "*#batch #position #position"],
    heads: int,
    epsilon: float,
) -> list[Layer]:
    """Encoder: each block computes from what the one before has left."""
    layers = []
    for block in params.blocks:
        layer = encoder_block(x, block, mask, heads, epsilon)
        layers.append(layer)
        x = layer.hidden
    return layers


@checked
@dataclass(frozen=True, eq=False)
class Bert:
    """BERT: the tables and the blocks."""

    embedding: BertEmbedding
    encoder: Encoder


@checked
def bert(
    ids: Int[Array, "*batch position"],
    segments: Int[Array, "*batch position"],
    mask: Bool[Array, "*#batch #position #position"],
    params: Bert,
    heads: int,
    epsilon: float,
) -> tuple[Float[Array, "*batch position d_model"], list[Layer]]:
    """BERT: the tokens as they enter the first block, and every layer.

    `mask` is that of `padding_mask` where texts of different lengths
    stand in one array, else all True; the last layer's `hidden` is what
    the model has to say. Raises ValueError as `bert_embedding` does.
    """
    x = bert_embedding(ids, segments, params.embedding, epsilon)
    layers = encoder(x, params.encoder, mask, heads, epsilon)
    return x, layers


@checked
@dataclass(frozen=True, eq=False)
class Pooler:
    """Pooler: one linear layer."""

    dense: Linear


@checked
def pooler(
    x: Float[Array, "*batch position d_model"],
    params: Pooler,
) -> Float[Array, "*batch d_model"]:
    r"""Pooler: the first token, [CLS], made to speak for the whole text.

    $\tanh(x_0 W^\top + b)$
    """
    first = linear(x[..., 0, :], params.dense)
    pooled = np.tanh(first)
    return pooled


@checked
@dataclass(frozen=True, eq=False)
class MaskedLanguageHead:
    """Masked-language head: a layer, a norm, and back to the vocabulary.

    `decoder.weight` is in most models the very array of the token
    embedding.
    """

    dense: Linear
    norm: LayerNorm
    decoder: Linear


@checked
def masked_language_head(
    x: Float[Array, "*batch position d_model"],
    params: MaskedLanguageHead,
    epsilon: float,
) -> Float[Array, "*batch position vocabulary"]:
    """Masked-language head: logits of what each token may have been.

    (Devlin et al. 2019, section 3.1, task 1)
    """
    dense = linear(x, params.dense)
    activated = gelu(dense)
    normed = layer_norm(activated, params.norm, epsilon)
    logits = linear(normed, params.decoder)
    return logits
