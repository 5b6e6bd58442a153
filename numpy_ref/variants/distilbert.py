"""DistilBERT: half of BERT's blocks, no segments (Sanh et al. 2019).

It starts from every second block of a BERT, and is trained to answer as
that BERT does. Two texts in one input are told apart by [SEP] alone. What
is not here is BERT's own step.
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from ..bert import Encoder, Layer, encoder
from ..checked import checked
from ..embeddings import InputEmbedding, input_embedding
from ..layers import LayerNorm, layer_norm


@checked
@dataclass(frozen=True, eq=False)
class DistilBertEmbedding:
    """DistilBERT's embedding: two tables, and the norm of their sum."""

    tables: InputEmbedding
    norm: LayerNorm


@checked
def distil_bert_embedding(
    ids: Int[Array, "*batch position"],
    params: DistilBertEmbedding,
    epsilon: float,
) -> Float[Array, "*batch position d_model"]:
    """DistilBERT's embedding: which token, and where; no segments.

    Raises ValueError for an id or a position that its table does not
    have. (Sanh et al. 2019, section 3)
    """
    total = input_embedding(ids, params.tables)
    x = layer_norm(total, params.norm, epsilon)
    return x


@checked
@dataclass(frozen=True, eq=False)
class DistilBert:
    """DistilBERT: the tables and BERT's blocks."""

    embedding: DistilBertEmbedding
    encoder: Encoder


@checked
def distil_bert(
    ids: Int[Array, "*batch position"],
    mask: Bool[Array, "*#batch #position #position"],
    params: DistilBert,
    heads: int,
    epsilon: float,
) -> tuple[Float[Array, "*batch position d_model"], list[Layer]]:
    """DistilBERT: the tokens as they enter the blocks, and every layer.

    `mask` is as for `bert`. Raises ValueError as `distil_bert_embedding`
    does.
    """
    x = distil_bert_embedding(ids, params.embedding, epsilon)
    layers = encoder(x, params.encoder, mask, heads, epsilon)
    return x, layers
