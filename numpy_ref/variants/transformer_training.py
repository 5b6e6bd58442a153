r"""Training form of the transformer: its loss, and all gradients.

The decoder gets the target up to a token and is asked for that token, at
all positions at once ("teacher forcing"): its input is the target one
place to the right, behind a token that begins it.

The decoder's blocks all look at the same source, so the encoder's gradient
is the sum of theirs. Of the forward pass only what stands between the
sublayers is kept; the rest is computed again. Axes as in `transformer`.
"""

import numpy as np
from jaxtyping import Bool, Int
from numpy import floating as Scalar
from numpy import ndarray as Array

from ..checked import checked
from ..embeddings import TokenEmbedding
from ..masks import causal_mask
from .label_smoothing import (
    smoothed_cross_entropy,
    smoothed_cross_entropy_backward,
)
from .projection import Projection, projection_backward
from .transformer import (
    Transformer,
    TransformerDecoder,
    TransformerEmbedding,
    TransformerEncoder,
    transformer_decoder,
    transformer_decoder_block_backward,
    transformer_embedding,
    transformer_embedding_backward,
    transformer_encoder,
    transformer_encoder_block_backward,
)


@checked
def transformer_loss(
    source_ids: Int[Array, "*batch source"],
    target_ids: Int[Array, "*batch position"],
    targets: Int[Array, "*batch position"],
    source_mask: Bool[Array, "*batch source"],
    params: Transformer,
    smoothing: float,
    heads: int,
    epsilon: float,
    ignored: int,
) -> Scalar:
    """Smoothed cross-entropy of the transformer.

    `target_ids` are what the decoder reads, `targets` what it is asked
    for, `ignored` where nothing is. Raises ValueError as `transformer`
    and `smoothed_cross_entropy` do.
    """
    keys = source_mask[..., None, :]
    source_x = transformer_embedding(source_ids, params.embedding)
    encoder_layers = transformer_encoder(
        source_x, params.encoder, keys, heads, epsilon
    )
    source = encoder_layers[-1].hidden
    x = transformer_embedding(target_ids, params.embedding)
    mask = causal_mask(target_ids.shape[-1], target_ids.shape[-1])
    decoder_layers = transformer_decoder(
        x, source, params.decoder, mask, keys, heads, epsilon
    )
    hidden = decoder_layers[-1].hidden
    table = params.embedding.token.weight
    logits = hidden @ table.swapaxes(-2, -1)
    loss = smoothed_cross_entropy(logits, targets, smoothing, ignored)
    return loss


@checked
def transformer_loss_backward(
    d_loss: Scalar,
    source_ids: Int[Array, "*batch source"],
    target_ids: Int[Array, "*batch position"],
    targets: Int[Array, "*batch position"],
    source_mask: Bool[Array, "*batch source"],
    params: Transformer,
    smoothing: float,
    heads: int,
    epsilon: float,
    ignored: int,
) -> tuple[Scalar, Transformer]:
    r"""Gradient of the loss for every parameter; the loss comes with it.

    Back through the decoder, which gives the source its gradient, then
    through the encoder. The table is used three times, so its gradient is
    a sum: of the source's tokens, of the target's, and of the output,
    $d\text{logits}^\top Y$.
    """
    keys = source_mask[..., None, :]
    source_x = transformer_embedding(source_ids, params.embedding)
    encoder_layers = transformer_encoder(
        source_x, params.encoder, keys, heads, epsilon
    )
    source = encoder_layers[-1].hidden
    x = transformer_embedding(target_ids, params.embedding)
    mask = causal_mask(target_ids.shape[-1], target_ids.shape[-1])
    decoder_layers = transformer_decoder(
        x, source, params.decoder, mask, keys, heads, epsilon
    )
    hidden = decoder_layers[-1].hidden
    table = params.embedding.token.weight
    logits = hidden @ table.swapaxes(-2, -1)
    loss = smoothed_cross_entropy(logits, targets, smoothing, ignored)
    d_logits = smoothed_cross_entropy_backward(
        d_loss, logits, targets, smoothing, ignored
    )
    d_hidden, as_output = projection_backward(
        d_logits, hidden, Projection(table)
    )
    d_x, d_source, d_params_decoder = _back_through_decoder(
        *(d_hidden, decoder_layers, x, source, params.decoder),
        *(mask, keys, heads, epsilon),
    )
    d_source_x, d_params_encoder = _back_through_encoder(
        *(d_source, encoder_layers, source_x, params.encoder),
        *(keys, heads, epsilon),
    )
    as_source = transformer_embedding_backward(
        d_source_x, source_ids, params.embedding
    )
    as_target = transformer_embedding_backward(
        d_x, target_ids, params.embedding
    )
    as_input = as_source.token.weight + as_target.token.weight
    d_table = as_input + as_output.weight
    d_embedding = TransformerEmbedding(TokenEmbedding(d_table))
    d_params = Transformer(d_embedding, d_params_encoder, d_params_decoder)
    return loss, d_params


def _back_through_decoder(
    d_x, layers, x, source, params, mask, keys, heads, epsilon
):
    """Gradient of the decoder: of its input, its source, and each block."""
    block_inputs = [x, *(layer.hidden for layer in layers)]
    d_source, d_blocks = np.zeros_like(source), []
    for index in reversed(range(len(params.blocks))):
        layer = layers[index]
        d_x, through_block, d_block = transformer_decoder_block_backward(
            *(d_x, layer.after_attention, layer.after_cross_attention),
            *(block_inputs[index], source, params.blocks[index]),
            *(mask, keys, heads, epsilon),
        )
        d_source = d_source + through_block
        d_blocks.insert(0, d_block)
    return d_x, d_source, TransformerDecoder(tuple(d_blocks))


def _back_through_encoder(d_x, layers, x, params, keys, heads, epsilon):
    """Gradient of the encoder: of its input, and of each block."""
    block_inputs = [x, *(layer.hidden for layer in layers)]
    d_blocks = []
    for index in reversed(range(len(params.blocks))):
        d_x, d_block = transformer_encoder_block_backward(
            *(d_x, layers[index].after_attention, block_inputs[index]),
            *(params.blocks[index], keys, heads, epsilon),
        )
        d_blocks.insert(0, d_block)
    return d_x, TransformerEncoder(tuple(d_blocks))
