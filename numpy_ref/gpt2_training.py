r"""Training form of GPT-2: with dropout, up to the loss, all gradients.

The steps are those of `gpt2`. Dropout stands where GPT-2 has it: after the
embedding, on the attention's weights, and on what attention and
feed-forward network add. Where nothing is dropped (masks all True, `rate`
0), these are `gpt2` and its loss.

Of the forward pass only what came into each sublayer is kept; for its
gradient a sublayer computes the rest again (gradient checkpointing, Chen
et al. 2016, section 4.1). Axes as in `gpt2`.
"""

from typing import NamedTuple

from jaxtyping import Bool, Float, Int
from numpy import floating as Scalar
from numpy import ndarray as Array

from .checked import checked
from .embeddings import (
    InputEmbedding,
    TokenEmbedding,
    input_embedding,
    input_embedding_backward,
)
from .gpt2 import Decoder, DecoderBlock, Gpt2
from .layers import (
    dropout,
    dropout_backward,
    layer_norm,
    layer_norm_backward,
)
from .loss import cross_entropy, cross_entropy_backward
from .masks import causal_mask
from .sublayers import (
    DropoutMasks,
    attention_sublayer_with_dropout,
    attention_sublayer_with_dropout_backward,
    feed_forward_sublayer_with_dropout,
    feed_forward_sublayer_with_dropout_backward,
)


@checked
def decoder_block_with_dropout(
    x: Float[Array, "*batch position d_model"],
    params: DecoderBlock,
    mask: Bool[Array, "*#batch #position #position"],
    dropout_masks: DropoutMasks,
    rate: float,
    heads: int,
    epsilon: float,
) -> tuple[
    Float[Array, "*batch position d_model"],
    Float[Array, "*batch position d_model"],
]:
    """Decoder block with dropout in both sublayers.

    It returns what came into the second one, too, for its gradient.
    """
    after_attention = attention_sublayer_with_dropout(
        *(x, params.attention_sublayer, mask, dropout_masks),
        *(rate, heads, epsilon),
    )
    hidden = feed_forward_sublayer_with_dropout(
        *(after_attention, params.feed_forward_sublayer, dropout_masks),
        *(rate, epsilon),
    )
    return hidden, after_attention


@checked
def decoder_block_with_dropout_backward(
    d_hidden: Float[Array, "*batch position d_model"],
    after_attention: Float[Array, "*batch position d_model"],
    x: Float[Array, "*batch position d_model"],
    params: DecoderBlock,
    mask: Bool[Array, "*#batch #position #position"],
    dropout_masks: DropoutMasks,
    rate: float,
    heads: int,
    epsilon: float,
) -> tuple[Float[Array, "*batch position d_model"], DecoderBlock]:
    """Gradient of the block: through its sublayers, the last one first."""
    d_after_attention, d_params_feed_forward = (
        feed_forward_sublayer_with_dropout_backward(
            *(d_hidden, after_attention, params.feed_forward_sublayer),
            *(dropout_masks, rate, epsilon),
        )
    )
    d_x, d_params_attention = attention_sublayer_with_dropout_backward(
        *(d_after_attention, x, params.attention_sublayer, mask),
        *(dropout_masks, rate, heads, epsilon),
    )
    d_params = DecoderBlock(d_params_attention, d_params_feed_forward)
    return d_x, d_params


@checked
def decoder_with_dropout(
    x: Float[Array, "*batch position d_model"],
    params: Decoder,
    mask: Bool[Array, "*#batch #position #position"],
    dropout_masks: tuple[DropoutMasks, ...],
    rate: float,
    heads: int,
    epsilon: float,
) -> tuple[
    list[Float[Array, "*batch position d_model"]],
    list[Float[Array, "*batch position d_model"]],
]:
    """Decoder with dropout: the tokens after each block, and within it."""
    hidden, after_attention = [], []
    for block, block_masks in zip(
        params.blocks, dropout_masks, strict=True
    ):
        x, within = decoder_block_with_dropout(
            x, block, mask, block_masks, rate, heads, epsilon
        )
        hidden.append(x)
        after_attention.append(within)
    return hidden, after_attention


