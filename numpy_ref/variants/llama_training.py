r"""Training form of Llama: up to the loss, and all gradients.

The steps are those of `llama`; nothing is dropped, as in all models of
its kind. Of the forward pass only what came into each sublayer is kept;
for its gradient a sublayer computes the rest again (gradient
checkpointing, Chen et al. 2016, section 4.1). The output layer learns
apart from the table of tokens, as in Llama (the embeddings are untied).
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import floating as Scalar
from numpy import ndarray as Array

from ..checked import checked
from ..embeddings import token_embedding, token_embedding_backward
from ..loss import cross_entropy, cross_entropy_backward
from ..masks import causal_mask
from .llama import (
    Llama,
    LlamaBlock,
    LlamaDecoder,
    llama_attention_sublayer,
    llama_attention_sublayer_backward,
    llama_feed_forward_sublayer,
    llama_feed_forward_sublayer_backward,
)
from .projection import projection, projection_backward
from .rms_norm import rms_norm, rms_norm_backward
from .rotary import rotary_tables


@checked
def trained_llama_block(
    x: Float[Array, "*batch position d_model"],
    params: LlamaBlock,
    mask: Bool[Array, "*#batch #position #position"],
    cosine: Float[Array, "position pair"],
    sine: Float[Array, "position pair"],
    heads: int,
    key_heads: int,
    epsilon: float,
) -> tuple[
    Float[Array, "*batch position d_model"],
    Float[Array, "*batch position d_model"],
]:
    """Llama's decoder block, and what came into its second sublayer."""
    after_attention = llama_attention_sublayer(
        *(x, params.attention_sublayer, mask, cosine, sine),
        *(heads, key_heads, epsilon),
    )[0]
    hidden = llama_feed_forward_sublayer(
        after_attention, params.feed_forward_sublayer, epsilon
    )
    return hidden, after_attention


@checked
def trained_llama_block_backward(
    d_hidden: Float[Array, "*batch position d_model"],
    after_attention: Float[Array, "*batch position d_model"],
    x: Float[Array, "*batch position d_model"],
    params: LlamaBlock,
    mask: Bool[Array, "*#batch #position #position"],
    cosine: Float[Array, "position pair"],
    sine: Float[Array, "position pair"],
    heads: int,
    key_heads: int,
    epsilon: float,
) -> tuple[Float[Array, "*batch position d_model"], LlamaBlock]:
    """Gradient of the block: through its sublayers, the last one first."""
    d_after_attention, d_params_feed_forward = (
        llama_feed_forward_sublayer_backward(
            *(d_hidden, after_attention, params.feed_forward_sublayer),
            epsilon,
        )
    )
    d_x, d_params_attention = llama_attention_sublayer_backward(
        *(d_after_attention, x, params.attention_sublayer, mask),
        *(cosine, sine, heads, key_heads, epsilon),
    )
    d_params = LlamaBlock(d_params_attention, d_params_feed_forward)
    return d_x, d_params


@checked
def trained_llama_decoder(
    x: Float[Array, "*batch position d_model"],
    params: LlamaDecoder,
    mask: Bool[Array, "*#batch #position #position"],
    cosine: Float[Array, "position pair"],
    sine: Float[Array, "position pair"],
    heads: int,
    key_heads: int,
    epsilon: float,
) -> tuple[
    list[Float[Array, "*batch position d_model"]],
    list[Float[Array, "*batch position d_model"]],
]:
    """Llama's decoder: the tokens after each block, and within it."""
    hidden, after_attention = [], []
    for block in params.blocks:
        x, within = trained_llama_block(
            *(x, block, mask, cosine, sine, heads, key_heads, epsilon)
        )
        hidden.append(x)
        after_attention.append(within)
    return hidden, after_attention


@checked
def llama_loss(
    ids: Int[Array, "*batch position"],
    targets: Int[Array, "*batch position"],
    params: Llama,
    heads: int,
    key_heads: int,
    d_head: int,
    base: float,
    epsilon: float,
    ignored: int,
) -> Scalar:
    """Cross-entropy loss of Llama: how surprised it is by the targets.

    Raises ValueError as `llama` and `cross_entropy` do.
    """
    x = token_embedding(ids, params.embedding)
    positions = np.arange(ids.shape[-1], dtype=x.dtype)
    cosine, sine = rotary_tables(positions, d_head, base)
    mask = causal_mask(ids.shape[-1], ids.shape[-1])
    hidden = trained_llama_decoder(
        *(x, params.decoder, mask, cosine, sine),
        *(heads, key_heads, epsilon),
    )[0]
    last = hidden[-1]
    normed = rms_norm(last, params.norm, epsilon)
    logits = projection(normed, params.output)
    loss = cross_entropy(logits, targets, ignored)
    return loss


@checked
def llama_loss_backward(
    d_loss: Scalar,
    ids: Int[Array, "*batch position"],
    targets: Int[Array, "*batch position"],
    params: Llama,
    heads: int,
    key_heads: int,
    d_head: int,
    base: float,
    epsilon: float,
    ignored: int,
) -> tuple[Scalar, Llama]:
    """Gradient of the loss for every parameter; the loss comes with it.

    Back through the output layer, the norm, the blocks from the last to
    the first, and the table of tokens.
    """
    x = token_embedding(ids, params.embedding)
    positions = np.arange(ids.shape[-1], dtype=x.dtype)
    cosine, sine = rotary_tables(positions, d_head, base)
    mask = causal_mask(ids.shape[-1], ids.shape[-1])
    hidden, after_attention = trained_llama_decoder(
        *(x, params.decoder, mask, cosine, sine),
        *(heads, key_heads, epsilon),
    )
    normed = rms_norm(hidden[-1], params.norm, epsilon)
    logits = projection(normed, params.output)
    loss = cross_entropy(logits, targets, ignored)
    d_logits = cross_entropy_backward(d_loss, logits, targets, ignored)
    d_normed, d_params_output = projection_backward(
        d_logits, normed, params.output
    )
    d_last, d_params_norm = rms_norm_backward(
        d_normed, hidden[-1], params.norm, epsilon
    )
    d_x, d_params_decoder = _back_through_blocks(
        *(d_last, (x, hidden, after_attention), params.decoder, mask),
        *(cosine, sine, heads, key_heads, epsilon),
    )
    d_params_embedding = token_embedding_backward(
        d_x, ids, params.embedding
    )
    d_params = Llama(
        *(d_params_embedding, d_params_decoder),
        *(d_params_norm, d_params_output),
    )
    return loss, d_params


def _back_through_blocks(
    d_x, states, params, mask, cosine, sine, heads, key_heads, epsilon
):
    """Gradient of the decoder: of its input, and of each block."""
    x, hidden, after_attention = states
    block_inputs = [x, *hidden]
    d_blocks = []
    for index in reversed(range(len(params.blocks))):
        d_x, d_block = trained_llama_block_backward(
            *(d_x, after_attention[index], block_inputs[index]),
            *(params.blocks[index], mask, cosine, sine),
            *(heads, key_heads, epsilon),
        )
        d_blocks.insert(0, d_block)
    return d_x, LlamaDecoder(tuple(d_blocks))
