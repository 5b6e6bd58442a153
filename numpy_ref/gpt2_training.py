r"""GPT-2 while it learns: with dropout, up to the loss, and all gradients.

The steps are those of `gpt2`. Dropout stands where GPT-2 has it: after the
embedding, on the attention's weights, and on what attention and
feed-forward layer add. Where nothing is dropped (`keep` all True, `rate`
0), these are `gpt2` and its loss.

Of the way there only what came into each block is kept; when its gradient
is asked for, a block computes the rest again (Chen et al. 2016, section
4.1). Axes as in `gpt2`, and `layers` counts the blocks.
"""

from jaxtyping import Bool, Float, Int
from numpy import floating as Scalar
from numpy import ndarray as Array

from .attention import (
    attention_scores,
    attention_scores_backward,
    masked_softmax,
)
from .checked import checked
from .embeddings import (
    InputEmbedding,
    TokenEmbedding,
    input_embedding,
    input_embedding_backward,
)
from .gpt2 import Decoder, DecoderBlock, Gpt2
from .layers import (
    FeedForward,
    dropout,
    dropout_backward,
    gelu_tanh,
    gelu_tanh_backward,
    layer_norm,
    layer_norm_backward,
    linear,
    linear_backward,
)
from .loss import cross_entropy, cross_entropy_backward
from .masks import causal_mask
from .multi_head import (
    MultiHeadAttention,
    merge_heads,
    merge_heads_backward,
    split_heads,
)


@checked
def decoder_block_with_dropout(
    x: Float[Array, "*batch position d_model"],
    params: DecoderBlock,
    mask: Bool[Array, "*#batch #position #position"],
    keep_weights: Bool[Array, "*#batch #head #position #position"],
    keep_found: Bool[Array, "*#batch #position #d_model"],
    keep_fed: Bool[Array, "*#batch #position #d_model"],
    rate: float,
    heads: int,
    epsilon: float,
) -> Float[Array, "*batch position d_model"]:
    r"""`decoder_block`, with dropout in three places.

    $H = X + \operatorname{dropout}(\operatorname{attention}
    (\operatorname{norm}(X)))$,
    $Y = H + \operatorname{dropout}(\operatorname{feedforward}
    (\operatorname{norm}(H)))$, the third inside of the attention:
    $O = \operatorname{dropout}(A) V$
    """
    normed = layer_norm(x, params.attention_norm, epsilon)
    query = split_heads(linear(normed, params.attention.query), heads)
    key = split_heads(linear(normed, params.attention.key), heads)
    value = split_heads(linear(normed, params.attention.value), heads)
    head_mask = mask[..., None, :, :]
    scores = attention_scores(query, key)
    weights = masked_softmax(scores, head_mask)
    dropped = dropout(weights, keep_weights, rate)
    context = dropped @ value
    merged = merge_heads(context)
    found = linear(merged, params.attention.output)
    attended = x + dropout(found, keep_found, rate)
    ready = layer_norm(attended, params.feed_forward_norm, epsilon)
    inner = linear(ready, params.feed_forward.inner)
    activated = gelu_tanh(inner)
    fed = linear(activated, params.feed_forward.output)
    hidden = attended + dropout(fed, keep_fed, rate)
    return hidden


