"""Llama: a decoder as it is built since 2023 (Touvron et al. 2023)."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor as Array
from torch import nn

from ..checked import checked
from ..embeddings import TokenEmbedding
from ..masks import causal_mask
from ..multi_head import merge_heads
from .grouped_queries import (
    GroupedHeads,
    GroupedQueryAttention,
    OpenGroupedHeads,
)
from .projection import Projection
from .rms_norm import RMSNorm
from .rotary import rotary_tables
from .swiglu import SwiGLU


class LlamaAttentionSublayer(nn.Module):
    norm: RMSNorm
    attention: GroupedQueryAttention

    def __init__(
        self, d_model: int, d_head: int, heads: int, key_heads: int
    ):
        super().__init__()
        self.norm = RMSNorm(d_model)
        self.attention = OpenGroupedHeads(d_model, d_head, heads, key_heads)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        cosine: Float[Array, "position pair"],
        sine: Float[Array, "position pair"],
        heads: int,
        key_heads: int,
        epsilon: float,
    ) -> tuple[Float[Array, "*batch position d_model"], GroupedHeads]:
        normed = self.norm(x, epsilon)
        attention = self.attention(
            normed, mask, cosine, sine, heads, key_heads
        )
        merged = merge_heads(attention.context)
        attention_output = self.attention.output(merged)
        after_attention = x + attention_output
        return after_attention, attention


class LlamaFeedForwardSublayer(nn.Module):
    norm: RMSNorm
    feed_forward: SwiGLU

    def __init__(self, d_model: int, d_ff: int):
        super().__init__()
        self.norm = RMSNorm(d_model)
        self.feed_forward = SwiGLU(d_model, d_ff)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch d_model"],
        epsilon: float,
    ) -> Float[Array, "*batch d_model"]:
        mlp_input = self.norm(x, epsilon)
        mlp_output = self.feed_forward(mlp_input)
        y = x + mlp_output
        return y


class LlamaLayer(NamedTuple):
    query: Float[Array, "*batch head position d_head"]
    key: Float[Array, "*batch key_head position d_head"]
    value: Float[Array, "*batch key_head position d_head"]
    weights: Float[Array, "*batch head position key"]
    hidden: Float[Array, "*batch position d_model"]


class LlamaBlock(nn.Module):
    attention_sublayer: LlamaAttentionSublayer
    feed_forward_sublayer: LlamaFeedForwardSublayer

    def __init__(
        self,
        d_model: int,
        d_head: int,
        d_ff: int,
        heads: int,
        key_heads: int,
    ):
        super().__init__()
        self.attention_sublayer = LlamaAttentionSublayer(
            d_model, d_head, heads, key_heads
        )
        self.feed_forward_sublayer = LlamaFeedForwardSublayer(d_model, d_ff)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        cosine: Float[Array, "position pair"],
        sine: Float[Array, "position pair"],
        heads: int,
        key_heads: int,
        epsilon: float,
    ) -> LlamaLayer:
        after_attention, attention = self.attention_sublayer(
            x, mask, cosine, sine, heads, key_heads, epsilon
        )
        hidden = self.feed_forward_sublayer(after_attention, epsilon)
        layer = LlamaLayer(*attention[:4], hidden)
        return layer


class LlamaDecoder(nn.Module):
    blocks: tuple[LlamaBlock, ...]

    def __init__(
        self,
        d_model: int,
        d_head: int,
        d_ff: int,
        heads: int,
        key_heads: int,
        layers: int,
    ):
        super().__init__()
        self.blocks = nn.ModuleList(
            LlamaBlock(d_model, d_head, d_ff, heads, key_heads)
            for _ in range(layers)
        )

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        cosine: Float[Array, "position pair"],
        sine: Float[Array, "position pair"],
        heads: int,
        key_heads: int,
        epsilon: float,
    ) -> list[LlamaLayer]:
        layers = []
        for block in self.blocks:
            layer = block(x, mask, cosine, sine, heads, key_heads, epsilon)
            layers.append(layer)
            x = layer.hidden
        return layers


class Llama(nn.Module):
    embedding: TokenEmbedding
    decoder: LlamaDecoder
    norm: RMSNorm
    output: Projection

    def __init__(
        self,
        vocabulary: int,
        d_model: int,
        d_head: int,
        d_ff: int,
        heads: int,
        key_heads: int,
        layers: int,
    ):
        super().__init__()
        self.embedding = TokenEmbedding(vocabulary, d_model)
        self.decoder = LlamaDecoder(
            d_model, d_head, d_ff, heads, key_heads, layers
        )
        self.norm = RMSNorm(d_model)
        self.output = Projection(d_model, vocabulary)

    @checked
    def forward(
        self,
        ids: Int[Array, "*batch position"],
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
        x = self.embedding(ids)
        positions = torch.arange(
            ids.shape[-1], dtype=x.dtype, device=x.device
        )
        cosine, sine = rotary_tables(positions, d_head, base)
        mask = causal_mask(ids.shape[-1], ids.shape[-1]).to(x.device)
        layers = self.decoder(
            x, mask, cosine, sine, heads, key_heads, epsilon
        )
        normed = self.norm(layers[-1].hidden, epsilon)
        logits = self.output(normed)
        return x, layers, logits
