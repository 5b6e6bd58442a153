"""Writing token after token: what was computed once is kept."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor as Array

from .attention import attention_scores, masked_softmax
from .bert import Layer
from .checked import checked
from .gpt2 import Decoder, DecoderBlock, Gpt2
from .masks import causal_mask
from .multi_head import merge_heads, split_heads


class CachedDecoderBlock(DecoderBlock):
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
        normed = self.attention_norm(x, epsilon)
        query = split_heads(self.attention.query(normed), heads)
        key = split_heads(self.attention.key(normed), heads)
        value = split_heads(self.attention.value(normed), heads)
        past_scores = attention_scores(query, past_key)
        new_scores = attention_scores(query, key)
        scores = torch.cat([past_scores, new_scores], dim=-1)
        head_mask = mask[..., None, :, :]
        weights = masked_softmax(scores, head_mask)
        past = past_key.shape[-2]
        past_context = weights[..., :past] @ past_value
        context = past_context + weights[..., past:] @ value
        merged = merge_heads(context)
        attended = x + self.attention.output(merged)
        ready = self.feed_forward_norm(attended, epsilon)
        hidden = attended + self.feed_forward(ready)
        layer = Layer(query, key, value, weights, hidden)
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
        for number, block in enumerate(self.blocks):
            layer = block(
                x,
                past_key[number],
                past_value[number],
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
        tokens = self.embedding.token(ids)
        places = self.embedding.position(positions)
        x = tokens + places
        mask = causal_mask(ids.shape[-1], past + ids.shape[-1], past)
        layers = self.decoder(
            x, past_key, past_value, mask.to(x.device), heads, epsilon
        )
        last = layers[-1].hidden[..., -1, :]
        normed = self.norm(last, epsilon)
        logits = normed @ self.embedding.token.weight.transpose(-2, -1)
        return layers, logits