@checked
def decoder_block_with_dropout_backward(
    d_hidden: Float[Array, "*batch position d_model"],
    x: Float[Array, "*batch position d_model"],
    params: DecoderBlock,
    mask: Bool[Array, "*#batch #position #position"],
    keep_weights: Bool[Array, "*#batch #head #position #position"],
    keep_found: Bool[Array, "*#batch #position #d_model"],
    keep_fed: Bool[Array, "*#batch #position #d_model"],
    rate: float,
    heads: int,
    epsilon: float,
) -> tuple[Float[Array, "*batch position d_model"], DecoderBlock]:
    r"""What is added passes a gradient on, to both of its parts.

    $dH = dY + \text{through the feed-forward layer}$,
    $dX = dH + \text{through the attention}$
    """
    normed = layer_norm(x, params.attention_norm, epsilon)
    query = split_heads(linear(normed, params.attention.query), heads)
    key = split_heads(linear(normed, params.attention.key), heads)
    value = split_heads(linear(normed, params.attention.value), heads)
    head_mask = mask[..., None, :, :]
    scores = attention_scores(query, key)
    weights = masked_softmax(scores, head_mask)
    dropped = dropout(weights, keep_weights, rate)
    context = dropped @ value
    merged = merge_heads(context)
    found = linear(merged, params.attention.output)
    attended = x + dropout(found, keep_found, rate)
    ready = layer_norm(attended, params.feed_forward_norm, epsilon)
    inner = linear(ready, params.feed_forward.inner)
    activated = gelu_tanh(inner)
    fed = linear(activated, params.feed_forward.output)

    d_fed = dropout_backward(d_hidden, fed, keep_fed, rate)
    d_activated, d_params_fed = linear_backward(
        d_fed, activated, params.feed_forward.output
    )
    d_inner = gelu_tanh_backward(d_activated, inner)
    d_ready, d_params_inner = linear_backward(
        d_inner, ready, params.feed_forward.inner
    )
    as_ready, d_params_feed_forward_norm = layer_norm_backward(
        d_ready, attended, params.feed_forward_norm, epsilon
    )
    d_attended = d_hidden + as_ready
    d_found = dropout_backward(d_attended, found, keep_found, rate)
    d_merged, d_params_found = linear_backward(
        d_found, merged, params.attention.output
    )
    d_context = merge_heads_backward(d_merged, context)
    d_value = dropped.swapaxes(-2, -1) @ d_context
    d_dropped = d_context @ value.swapaxes(-2, -1)
    d_weights = dropout_backward(d_dropped, weights, keep_weights, rate)
    # `masked_softmax_backward`, with the weights that are here already.
    mean = (weights * d_weights).sum(axis=-1, keepdims=True)
    d_scores = weights * (d_weights - mean)
    d_query, d_key = attention_scores_backward(d_scores, query, key)
    as_query, d_params_query = linear_backward(
        merge_heads(d_query), normed, params.attention.query
    )
    as_key, d_params_key = linear_backward(
        merge_heads(d_key), normed, params.attention.key
    )
    as_value, d_params_value = linear_backward(
        merge_heads(d_value), normed, params.attention.value
    )
    d_normed = as_query + as_key + as_value
    as_normed, d_params_attention_norm = layer_norm_backward(
        d_normed, x, params.attention_norm, epsilon
    )
    d_x = d_attended + as_normed
    d_params = DecoderBlock(
        attention_norm=d_params_attention_norm,
        attention=MultiHeadAttention(
            d_params_query, d_params_key, d_params_value, d_params_found
        ),
        feed_forward_norm=d_params_feed_forward_norm,
        feed_forward=FeedForward(d_params_inner, d_params_fed),
    )
    return d_x, d_params


@checked
def decoder_with_dropout(
    x: Float[Array, "*batch position d_model"],
    params: Decoder,
    mask: Bool[Array, "*#batch #position #position"],
    keep_weights: Bool[Array, "layers *#batch #head #position #position"],
    keep_found: Bool[Array, "layers *#batch #position #d_model"],
    keep_fed: Bool[Array, "layers *#batch #position #d_model"],
    rate: float,
    heads: int,
    epsilon: float,
) -> list[Float[Array, "*batch position d_model"]]:
    """The tokens after each block; each block has choices of its own."""
    hidden = []
    for number, block in enumerate(params.blocks):
        x = decoder_block_with_dropout(
            x,
            block,
            mask,
            keep_weights[number],
            keep_found[number],
            keep_fed[number],
            rate,
            heads,
            epsilon,
        )
        hidden.append(x)
    return hidden


