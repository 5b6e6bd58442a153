"""GPT-2: every token sees itself and those before (Radford et al. 2019)."""

from jaxtyping import Bool, Float, Int
from torch import Tensor as Array
from torch import nn

from .bert import Layer
from .checked import checked
from .embeddings import InputEmbedding
from .layers import LayerNorm
from .masks import causal_mask, causal_padding_mask, positions_of_mask
from .sublayers import AttentionSublayer, FeedForwardSublayer


class DecoderBlock(nn.Module):
    attention_sublayer: AttentionSublayer
    feed_forward_sublayer: FeedForwardSublayer

    def __init__(self, d_model: int, d_ff: int):
        super().__init__()
        self.attention_sublayer = AttentionSublayer(d_model)
        self.feed_forward_sublayer = FeedForwardSublayer(d_model, d_ff)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        heads: int,
        epsilon: float,
    ) -> Layer:
        after_attention, attention = self.attention_sublayer(
            x, mask, heads, epsilon
        )
        hidden = self.feed_forward_sublayer(after_attention, epsilon)
        layer = Layer(*attention[:4], hidden)
        return layer


class Decoder(nn.Module):
    blocks: tuple[DecoderBlock, ...]

    def __init__(self, d_model: int, d_ff: int, layers: int):
        super().__init__()
        self.blocks = nn.ModuleList(
            DecoderBlock(d_model, d_ff) for _ in range(layers)
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


class Gpt2(nn.Module):
    embedding: InputEmbedding
    decoder: Decoder
    norm: LayerNorm

    def __init__(
        self,
        vocabulary: int,
        positions: int,
        d_model: int,
        d_ff: int,
        layers: int,
    ):
        super().__init__()
        self.embedding = InputEmbedding(vocabulary, positions, d_model)
        self.decoder = Decoder(d_model, d_ff, layers)
        self.norm = LayerNorm(d_model)

    @checked
    def forward(
        self,
        ids: Int[Array, "*batch position"],
        heads: int,
        epsilon: float,
    ) -> tuple[
        Float[Array, "*batch position d_model"],
        list[Layer],
        Float[Array, "*batch position vocabulary"],
    ]:
        x = self.embedding(ids)
        mask = causal_mask(ids.shape[-1], ids.shape[-1]).to(x.device)
        layers = self.decoder(x, mask, heads, epsilon)
        normed = self.norm(layers[-1].hidden, epsilon)
        logits = normed @ self.embedding.token.weight.transpose(-2, -1)
        return x, layers, logits


class PaddedGpt2(Gpt2):
    @checked
    def forward(
        self,
        ids: Int[Array, "*batch position"],
        attention_mask: Bool[Array, "*batch position"],
        heads: int,
        epsilon: float,
    ) -> tuple[
        Float[Array, "*batch position d_model"],
        list[Layer],
        Float[Array, "*batch position vocabulary"],
    ]:
        positions = positions_of_mask(attention_mask)
        token_embeddings = self.embedding.token(ids)
        position_embeddings = self.embedding.position(positions)
        x = token_embeddings + position_embeddings
        mask = causal_padding_mask(attention_mask)
        layers = self.decoder(x, mask, heads, epsilon)
        normed = self.norm(layers[-1].hidden, epsilon)
        logits = normed @ self.embedding.token.weight.transpose(-2, -1)
        return x, layers, logits
