"""DistilBERT: half of BERT's blocks, no segments (Sanh et al. 2019)."""

from jaxtyping import Bool, Float, Int
from torch import Tensor as Array
from torch import nn

from ..bert import Encoder, Layer
from ..checked import checked
from ..embeddings import InputEmbedding
from ..layers import LayerNorm


class DistilBertEmbedding(nn.Module):
    tables: InputEmbedding
    norm: LayerNorm

    def __init__(self, vocabulary: int, positions: int, d_model: int):
        super().__init__()
        self.tables = InputEmbedding(vocabulary, positions, d_model)
        self.norm = LayerNorm(d_model)

    @checked
    def forward(
        self,
        ids: Int[Array, "*batch position"],
        epsilon: float,
    ) -> Float[Array, "*batch position d_model"]:
        total = self.tables(ids)
        x = self.norm(total, epsilon)
        return x


class DistilBert(nn.Module):
    embedding: DistilBertEmbedding
    encoder: Encoder

    def __init__(
        self,
        vocabulary: int,
        positions: int,
        d_model: int,
        d_ff: int,
        layers: int,
    ):
        super().__init__()
        self.embedding = DistilBertEmbedding(vocabulary, positions, d_model)
        self.encoder = Encoder(d_model, d_ff, layers)

    @checked
    def forward(
        self,
        ids: Int[Array, "*batch position"],
        mask: Bool[Array, "*#batch #position #position"],
        heads: int,
        epsilon: float,
    ) -> tuple[Float[Array, "*batch position d_model"], list[Layer]]:
        x = self.embedding(ids, epsilon)
        layers = self.encoder(x, mask, heads, epsilon)
        return x, layers
