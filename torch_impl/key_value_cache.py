"""Key-value cache: what was computed once is kept."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor as Array

from .attention import attention_scores, masked_softmax
from .bert import Layer
from .checked import checked
from .gpt2 import Decoder, DecoderBlock, Gpt2
from .masks import causal_mask
from .multi_head import (
    Heads,
    MultiHeadAttention,
    merge_heads,
    split_heads,
)
from .sublayers import AttentionSublayer


class CachedHeads(MultiHeadAttention):
    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        past_key: Float[Array, "*batch head past d_head"],
        past_value: Float[Array, "*batch head past d_head"],
        mask: Bool[Array, "*#batch #position #key"],
        heads: int,
    ) -> Heads:
        query = split_heads(self.query(x), heads)
        key = split_heads(self.key(x), heads)
        value = split_heads(self.value(x), heads)
        past_scores = attention_scores(query, past_key)
        new_scores = attention_scores(query, key)
        scores = torch.cat([past_scores, new_scores], dim=-1)
        head_mask = mask[..., None, :, :]  # the same for all heads
        weights = masked_softmax(scores, head_mask)
        past = past_key.shape[-2]
        past_context = weights[..., :past] @ past_value
        context = past_context + weights[..., past:] @ value
        attention = Heads(query, key, value, weights, context)
        return attention


class CachedAttentionSublayer(AttentionSublayer):
    def __init__(self, d_model: int):
        super().__init__(d_model)
        self.attention = CachedHeads(d_model)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        past_key: Float[Array, "*batch head past d_head"],
        past_value: Float[Array, "*batch head past d_head"],
        mask: Bool[Array, "*#batch #position #key"],
        heads: int,
        epsilon: float,
    ) -> tuple[Float[Array, "*batch position d_model"], Heads]:
        normed = self.norm(x, epsilon)
        attention = self.attention(
            normed, past_key, past_value, mask, heads
        )
        merged = merge_heads(attention.context)
        attention_output = self.attention.output(merged)
        after_attention = x + attention_output
        return after_attention, attention


class CachedDecoderBlock(DecoderBlock):
    def __init__(self, d_model: int, d_ff: int):
        super().__init__(d_model, d_ff)
        self.attention_sublayer = CachedAttentionSublayer(d_model)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        past_key: Float[Array, "*batch head past d_head"],
        past_value: Float[Array, "*batch head past d_head"],
        mask: Bool[Array, "*#batch #position #key"],
        heads: int,
        epsilon: float,
    ) -> Layer:
        after_attention, attention = self.attention_sublayer(
            x, past_key, past_value, mask, heads, epsilon
        )
        hidden = self.feed_forward_sublayer(after_attention, epsilon)
        layer = Layer(*attention[:4], hidden)
        return layer


class CachedDecoder(Decoder):
    def __init__(self, d_model: int, d_ff: int, layers: int):
        super().__init__(d_model, d_ff, 0)
        self.blocks.extend(
            CachedDecoderBlock(d_model, d_ff) for _ in range(layers)
        )

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        past_key: Float[Array, "layers *batch head past d_head"],
        past_value: Float[Array, "layers *batch head past d_head"],
        mask: Bool[Array, "*#batch #position #key"],
        heads: int,
        epsilon: float,
    ) -> list[Layer]:
        layers = []
        for index, block in enumerate(self.blocks):
            layer = block(
                x,
                past_key[index],
                past_value[index],
                mask,
                heads,
                epsilon,
            )
            layers.append(layer)
            x = layer.hidden
        return layers


class CachedGpt2(Gpt2):
    def __init__(
        self,
        vocabulary: int,
        positions: int,
        d_model: int,
        d_ff: int,
        layers: int,
    ):
        super().__init__(vocabulary, positions, d_model, d_ff, 0)
        self.decoder = CachedDecoder(d_model, d_ff, layers)

    @checked
    def forward(
        self,
        ids: Int[Array, "*batch position"],
        past_key: Float[Array, "layers *batch head past d_head"],
        past_value: Float[Array, "layers *batch head past d_head"],
        heads: int,
        epsilon: float,
    ) -> tuple[list[Layer], Float[Array, "*batch vocabulary"]]:
        past = past_key.shape[-2]
        positions = past + torch.arange(ids.shape[-1], device=ids.device)
        token_embeddings = self.embedding.token(ids)
        position_embeddings = self.embedding.position(positions)
        x = token_embeddings + position_embeddings
        mask = causal_mask(ids.shape[-1], past + ids.shape[-1], past)
        layers = self.decoder(
            x, past_key, past_value, mask.to(x.device), heads, epsilon
        )
        last = layers[-1].hidden[..., -1, :]
        normed = self.norm(last, epsilon)
        logits = normed @ self.embedding.token.weight.transpose(-2, -1)
        return layers, logits
