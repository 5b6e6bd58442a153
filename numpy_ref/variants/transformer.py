r"""The transformer of 2017: an encoder reads, a decoder writes.

The encoder's tokens see each other. The decoder's tokens see themselves
and those before, and then, by cross-attention, all that the encoder made
of the source (Vaswani et al. 2017, section 3, figure 1). BERT is the first
half of it, GPT-2 the second without its cross-attention.

Padding stands behind a text. That of a source is masked; that of a target
nothing before it sees, and the loss leaves it out. There is no dropout:
the toy of `study.toy` needs none.

Axes: `source` counts the tokens of the source, `position` those of the
target; `key` is `source` to the decoder. `transformer_training` has the
loss, and the gradient of everything.
"""

from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from ..checked import checked
from ..embeddings import (
    TokenEmbedding,
    sinusoidal_positions,
    token_embedding,
    token_embedding_backward,
)
from ..masks import causal_mask
from ..multi_head import Heads
from .post_norm import (
    PostNormAttention,
    PostNormFeedForward,
    post_norm_attention,
    post_norm_attention_backward,
    post_norm_feed_forward,
    post_norm_feed_forward_backward,
)


@checked
@dataclass(frozen=True, eq=False)
class TransformerEmbedding:
    """The transformer's embedding: a table; positions are not learned."""

    token: TokenEmbedding


@checked
def transformer_embedding(
    ids: Int[Array, "*batch position"],
    params: TransformerEmbedding,
) -> Float[Array, "*batch position d_model"]:
    r"""The transformer's embedding: which token, enlarged, and where.

    $X_i = \sqrt{d_\text{model}} \, E_{id_i} + P_i$, with P the sines and
    cosines (Vaswani et al. 2017, sections 3.4 and 3.5)

    The table is also the way back to the tokens, which wants rows of a
    length of about 1; the root makes them as long as positions are.
    Raises ValueError for an id that the table does not have.
    """
    embedded = token_embedding(ids, params.token)
    d_model = embedded.shape[-1]
    scaled = sqrt(d_model) * embedded
    positions = np.arange(ids.shape[-1], dtype=embedded.dtype)
    x = scaled + sinusoidal_positions(positions, d_model)
    return x


@checked
def transformer_embedding_backward(
    d_x: Float[Array, "*batch position d_model"],
    ids: Int[Array, "*batch position"],
    params: TransformerEmbedding,
) -> TransformerEmbedding:
    r"""Gradient of the table: the root times that of its rows."""
    d_scaled = d_x
    d_embedded = sqrt(d_x.shape[-1]) * d_scaled
    d_params_token = token_embedding_backward(d_embedded, ids, params.token)
    d_params = TransformerEmbedding(d_params_token)
    return d_params


@checked
@dataclass(frozen=True, eq=False)
class TransformerEncoderBlock:
    """Encoder block: attention and a feed-forward network, post-norm."""

    self_attention: PostNormAttention
    feed_forward: PostNormFeedForward


@checked
def transformer_encoder_block(
    x: Float[Array, "*batch position d_model"],
    params: TransformerEncoderBlock,
    mask: Bool[Array, "*#batch #position #position"],
    heads: int,
    epsilon: float,
) -> tuple[
    Float[Array, "*batch position d_model"],
    Float[Array, "*batch position d_model"],
    Heads,
]:
    r"""Encoder block: each token looks at all tokens of its text.

    $H = \operatorname{norm}(X + \operatorname{attention}(X, X))$,
    $Y = \operatorname{norm}(H + \operatorname{feedforward}(H))$
    (Vaswani et al. 2017, section 3.1)

    Beside $Y$ it returns $H$, for its gradient, and the attention.
    """
    after_attention, attention = post_norm_attention(
        x, x, params.self_attention, mask, heads, epsilon
    )
    hidden = post_norm_feed_forward(
        after_attention, params.feed_forward, epsilon
    )
    return hidden, after_attention, attention


