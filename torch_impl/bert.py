"""BERT: every token sees every other (Devlin et al. 2019)."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor as Array
from torch import nn

from .checked import checked
from .embeddings import PositionEmbedding, TokenEmbedding
from .layers import FeedForward, LayerNorm, Linear, gelu
from .multi_head import MultiHeadAttention, OpenHeads, merge_heads


class BertEmbedding(nn.Module):
    token: TokenEmbedding
    position: PositionEmbedding
    segment: TokenEmbedding
    norm: LayerNorm

    def __init__(
        self, vocabulary: int, positions: int, segments: int, d_model: int
    ):
        super().__init__()
        self.token = TokenEmbedding(vocabulary, d_model)
        self.position = PositionEmbedding(positions, d_model)
        self.segment = TokenEmbedding(segments, d_model)
        self.norm = LayerNorm(d_model)

    @checked
    def forward(
        self,
        ids: Int[Array, "*batch position"],
        segments: Int[Array, "*batch position"],
        epsilon: float,
    ) -> Float[Array, "*batch position d_model"]:
        token_embeddings = self.token(ids)
        positions = torch.arange(ids.shape[-1], device=ids.device)
        position_embeddings = self.position(positions)
        segment_embeddings = self.segment(segments)
        total = token_embeddings + segment_embeddings + position_embeddings
        x = self.norm(total, epsilon)
        return x


class Layer(NamedTuple):
    """What one block computed: its attention, and its hidden states."""

    query: Float[Array, "*batch head position d_head"]
    key: Float[Array, "*batch head position d_head"]
    value: Float[Array, "*batch head position d_head"]
    weights: Float[Array, "*batch head position position"]
    hidden: Float[Array, "*batch position d_model"]


class EncoderBlock(nn.Module):
    attention: MultiHeadAttention
    attention_norm: LayerNorm
    feed_forward: FeedForward
    feed_forward_norm: LayerNorm

    def __init__(self, d_model: int, d_ff: int):
        super().__init__()
        self.attention = OpenHeads(d_model)
        self.attention_norm = LayerNorm(d_model)
        self.feed_forward = FeedForward(d_model, d_ff)
        self.feed_forward_norm = LayerNorm(d_model)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        heads: int,
        epsilon: float,
    ) -> Layer:
        attention = self.attention(x, mask, heads)
        merged = merge_heads(attention.context)
        attention_output = self.attention.output(merged)
        attention_sum = x + attention_output
        after_attention = self.attention_norm(attention_sum, epsilon)
        mlp_output = self.feed_forward(after_attention)
        mlp_sum = after_attention + mlp_output
        hidden = self.feed_forward_norm(mlp_sum, epsilon)
        layer = Layer(*attention[:4], hidden)
        return layer


class Encoder(nn.Module):
    blocks: tuple[EncoderBlock, ...]

    def __init__(self, d_model: int, d_ff: int, layers: int):
        super().__init__()
        self.blocks = nn.ModuleList(
            EncoderBlock(d_model, d_ff) for _ in range(layers)
        )

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        heads: int,
        epsilon: float,
    ) -> list[Layer]:
        layers = []
        for block in self.blocks:
            layer = block(x, mask, heads, epsilon)
            layers.append(layer)
            x = layer.hidden
        return layers


class Bert(nn.Module):
    embedding: BertEmbedding
    encoder: Encoder

    def __init__(
        self,
        vocabulary: int,
        positions: int,
        segments: int,
        d_model: int,
        d_ff: int,
        layers: int,
    ):
        super().__init__()
        self.embedding = BertEmbedding(
            vocabulary, positions, segments, d_model
        )
        self.encoder = Encoder(d_model, d_ff, layers)

    @checked
    def forward(
        self,
        ids: Int[Array, "*batch position"],
        segments: Int[Array, "*batch position"],
        mask: Bool[Array, "*#batch #position #position"],
        heads: int,
        epsilon: float,
    ) -> tuple[Float[Array, "*batch position d_model"], list[Layer]]:
        x = self.embedding(ids, segments, epsilon)
        layers = self.encoder(x, mask, heads, epsilon)
        return x, layers


class Pooler(nn.Module):
    dense: Linear

    def __init__(self, d_model: int):
        super().__init__()
        self.dense = Linear(d_model, d_model)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
    ) -> Float[Array, "*batch d_model"]:
        first = self.dense(x[..., 0, :])
        pooled = torch.tanh(first)
        return pooled


class MaskedLanguageHead(nn.Module):
    dense: Linear
    norm: LayerNorm
    decoder: Linear

    def __init__(self, vocabulary: int, d_model: int):
        super().__init__()
        self.dense = Linear(d_model, d_model)
        self.norm = LayerNorm(d_model)
        self.decoder = Linear(d_model, vocabulary)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        epsilon: float,
    ) -> Float[Array, "*batch position vocabulary"]:
        dense = self.dense(x)
        activated = gelu(dense)
        normed = self.norm(activated, epsilon)
        logits = self.decoder(normed)
        return logits
