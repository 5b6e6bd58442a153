"""Llama with a key-value cache: fewer heads to keep, angles that go on."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor as Array

from ..attention import attention_scores, masked_softmax
from ..checked import check_divides, checked
from ..masks import causal_mask
from ..multi_head import merge_heads, split_heads
from .grouped_queries import GroupedHeads, GroupedQueryAttention
from .llama import (
    Llama,
    LlamaAttentionSublayer,
    LlamaBlock,
    LlamaDecoder,
    LlamaLayer,
)
from .rotary import rotary_halves, rotary_tables


@checked
def fold_heads(
    x: Float[Array, "*batch head position d_head"],
    key_heads: int,
) -> Float[Array, "*batch key_head folded d_head"]:
    *batch, heads, positions, d_head = x.shape
    check_divides("key_heads", key_heads, "heads", heads)
    queries = heads // key_heads * positions
    folded = x.reshape(*batch, key_heads, queries, d_head)
    return folded


@checked
def unfold_heads(
    x: Float[Array, "*batch key_head folded d_head"],
    heads: int,
) -> Float[Array, "*batch head position d_head"]:
    *batch, key_heads, queries, d_head = x.shape
    check_divides("heads", heads, "folded queries", key_heads * queries)
    positions = key_heads * queries // heads
    unfolded = x.reshape(*batch, heads, positions, d_head)
    return unfolded


class CachedGroupedHeads(GroupedQueryAttention):
    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        past_key: Float[Array, "*batch key_head past d_head"],
        past_value: Float[Array, "*batch key_head past d_head"],
        mask: Bool[Array, "*#batch #position #key"],
        cosine: Float[Array, "position pair"],
        sine: Float[Array, "position pair"],
        heads: int,
        key_heads: int,
    ) -> GroupedHeads:
        check_divides("key_heads", key_heads, "heads", heads)
        split_query = split_heads(self.query(x), heads)
        split_key = split_heads(self.key(x), key_heads)
        query = rotary_halves(split_query, cosine, sine)
        key = rotary_halves(split_key, cosine, sine)
        value = split_heads(self.value(x), key_heads)
        folded_query = fold_heads(query, key_heads)
        past_scores = attention_scores(folded_query, past_key)
        new_scores = attention_scores(folded_query, key)
        folded_scores = torch.cat([past_scores, new_scores], dim=-1)
        scores = unfold_heads(folded_scores, heads)
        head_mask = mask[..., None, :, :]  # the same for all heads
        weights = masked_softmax(scores, head_mask)
        folded_weights = fold_heads(weights, key_heads)
        past = past_key.shape[-2]
        past_context = folded_weights[..., :past] @ past_value
        folded_context = past_context + folded_weights[..., past:] @ value
        context = unfold_heads(folded_context, heads)
        attention = GroupedHeads(query, key, value, weights, context)
        return attention


class CachedLlamaAttentionSublayer(LlamaAttentionSublayer):
    def __init__(
        self, d_model: int, d_head: int, heads: int, key_heads: int
    ):
        super().__init__(d_model, d_head, heads, key_heads)
        self.attention = CachedGroupedHeads(
            d_model, d_head, heads, key_heads
        )

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        past_key: Float[Array, "*batch key_head past d_head"],
        past_value: Float[Array, "*batch key_head past d_head"],
        mask: Bool[Array, "*#batch #position #key"],
        cosine: Float[Array, "position pair"],
        sine: Float[Array, "position pair"],
        heads: int,
        key_heads: int,
        epsilon: float,
    ) -> tuple[Float[Array, "*batch position d_model"], GroupedHeads]:
        normed = self.norm(x, epsilon)
        attention = self.attention(
            *(normed, past_key, past_value, mask),
            *(cosine, sine, heads, key_heads),
        )
        merged = merge_heads(attention.context)
        attention_output = self.attention.output(merged)
        after_attention = x + attention_output
        return after_attention, attention


class CachedLlamaBlock(LlamaBlock):
    def __init__(
        self,
        d_model: int,
        d_head: int,
        d_ff: int,
        heads: int,
        key_heads: int,
    ):
        super().__init__(d_model, d_head, d_ff, heads, key_heads)
        self.attention_sublayer = CachedLlamaAttentionSublayer(
            d_model, d_head, heads, key_heads
        )

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        past_key: Float[Array, "*batch key_head past d_head"],
        past_value: Float[Array, "*batch key_head past d_head"],
        mask: Bool[Array, "*#batch #position #key"],
        cosine: Float[Array, "position pair"],
        sine: Float[Array, "position pair"],
        heads: int,
        key_heads: int,
        epsilon: float,
    ) -> LlamaLayer:
        after_attention, attention = self.attention_sublayer(
            *(x, past_key, past_value, mask, cosine, sine),
            *(heads, key_heads, epsilon),
        )
        hidden = self.feed_forward_sublayer(after_attention, epsilon)
        layer = LlamaLayer(*attention[:4], hidden)
        return layer


class CachedLlamaDecoder(LlamaDecoder):
    def __init__(
        self,
        d_model: int,
        d_head: int,
        d_ff: int,
        heads: int,
        key_heads: int,
        layers: int,
    ):
        super().__init__(d_model, d_head, d_ff, heads, key_heads, 0)
        self.blocks.extend(
            CachedLlamaBlock(d_model, d_head, d_ff, heads, key_heads)
            for _ in range(layers)
        )

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        past_key: Float[Array, "layers *batch key_head past d_head"],
        past_value: Float[Array, "layers *batch key_head past d_head"],
        mask: Bool[Array, "*#batch #position #key"],
        cosine: Float[Array, "position pair"],
        sine: Float[Array, "position pair"],
        heads: int,
        key_heads: int,
        epsilon: float,
    ) -> list[LlamaLayer]:
        layers = []
        for index, block in enumerate(self.blocks):
            layer = block(
                *(x, past_key[index], past_value[index], mask),
                *(cosine, sine, heads, key_heads, epsilon),
            )
            layers.append(layer)
            x = layer.hidden
        return layers


class CachedLlama(Llama):
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
        super().__init__(
            vocabulary, d_model, d_head, d_ff, heads, key_heads, 0
        )
        self.decoder = CachedLlamaDecoder(
            d_model, d_head, d_ff, heads, key_heads, layers
        )

    @checked
    def forward(
        self,
        ids: Int[Array, "*batch position"],
        past_key: Float[Array, "layers *batch key_head past d_head"],
        past_value: Float[Array, "layers *batch key_head past d_head"],
        heads: int,
        key_heads: int,
        base: float,
        epsilon: float,
    ) -> tuple[list[LlamaLayer], Float[Array, "*batch vocabulary"]]:
        x = self.embedding(ids)
        past, d_head = past_key.shape[-2:]
        positions = past + torch.arange(
            ids.shape[-1], dtype=x.dtype, device=x.device
        )
        cosine, sine = rotary_tables(positions, d_head, base)
        mask = causal_mask(ids.shape[-1], past + ids.shape[-1], past)
        layers = self.decoder(
            *(x, past_key, past_value, mask.to(x.device), cosine, sine),
            *(heads, key_heads, epsilon),
        )
        last = layers[-1].hidden[..., -1, :]
        normed = self.norm(last, epsilon)
        logits = self.output(normed)
        return layers, logits
