"""ALBERT: one block, applied again and again (Lan et al. 2020).

A BERT with far fewer parameters: every layer is the same block
(cross-layer parameter sharing, section 3.1), and a token's row in the
tables is narrower than its hidden state (factorised embedding, the same
section). `d_embedding` counts the features of a row, `depth` the layers.
What is not here is BERT's own step.
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from ..bert import (
    BertEmbedding,
    EncoderBlock,
    Layer,
    MaskedLanguageHead,
    bert_embedding,
)
from ..checked import check_at_least, checked
from ..layers import (
    Linear,
    feed_forward_tanh,
    gelu_tanh,
    layer_norm,
    linear,
)
from ..multi_head import merge_heads, open_heads


@checked
@dataclass(frozen=True, eq=False)
class AlbertEmbedding:
    """ALBERT's embedding: BERT's, but narrow, and what widens it."""

    narrow: BertEmbedding
    projection: Linear


@checked
def albert_embedding(
    ids: Int[Array, "*batch position"],
    segments: Int[Array, "*batch position"],
    params: AlbertEmbedding,
    epsilon: float,
) -> Float[Array, "*batch position d_model"]:
    r"""ALBERT's embedding, factorised: a narrow row, then a projection.

    $X = N W^\top + b$, with N the `bert_embedding` of width d_embedding

    V d_model numbers become (V + d_model) d_embedding, V the size of the
    vocabulary (Lan et al. 2020, section 3.1). Raises ValueError as
    `bert_embedding` does.
    """
    narrow = bert_embedding(ids, segments, params.narrow, epsilon)
    x = linear(narrow, params.projection)
    return x


@checked
def encoder_block_tanh(
    x: Float[Array, "*batch position d_model"],
    params: EncoderBlock,
    mask: Bool[Array, "*#batch #position #position"],
    heads: int,
    epsilon: float,
) -> Layer:
    """Encoder block, post-norm, with the GELU that GPT-2 has, too.

    `encoder_block`, but for `feed_forward_tanh`.
    """
    attention = open_heads(x, params.attention, mask, heads)
    merged = merge_heads(attention.context)
    attention_output = linear(merged, params.attention.output)
    attention_sum = x + attention_output
    after_attention = layer_norm(
        attention_sum, params.attention_norm, epsilon
    )
    mlp_output = feed_forward_tanh(after_attention, params.feed_forward)
    mlp_sum = after_attention + mlp_output
    hidden = layer_norm(mlp_sum, params.feed_forward_norm, epsilon)
    layer = Layer(*attention[:4], hidden)
    return layer


@checked
@dataclass(frozen=True, eq=False)
class SharedEncoder:
    """Shared encoder: the one block that every layer is."""

    block: EncoderBlock


@checked
def shared_encoder(
    x: Float[Array, "*batch position d_model"],
    params: SharedEncoder,
    mask: Bool[Array, "*#batch #position #position"],
    heads: int,
    epsilon: float,
    depth: int,
) -> list[Layer]:
    """Shared encoder: the same block, `depth` times.

    Raises ValueError for a depth below 1. (Lan et al. 2020, section 3.1)
    """
    check_at_least("depth", depth, 1)
    layers = []
    for _ in range(depth):
        layer = encoder_block_tanh(x, params.block, mask, heads, epsilon)
        layers.append(layer)
        x = layer.hidden
    return layers


@checked
@dataclass(frozen=True, eq=False)
class Albert:
    """ALBERT: the narrow tables, their projection, and one block."""

    embedding: AlbertEmbedding
    encoder: SharedEncoder


@checked
def albert(
    ids: Int[Array, "*batch position"],
    segments: Int[Array, "*batch position"],
    mask: Bool[Array, "*#batch #position #position"],
    params: Albert,
    heads: int,
    epsilon: float,
    depth: int,
) -> tuple[Float[Array, "*batch position d_model"], list[Layer]]:
    """ALBERT: the tokens as they enter the block, and every layer.

    `mask` is as for `bert`. Raises ValueError as `bert_embedding` does.
    """
    x = albert_embedding(ids, segments, params.embedding, epsilon)
    layers = shared_encoder(x, params.encoder, mask, heads, epsilon, depth)
    return x, layers


@checked
def masked_language_head_tanh(
    x: Float[Array, "*batch position d_model"],
    params: MaskedLanguageHead,
    epsilon: float,
) -> Float[Array, "*batch position vocabulary"]:
    """Masked-language head with the GELU of `encoder_block_tanh`.

    Its first layer leads back to d_embedding, because the narrow table
    decodes.
    """
    dense = linear(x, params.dense)
    activated = gelu_tanh(dense)
    normed = layer_norm(activated, params.norm, epsilon)
    logits = linear(normed, params.decoder)
    return logits