@checked
def transformer_encoder_block_backward(
    d_hidden: Float[Array, "*batch position d_model"],
    after_attention: Float[Array, "*batch position d_model"],
    x: Float[Array, "*batch position d_model"],
    params: TransformerEncoderBlock,
    mask: Bool[Array, "*#batch #position #position"],
    heads: int,
    epsilon: float,
) -> tuple[
    Float[Array, "*batch position d_model"], TransformerEncoderBlock
]:
    """Gradient of the block: a token asks and is asked; it gets both."""
    d_after_attention, d_params_feed_forward = (
        post_norm_feed_forward_backward(
            d_hidden, after_attention, params.feed_forward, epsilon
        )
    )
    as_target, as_source, d_params_attention = post_norm_attention_backward(
        *(d_after_attention, x, x, params.self_attention),
        *(mask, heads, epsilon),
    )
    d_x = as_target + as_source
    d_params = TransformerEncoderBlock(
        d_params_attention, d_params_feed_forward
    )
    return d_x, d_params


@checked
@dataclass(frozen=True, eq=False)
class TransformerEncoder:
    """Encoder: blocks of one size, one after the other."""

    blocks: tuple[TransformerEncoderBlock, ...]


class EncoderLayer(NamedTuple):
    """What an encoder block computed, and what each token looked at."""

    hidden: Float[Array, "*batch position d_model"]
    after_attention: Float[Array, "*batch position d_model"]
    attention: Heads


@checked
def transformer_encoder(
    x: Float[Array, "*batch position d_model"],
    params: TransformerEncoder,
    mask: Bool[Array, "*#batch #position #position"],
    heads: int,
    epsilon: float,
) -> list[EncoderLayer]:
    """Encoder: each block computes from what the one before has left."""
    layers = []
    for block in params.blocks:
        layer = EncoderLayer(
            *transformer_encoder_block(x, block, mask, heads, epsilon)
        )
        layers.append(layer)
        x = layer.hidden
    return layers


@checked
@dataclass(frozen=True, eq=False)
class TransformerDecoderBlock:
    """Decoder block: attention, cross-attention, a feed-forward network."""

    self_attention: PostNormAttention
    cross_attention: PostNormAttention
    feed_forward: PostNormFeedForward


@checked
def transformer_decoder_block(
    x: Float[Array, "*batch position d_model"],
    source: Float[Array, "*batch key d_model"],
    params: TransformerDecoderBlock,
    mask: Bool[Array, "*#batch #position #position"],
    source_mask: Bool[Array, "*#batch #position #key"],
    heads: int,
    epsilon: float,
) -> tuple[
    Float[Array, "*batch position d_model"],
    Float[Array, "*batch position d_model"],
    Float[Array, "*batch position d_model"],
    Heads,
    Heads,
]:
    r"""Decoder block: each token looks back, then at the source.

    $H = \operatorname{norm}(X + \operatorname{attention}(X, X))$,
    $C = \operatorname{norm}(H + \operatorname{attention}(H, Z))$,
    $Y = \operatorname{norm}(C + \operatorname{feedforward}(C))$,
    with Z the `source`, as the encoder has left it
    (Vaswani et al. 2017, section 3.1)

    Beside $Y$ it returns $H$ and $C$, for its gradient, and both
    attentions. Raises ValueError for a source with another batch.
    """
    after_attention, attention = post_norm_attention(
        x, x, params.self_attention, mask, heads, epsilon
    )
    after_cross_attention, cross_attention = post_norm_attention(
        *(after_attention, source, params.cross_attention),
        *(source_mask, heads, epsilon),
    )
    hidden = post_norm_feed_forward(
        after_cross_attention, params.feed_forward, epsilon
    )
    return (
        hidden,
        after_attention,
        after_cross_attention,
        attention,
        cross_attention,
    )


