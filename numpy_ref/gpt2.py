"""GPT-2: every token sees itself and those before (Radford et al. 2019).

Axes: `d_model` counts the features of a token, `d_head` those of a head,
`head` the heads. What a reader of the model may want to see, layer by
layer, is returned in the open (`Layer`). `padded_gpt2` takes texts of
different lengths in one array. `key_value_cache` has the form that writes
one token after the other; `gpt2_training` the one that learns, with the
gradients of the whole; `checkpoints.gpt2` reads the weights of a real one.
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from .bert import Layer
from .checked import checked
from .embeddings import (
    InputEmbedding,
    input_embedding,
    position_embedding,
    token_embedding,
)
from .layers import LayerNorm, layer_norm
from .masks import causal_mask, causal_padding_mask, positions_of_mask
from .sublayers import (
    AttentionSublayer,
    FeedForwardSublayer,
    attention_sublayer,
    feed_forward_sublayer,
)


@checked
@dataclass(frozen=True, eq=False)
class DecoderBlock:
    """Decoder block: residual attention, then a feed-forward network."""

    attention_sublayer: AttentionSublayer
    feed_forward_sublayer: FeedForwardSublayer


@checked
def decoder_block(
    x: Float[Array, "*batch position d_model"],
    params: DecoderBlock,
    mask: Bool[Array, "*#batch #position #position"],
    heads: int,
    epsilon: float,
) -> Layer:
    r"""Decoder block, pre-norm: attend, then think.

    $H = X + \operatorname{attention}(\operatorname{norm}(X))$,
    $Y = H + \operatorname{feedforward}(\operatorname{norm}(H))$
    (Radford et al. 2019, section 2.3)

    So there is a way from the first block to the last on which nothing
    is normed.
    """
    after_attention, attention = attention_sublayer(
        x, params.attention_sublayer, mask, heads, epsilon
    )
    hidden = feed_forward_sublayer(
        after_attention, params.feed_forward_sublayer, epsilon
    )
    layer = Layer(*attention[:4], hidden)
    return layer


@checked
@dataclass(frozen=True, eq=False)
class Decoder:
    """Decoder: blocks of one size, one after the other."""

    blocks: tuple[DecoderBlock, ...]


@checked
def decoder(
    x: Float[Array, "*batch position d_model"],
    params: Decoder,
    mask: Bool[Array, "*#batch #position #position"],
    heads: int,
    epsilon: float,
) -> list[Layer]:
    """Decoder: each block computes from what the one before has left."""
    layers = []
    for block in params.blocks:
        layer = decoder_block(x, block, mask, heads, epsilon)
        layers.append(layer)
        x = layer.hidden
    return layers


@checked
@dataclass(frozen=True, eq=False)
class Gpt2:
    """GPT-2: the tables, the blocks, and the norm after the last of them.

    There is no more: the table of the tokens is also the way back to
    them.
    """

    embedding: InputEmbedding
    decoder: Decoder
    norm: LayerNorm


@checked
def gpt2(
    ids: Int[Array, "*batch position"],
    params: Gpt2,
    heads: int,
    epsilon: float,
) -> tuple[
    Float[Array, "*batch position d_model"],
    list[Layer],
    Float[Array, "*batch position vocabulary"],
]:
    r"""GPT-2: the tokens as they go in, every layer, and next-token logits.

    $\text{logits} = \operatorname{norm}(Y) E^\top$, with $E$ the table of
    the token embedding: a token is likely when its row points where the
    output does (Radford et al. 2018, section 3.1, equation 2).

    The logits at a position are those of the token after it. A text that
    is shorter than its array may have any tokens after its end: nothing
    before sees them; `padded_gpt2` takes padding before it, too. Raises
    ValueError for an id that the table does not have, and for more
    positions than there are.
    """
    x = input_embedding(ids, params.embedding)
    mask = causal_mask(ids.shape[-1], ids.shape[-1])
    layers = decoder(x, params.decoder, mask, heads, epsilon)
    normed = layer_norm(layers[-1].hidden, params.norm, epsilon)
    logits = normed @ params.embedding.token.weight.swapaxes(-2, -1)
    return x, layers, logits


@checked
def padded_gpt2(
    ids: Int[Array, "*batch position"],
    attention_mask: Bool[Array, "*batch position"],
    params: Gpt2,
    heads: int,
    epsilon: float,
) -> tuple[
    Float[Array, "*batch position d_model"],
    list[Layer],
    Float[Array, "*batch position vocabulary"],
]:
    """GPT-2 for padded texts: each token as if its text stood alone.

    `attention_mask` is True for the tokens of a text, False for padding,
    before it or after it. What stands there may be any token; what is
    returned there means nothing. Raises ValueError as `gpt2` does, but a
    text's positions are those of its own tokens.
    """
    positions = positions_of_mask(attention_mask)
    token_embeddings = token_embedding(ids, params.embedding.token)
    position_embeddings = position_embedding(
        positions, params.embedding.position
    )
    x = token_embeddings + position_embeddings
    mask = causal_padding_mask(attention_mask)
    layers = decoder(x, params.decoder, mask, heads, epsilon)
    normed = layer_norm(layers[-1].hidden, params.norm, epsilon)
    logits = normed @ params.embedding.token.weight.swapaxes(-2, -1)
    return x, layers, logits
