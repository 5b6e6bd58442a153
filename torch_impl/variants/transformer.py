"""The transformer of 2017: an encoder reads, a decoder writes."""

from math import sqrt
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor as Array
from torch import nn

from ..checked import checked
from ..embeddings import TokenEmbedding, sinusoidal_positions
from ..masks import causal_mask
from ..multi_head import Heads
from .post_norm import PostNormAttention, PostNormFeedForward


class TransformerEmbedding(nn.Module):
    token: TokenEmbedding

    def __init__(self, vocabulary: int, d_model: int):
        super().__init__()
        self.token = TokenEmbedding(vocabulary, d_model)

    @checked
    def forward(
        self,
        ids: Int[Array, "*batch position"],
    ) -> Float[Array, "*batch position d_model"]:
        embedded = self.token(ids)
        d_model = embedded.shape[-1]
        scaled = sqrt(d_model) * embedded
        positions = torch.arange(ids.shape[-1]).to(embedded)
        x = scaled + sinusoidal_positions(positions, d_model)
        return x


class TransformerEncoderBlock(nn.Module):
    self_attention: PostNormAttention
    feed_forward: PostNormFeedForward

    def __init__(self, d_model: int, d_ff: int):
        super().__init__()
        self.self_attention = PostNormAttention(d_model)
        self.feed_forward = PostNormFeedForward(d_model, d_ff)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        heads: int,
        epsilon: float,
    ) -> tuple[
        Float[Array, "*batch position d_model"],
        Float[Array, "*batch position d_model"],
        Heads,
    ]:
        after_attention, attention = self.self_attention(
            x, x, mask, heads, epsilon
        )
        hidden = self.feed_forward(after_attention, epsilon)
        return hidden, after_attention, attention


class EncoderLayer(NamedTuple):
    """What an encoder block computed, and what each token looked at."""

    hidden: Float[Array, "*batch position d_model"]
    after_attention: Float[Array, "*batch position d_model"]
    attention: Heads


class TransformerEncoder(nn.Module):
    blocks: tuple[TransformerEncoderBlock, ...]

    def __init__(self, d_model: int, d_ff: int, layers: int):
        super().__init__()
        self.blocks = nn.ModuleList(
            TransformerEncoderBlock(d_model, d_ff) for _ in range(layers)
        )

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        heads: int,
        epsilon: float,
    ) -> list[EncoderLayer]:
        layers = []
        for block in self.blocks:
            layer = EncoderLayer(*block(x, mask, heads, epsilon))
            layers.append(layer)
            x = layer.hidden
        return layers


class TransformerDecoderBlock(nn.Module):
    self_attention: PostNormAttention
    cross_attention: PostNormAttention
    feed_forward: PostNormFeedForward

    def __init__(self, d_model: int, d_ff: int):
        super().__init__()
        self.self_attention = PostNormAttention(d_model)
        self.cross_attention = PostNormAttention(d_model)
        self.feed_forward = PostNormFeedForward(d_model, d_ff)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        source: Float[Array, "*batch key d_model"],
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
        after_attention, attention = self.self_attention(
            x, x, mask, heads, epsilon
        )
        after_cross_attention, cross_attention = self.cross_attention(
            after_attention, source, source_mask, heads, epsilon
        )
        hidden = self.feed_forward(after_cross_attention, epsilon)
        return (
            hidden,
            after_attention,
            after_cross_attention,
            attention,
            cross_attention,
        )


class DecoderLayer(NamedTuple):
    """What a decoder block computed, and both of its attentions."""

    hidden: Float[Array, "*batch position d_model"]
    after_attention: Float[Array, "*batch position d_model"]
    after_cross_attention: Float[Array, "*batch position d_model"]
    attention: Heads
    cross_attention: Heads


class TransformerDecoder(nn.Module):
    blocks: tuple[TransformerDecoderBlock, ...]

    def __init__(self, d_model: int, d_ff: int, layers: int):
        super().__init__()
        self.blocks = nn.ModuleList(
            TransformerDecoderBlock(d_model, d_ff) for _ in range(layers)
        )

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        source: Float[Array, "*batch key d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        source_mask: Bool[Array, "*#batch #position #key"],
        heads: int,
        epsilon: float,
    ) -> list[DecoderLayer]:
        layers = []
        for block in self.blocks:
            layer = DecoderLayer(
                *block(x, source, mask, source_mask, heads, epsilon)
            )
            layers.append(layer)
            x = layer.hidden
        return layers


class Transformer(nn.Module):
    embedding: TransformerEmbedding
    encoder: TransformerEncoder
    decoder: TransformerDecoder

    def __init__(
        self, vocabulary: int, d_model: int, d_ff: int, layers: int
    ):
        super().__init__()
        self.embedding = TransformerEmbedding(vocabulary, d_model)
        self.encoder = TransformerEncoder(d_model, d_ff, layers)
        self.decoder = TransformerDecoder(d_model, d_ff, layers)

    @checked
    def forward(
        self,
        source_ids: Int[Array, "*batch source"],
        target_ids: Int[Array, "*batch position"],
        source_mask: Bool[Array, "*batch source"],
        heads: int,
        epsilon: float,
    ) -> tuple[
        list[EncoderLayer],
        list[DecoderLayer],
        Float[Array, "*batch position vocabulary"],
    ]:
        keys = source_mask[..., None, :]  # the same for all queries
        source_x = self.embedding(source_ids)
        encoder_layers = self.encoder(source_x, keys, heads, epsilon)
        source = encoder_layers[-1].hidden
        x = self.embedding(target_ids)
        mask = causal_mask(target_ids.shape[-1], target_ids.shape[-1]).to(
            x.device
        )
        decoder_layers = self.decoder(x, source, mask, keys, heads, epsilon)
        hidden = decoder_layers[-1].hidden
        table = self.embedding.token.weight
        logits = hidden @ table.transpose(-2, -1)
        return encoder_layers, decoder_layers, logits
