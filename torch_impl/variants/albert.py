"""ALBERT: one block, applied again and again (Lan et al. 2020)."""

from jaxtyping import Bool, Float, Int
from torch import Tensor as Array
from torch import nn

from ..bert import (
    BertEmbedding,
    EncoderBlock,
    Layer,
    MaskedLanguageHead,
)
from ..checked import check_at_least, checked
from ..layers import FeedForwardTanh, Linear, gelu_tanh
from ..multi_head import merge_heads


class AlbertEmbedding(nn.Module):
    narrow: BertEmbedding
    projection: Linear

    def __init__(
        self,
        vocabulary: int,
        positions: int,
        segments: int,
        d_embedding: int,
        d_model: int,
    ):
        super().__init__()
        self.narrow = BertEmbedding(
            vocabulary, positions, segments, d_embedding
        )
        self.projection = Linear(d_embedding, d_model)

    @checked
    def forward(
        self,
        ids: Int[Array, "*batch position"],
        segments: Int[Array, "*batch position"],
        epsilon: float,
    ) -> Float[Array, "*batch position d_model"]:
        narrow = self.narrow(ids, segments, epsilon)
        x = self.projection(narrow)
        return x


class EncoderBlockTanh(EncoderBlock):
    def __init__(self, d_model: int, d_ff: int):
        super().__init__(d_model, d_ff)
        self.feed_forward = FeedForwardTanh(d_model, d_ff)

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


class SharedEncoder(nn.Module):
    block: EncoderBlock

    def __init__(self, d_model: int, d_ff: int):
        super().__init__()
        self.block = EncoderBlockTanh(d_model, d_ff)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        heads: int,
        epsilon: float,
        depth: int,
    ) -> list[Layer]:
        check_at_least("depth", depth, 1)
        layers = []
        for _ in range(depth):
            layer = self.block(x, mask, heads, epsilon)
            layers.append(layer)
            x = layer.hidden
        return layers


class Albert(nn.Module):
    embedding: AlbertEmbedding
    encoder: SharedEncoder

    def __init__(
        self,
        vocabulary: int,
        positions: int,
        segments: int,
        d_embedding: int,
        d_model: int,
        d_ff: int,
    ):
        super().__init__()
        self.embedding = AlbertEmbedding(
            vocabulary, positions, segments, d_embedding, d_model
        )
        self.encoder = SharedEncoder(d_model, d_ff)

    @checked
    def forward(
        self,
        ids: Int[Array, "*batch position"],
        segments: Int[Array, "*batch position"],
        mask: Bool[Array, "*#batch #position #position"],
        heads: int,
        epsilon: float,
        depth: int,
    ) -> tuple[Float[Array, "*batch position d_model"], list[Layer]]:
        x = self.embedding(ids, segments, epsilon)
        layers = self.encoder(x, mask, heads, epsilon, depth)
        return x, layers


class MaskedLanguageHeadTanh(MaskedLanguageHead):
    def __init__(self, vocabulary: int, d_embedding: int, d_model: int):
        super().__init__(vocabulary, d_embedding)
        self.dense = Linear(d_model, d_embedding)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        epsilon: float,
    ) -> Float[Array, "*batch position vocabulary"]:
        dense = self.dense(x)
        activated = gelu_tanh(dense)
        normed = self.norm(activated, epsilon)
        logits = self.decoder(normed)
        return logits