@checked
def transformer_decoder_block_backward(
    d_hidden: Float[Array, "*batch position d_model"],
    after_attention: Float[Array, "*batch position d_model"],
    after_cross_attention: Float[Array, "*batch position d_model"],
    x: Float[Array, "*batch position d_model"],
    source: Float[Array, "*batch key d_model"],
    params: TransformerDecoderBlock,
    mask: Bool[Array, "*#batch #position #position"],
    source_mask: Bool[Array, "*#batch #position #key"],
    heads: int,
    epsilon: float,
) -> tuple[
    Float[Array, "*batch position d_model"],
    Float[Array, "*batch key d_model"],
    TransformerDecoderBlock,
]:
    """Gradient of the block, and of the source that it has looked at."""
    d_after_cross_attention, d_params_feed_forward = (
        post_norm_feed_forward_backward(
            d_hidden, after_cross_attention, params.feed_forward, epsilon
        )
    )
    d_after_attention, d_source, d_params_cross_attention = (
        post_norm_attention_backward(
            *(d_after_cross_attention, after_attention, source),
            *(params.cross_attention, source_mask, heads, epsilon),
        )
    )
    as_target, as_source, d_params_attention = post_norm_attention_backward(
        *(d_after_attention, x, x, params.self_attention),
        *(mask, heads, epsilon),
    )
    d_x = as_target + as_source
    d_params = TransformerDecoderBlock(
        *(d_params_attention, d_params_cross_attention),
        d_params_feed_forward,
    )
    return d_x, d_source, d_params


@checked
@dataclass(frozen=True, eq=False)
class TransformerDecoder:
    """Decoder: blocks of one size, one after the other."""

    blocks: tuple[TransformerDecoderBlock, ...]


class DecoderLayer(NamedTuple):
    """What a decoder block computed, and both of its attentions."""

    hidden: Float[Array, "*batch position d_model"]
    after_attention: Float[Array, "*batch position d_model"]
    after_cross_attention: Float[Array, "*batch position d_model"]
    attention: Heads
    cross_attention: Heads


@checked
def transformer_decoder(
    x: Float[Array, "*batch position d_model"],
    source: Float[Array, "*batch key d_model"],
    params: TransformerDecoder,
    mask: Bool[Array, "*#batch #position #position"],
    source_mask: Bool[Array, "*#batch #position #key"],
    heads: int,
    epsilon: float,
) -> list[DecoderLayer]:
    """Decoder: every block looks at the same source."""
    layers = []
    for block in params.blocks:
        layer = DecoderLayer(
            *transformer_decoder_block(
                x, source, block, mask, source_mask, heads, epsilon
            )
        )
        layers.append(layer)
        x = layer.hidden
    return layers


@checked
@dataclass(frozen=True, eq=False)
class Transformer:
    """The transformer: one table for source, target and output; blocks."""

    embedding: TransformerEmbedding
    encoder: TransformerEncoder
    decoder: TransformerDecoder


@checked
def transformer(
    source_ids: Int[Array, "*batch source"],
    target_ids: Int[Array, "*batch position"],
    source_mask: Bool[Array, "*batch source"],
    params: Transformer,
    heads: int,
    epsilon: float,
) -> tuple[
    list[EncoderLayer],
    list[DecoderLayer],
    Float[Array, "*batch position vocabulary"],
]:
    r"""The transformer: every layer of both halves, and next-token logits.

    $\text{logits} = Y E^\top$, with $E$ the table of the tokens, which
    the source, the target and the output share (Vaswani et al. 2017,
    section 3.4; Press and Wolf 2017, section 3).

    `source_mask` is True for the tokens of a source, False for padding.
    The logits at a position of the target are those of the token after
    it. Raises ValueError for an id that the table does not have, and for
    sources of another batch than the targets'.
    """
    keys = source_mask[..., None, :]  # the same for all queries
    source_x = transformer_embedding(source_ids, params.embedding)
    encoder_layers = transformer_encoder(
        source_x, params.encoder, keys, heads, epsilon
    )
    source = encoder_layers[-1].hidden
    x = transformer_embedding(target_ids, params.embedding)
    mask = causal_mask(target_ids.shape[-1], target_ids.shape[-1])
    decoder_layers = transformer_decoder(
        x, source, params.decoder, mask, keys, heads, epsilon
    )
    hidden = decoder_layers[-1].hidden
    table = params.embedding.token.weight
    logits = hidden @ table.swapaxes(-2, -1)
    return encoder_layers, decoder_layers, logits