class Gpt2DropoutMasks(NamedTuple):
    """Dropout masks of the embedded tokens, and of each block."""

    embedded: Bool[Array, "*#batch #position #d_model"]
    blocks: tuple[DropoutMasks, ...]


@checked
def gpt2_loss(
    ids: Int[Array, "*batch position"],
    targets: Int[Array, "*batch position"],
    params: Gpt2,
    dropout_masks: Gpt2DropoutMasks,
    rate: float,
    heads: int,
    epsilon: float,
    ignored: int,
) -> Scalar:
    """Cross-entropy loss of GPT-2: how surprised it is by the targets.

    Raises ValueError as `gpt2` and `cross_entropy` do.
    """
    embedded = input_embedding(ids, params.embedding)
    x = dropout(embedded, dropout_masks.embedded, rate)
    mask = causal_mask(ids.shape[-1], ids.shape[-1])
    hidden = decoder_with_dropout(
        x, params.decoder, mask, dropout_masks.blocks, rate, heads, epsilon
    )[0]
    last = hidden[-1]
    normed = layer_norm(last, params.norm, epsilon)
    table = params.embedding.token.weight
    logits = normed @ table.swapaxes(-2, -1)
    loss = cross_entropy(logits, targets, ignored)
    return loss


@checked
def gpt2_loss_backward(
    d_loss: Scalar,
    ids: Int[Array, "*batch position"],
    targets: Int[Array, "*batch position"],
    params: Gpt2,
    dropout_masks: Gpt2DropoutMasks,
    rate: float,
    heads: int,
    epsilon: float,
    ignored: int,
) -> tuple[Scalar, Gpt2]:
    r"""Gradient of the loss for every parameter; the loss comes with it.

    $d\text{logits}$ go back through the norm, the blocks from the last to
    the first, and the embedding. The table of the tokens is used twice,
    at both ends, so its gradient is a sum:
    $dE = d\text{logits}^\top \operatorname{norm}(Y) + H^\top dX$, with H
    the one-hot rows of the ids.
    """
    embedded_mask, block_masks = dropout_masks
    embedded = input_embedding(ids, params.embedding)
    x = dropout(embedded, embedded_mask, rate)
    mask = causal_mask(ids.shape[-1], ids.shape[-1])
    hidden, after_attention = decoder_with_dropout(
        x, params.decoder, mask, block_masks, rate, heads, epsilon
    )
    normed = layer_norm(hidden[-1], params.norm, epsilon)
    logits = normed @ params.embedding.token.weight.swapaxes(-2, -1)
    loss = cross_entropy(logits, targets, ignored)
    d_logits = cross_entropy_backward(d_loss, logits, targets, ignored)
    d_normed = d_logits @ params.embedding.token.weight
    d_last, d_params_norm = layer_norm_backward(
        d_normed, hidden[-1], params.norm, epsilon
    )
    d_x, d_params_decoder = _back_through_blocks(
        *(d_last, (x, hidden, after_attention), params.decoder, mask),
        *(block_masks, rate, heads, epsilon),
    )
    d_embedded = dropout_backward(d_x, embedded, embedded_mask, rate)
    as_input = input_embedding_backward(d_embedded, ids, params.embedding)
    d_table = as_input.token.weight + _over_tokens(d_logits, normed)
    d_embedding = InputEmbedding(TokenEmbedding(d_table), as_input.position)
    d_params = Gpt2(d_embedding, d_params_decoder, d_params_norm)
    return loss, d_params


def _back_through_blocks(
    d_x, states, params, mask, block_masks, rate, heads, epsilon
):
    """Gradient of the decoder: of its input, and of each block."""
    x, hidden, after_attention = states
    block_inputs = [x, *hidden]
    d_blocks = []
    for index in reversed(range(len(params.blocks))):
        d_x, d_block = decoder_block_with_dropout_backward(
            *(d_x, after_attention[index], block_inputs[index]),
            *(params.blocks[index], mask, block_masks[index]),
            *(rate, heads, epsilon),
        )
        d_blocks.insert(0, d_block)
    return d_x, Decoder(tuple(d_blocks))


def _over_tokens(d_logits, normed):
    """Gradient of the table as the output layer: a sum over all tokens."""
    upstream = d_logits.reshape(-1, d_logits.shape[-1])
    return upstream.T @ normed.reshape(-1, normed.shape[-1])