@checked
def gpt2_loss(
    ids: Int[Array, "*batch position"],
    targets: Int[Array, "*batch position"],
    params: Gpt2,
    keep_embedded: Bool[Array, "*#batch #position #d_model"],
    keep_weights: Bool[Array, "layers *#batch #head #position #position"],
    keep_found: Bool[Array, "layers *#batch #position #d_model"],
    keep_fed: Bool[Array, "layers *#batch #position #d_model"],
    rate: float,
    heads: int,
    epsilon: float,
    ignored: int,
) -> Scalar:
    """How surprised the model is by the targets, with dropout.

    Raises ValueError as `gpt2` and `cross_entropy` do.
    """
    embedded = input_embedding(ids, params.embedding)
    x = dropout(embedded, keep_embedded, rate)
    mask = causal_mask(ids.shape[-1], ids.shape[-1])
    hidden = decoder_with_dropout(
        x,
        params.decoder,
        mask,
        keep_weights,
        keep_found,
        keep_fed,
        rate,
        heads,
        epsilon,
    )
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
    keep_embedded: Bool[Array, "*#batch #position #d_model"],
    keep_weights: Bool[Array, "layers *#batch #head #position #position"],
    keep_found: Bool[Array, "layers *#batch #position #d_model"],
    keep_fed: Bool[Array, "layers *#batch #position #d_model"],
    rate: float,
    heads: int,
    epsilon: float,
    ignored: int,
) -> tuple[Scalar, Gpt2]:
    r"""The loss, found on the way, and the gradient of every parameter.

    $d\text{logits}$ go back through the norm, the blocks from the last to
    the first, and the embedding. The table of the tokens is used twice,
    at both ends, so its gradient is a sum:
    $dE = d\text{logits}^\top \operatorname{norm}(Y) + H^\top dX$, with H
    the one-hot rows of the ids.
    """
    embedded = input_embedding(ids, params.embedding)
    x = dropout(embedded, keep_embedded, rate)
    mask = causal_mask(ids.shape[-1], ids.shape[-1])
    choices = (keep_weights, keep_found, keep_fed)
    hidden = decoder_with_dropout(
        x, params.decoder, mask, *choices, rate, heads, epsilon
    )
    last = hidden[-1]
    normed = layer_norm(last, params.norm, epsilon)
    table = params.embedding.token.weight
    logits = normed @ table.swapaxes(-2, -1)
    loss = cross_entropy(logits, targets, ignored)

    d_logits = cross_entropy_backward(d_loss, logits, targets, ignored)
    d_normed = d_logits @ table
    d_last, d_params_norm = layer_norm_backward(
        d_normed, last, params.norm, epsilon
    )
    came_in = [x, *hidden[:-1]]
    d_x, d_params_decoder = _back_through_blocks(
        d_last, came_in, params, mask, choices, rate, heads, epsilon
    )
    d_embedded = dropout_backward(d_x, embedded, keep_embedded, rate)
    as_input = input_embedding_backward(d_embedded, ids, params.embedding)
    upstream = d_logits.reshape(-1, d_logits.shape[-1])
    as_head = upstream.T @ normed.reshape(-1, normed.shape[-1])
    d_table = as_input.token.weight + as_head
    d_params = Gpt2(
        InputEmbedding(TokenEmbedding(d_table), as_input.position),
        d_params_decoder,
        d_params_norm,
    )
    return loss, d_params


def _back_through_blocks(
    d_last, came_in, params, mask, choices, rate, heads, epsilon
):
    """The gradient of what came into the first block, and the blocks'."""
    d_x, d_blocks = d_last, []
    for number in reversed(range(len(came_in))):
        d_x, d_block = decoder_block_with_dropout_backward(
            d_x,
            came_in[number],
            params.decoder.blocks[number],
            mask,
            *(keep[number] for keep in choices),
            rate,
            heads,
            epsilon,
        )
        d_blocks.insert(0, d_block)
    return d_x, Decoder(tuple(d_blocks))
