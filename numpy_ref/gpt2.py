"""GPT-2: every token sees itself and those before (Radford et al. 2019).

Axes: `d_model` counts the features of a token, `d_head` those of a head,
`head` the heads. What a reader of the model may want to see, layer by
layer, is returned in the open (`Layer`). `key_value_cache` has the form
that writes one token after the other; `gpt2_training` the one that
learns, with the gradients of the whole; `gpt2_checkpoint` reads the
weights of a real one.
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from .attention import attention_scores, masked_softmax
from .bert import Layer
from .checked import checked
from .embeddings import InputEmbedding, input_embedding
from .layers import (
    FeedForward,
    LayerNorm,
    gelu_tanh,
    gelu_tanh_backward,
    layer_norm,
    linear,
    linear_backward,
)
from .masks import causal_mask
from .multi_head import MultiHeadAttention, merge_heads, split_heads


@checked
def feed_forward_tanh(
    x: Float[Array, "*batch d_model"],
    params: FeedForward,
) -> Float[Array, "*batch d_model"]:
    r"""`feed_forward` with the other form of GELU.

    $Y = \operatorname{gelu}(X W_1^\top + b_1) W_2^\top + b_2$
    """
    inner = linear(x, params.inner)
    activated = gelu_tanh(inner)
    y = linear(activated, params.output)
    return y


@checked
def feed_forward_tanh_backward(
    d_y: Float[Array, "*batch d_model"],
    x: Float[Array, "*batch d_model"],
    params: FeedForward,
) -> tuple[Float[Array, "*batch d_model"], FeedForward]:
    """That of `feed_forward`, with the other form of GELU."""
    inner = linear(x, params.inner)
    activated = gelu_tanh(inner)
    d_activated, d_params_output = linear_backward(
        d_y, activated, params.output
    )
    d_inner = gelu_tanh_backward(d_activated, inner)
    d_x, d_params_inner = linear_backward(d_inner, x, params.inner)
    d_params = FeedForward(d_params_inner, d_params_output)
    return d_x, d_params


@checked
@dataclass(frozen=True, eq=False)
class DecoderBlock:
    """Attention and a feed-forward layer, each with a norm before it."""

    attention_norm: LayerNorm
    attention: MultiHeadAttention
    feed_forward_norm: LayerNorm
    feed_forward: FeedForward


@checked
def decoder_block(
    x: Float[Array, "*batch position d_model"],
    params: DecoderBlock,
    mask: Bool[Array, "*#batch #position #position"],
    heads: int,
    epsilon: float,
) -> Layer:
    r"""Norm and attend, norm and think; each time add to what came in.

    $H = X + \operatorname{attention}(\operatorname{norm}(X))$,
    $Y = H + \operatorname{feedforward}(\operatorname{norm}(H))$
    (Radford et al. 2019, section 2.3)

    So there is a way from the first block to the last on which nothing
    is normed. The attention is that of `multi_head_attention`, with its
    parts in the open.
    """
    normed = layer_norm(x, params.attention_norm, epsilon)
    query = split_heads(linear(normed, params.attention.query), heads)
    key = split_heads(linear(normed, params.attention.key), heads)
    value = split_heads(linear(normed, params.attention.value), heads)
    head_mask = mask[..., None, :, :]
    weights = masked_softmax(attention_scores(query, key), head_mask)
    context = weights @ value
    merged = merge_heads(context)
    attended = x + linear(merged, params.attention.output)
    ready = layer_norm(attended, params.feed_forward_norm, epsilon)
    hidden = attended + feed_forward_tanh(ready, params.feed_forward)
    layer = Layer(query, key, value, weights, hidden)
    return layer


@checked
@dataclass(frozen=True, eq=False)
class Decoder:
    """Blocks of one size, one after the other."""

    blocks: tuple[DecoderBlock, ...]


@checked
def decoder(
    x: Float[Array, "*batch position d_model"],
    params: Decoder,
    mask: Bool[Array, "*#batch #position #position"],
    heads: int,
    epsilon: float,
) -> list[Layer]:
    """What each block computed, from the tokens after the one before."""
    layers = []
    for block in params.blocks:
        layer = decoder_block(x, block, mask, heads, epsilon)
        layers.append(layer)
        x = layer.hidden
    return layers


@checked
@dataclass(frozen=True, eq=False)
class Gpt2:
    """The tables, the blocks, and the norm after the last of them.

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
    r"""The tokens as they go in, every layer, and what may come next.

    $\text{logits} = \operatorname{norm}(Y) E^\top$, with $E$ the table of
    the token embedding: a token is likely when its row points where the
    output does (Radford et al. 2018, section 3.1, equation 2).

    The logits at a position are those of the token after it. A text that
    is shorter than its array may have any tokens after its end: nothing
    before sees them. Raises ValueError for an id that the table does not
    have, and for more positions than there are.
    """
    x = input_embedding(ids, params.embedding)
    mask = causal_mask(ids.shape[-1], ids.shape[-1])
    layers = decoder(x, params.decoder, mask, heads, epsilon)
    normed = layer_norm(layers[-1].hidden, params.norm, epsilon)
    logits = normed @ params.embedding.token.weight.swapaxes(-2, -1)
    return x, layers, logits
