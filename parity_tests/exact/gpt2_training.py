from parity_tests.bounds.gradients import over_tokens
from parity_tests.bounds.rounding import product

from .embeddings import input_embedding, input_embedding_backward
from .layers import (
    dropout,
    dropout_backward,
    layer_norm,
    layer_norm_backward,
)
from .loss import cross_entropy, cross_entropy_backward
from .numbers import parameters
from .self_attention import earlier
from .sublayers import (
    attention_sublayer_with_dropout,
    attention_sublayer_with_dropout_backward,
    feed_forward_sublayer_with_dropout,
    feed_forward_sublayer_with_dropout_backward,
)


def decoder_block_with_dropout(
    x, params, mask, dropout_masks, rate, heads, epsilon
):
    after_attention = attention_sublayer_with_dropout(
        *(x, params.attention_sublayer, mask, dropout_masks),
        *(rate, heads, epsilon),
    )["after_attention"]
    hidden = feed_forward_sublayer_with_dropout(
        *(after_attention, params.feed_forward_sublayer, dropout_masks),
        *(rate, epsilon),
    )["y"]
    return locals()


def decoder_block_with_dropout_backward(
    d_hidden,
    after_attention,
    x,
    params,
    mask,
    dropout_masks,
    rate,
    heads,
    epsilon,
):
    outer = feed_forward_sublayer_with_dropout_backward(
        *(d_hidden, after_attention, params.feed_forward_sublayer),
        *(dropout_masks, rate, epsilon),
    )
    d_after_attention = outer["d_x"]
    inner = attention_sublayer_with_dropout_backward(
        *(d_after_attention, x, params.attention_sublayer, mask),
        *(dropout_masks, rate, heads, epsilon),
    )
    d_x = inner["d_x"]
    d_params = parameters(
        attention_sublayer=inner["d_params"],
        feed_forward_sublayer=outer["d_params"],
    )
    return locals()


def decoder_with_dropout(
    x, params, mask, dropout_masks, rate, heads, epsilon
):
    hidden, after_attention, previous = [], [], x
    for block, masks in zip(params.blocks, dropout_masks, strict=True):
        steps = decoder_block_with_dropout(
            previous, block, mask, masks, rate, heads, epsilon
        )
        previous, within = steps["hidden"], steps["after_attention"]
        hidden.append(previous)
        after_attention.append(within)
    return {
        "hidden": hidden,
        "after_attention": after_attention,
        "within": within,
    }


def gpt2_loss(
    ids, targets, params, dropout_masks, rate, heads, epsilon, ignored
):
    embedded_mask, block_masks = dropout_masks
    embedded = input_embedding(ids, params.embedding)["x"]
    x = dropout(embedded, embedded_mask, rate)["y"]
    mask = earlier(ids.shape[-1])
    states = decoder_with_dropout(
        x, params.decoder, mask, block_masks, rate, heads, epsilon
    )
    hidden = states["hidden"]
    last = hidden[-1]
    normed = layer_norm(last, params.norm, epsilon)["y"]
    table = params.embedding.token.weight
    logits = product("...i,vi->...v", normed, table)
    loss = cross_entropy(logits, targets, ignored)["loss"]
    return locals()


def gpt2_loss_backward(
    d_loss,
    ids,
    targets,
    params,
    dropout_masks,
    rate,
    heads,
    epsilon,
    ignored,
):
    sizes = (rate, heads, epsilon)
    steps = gpt2_loss(ids, targets, params, dropout_masks, *sizes, ignored)
    x, normed, table = steps["x"], steps["normed"], steps["table"]
    d_logits = cross_entropy_backward(
        d_loss, steps["logits"], targets, ignored
    )["d_logits"]
    d_normed = product("...v,vi->...i", d_logits, table)
    final = layer_norm_backward(
        d_normed, steps["last"], params.norm, epsilon
    )
    d_last = final["d_x"]
    d_x, d_blocks = d_last, []
    for index, block in reversed([*enumerate(params.decoder.blocks)]):
        back = decoder_block_with_dropout_backward(
            *(d_x, steps["states"]["after_attention"][index]),
            *([x, *steps["hidden"]][index], block, steps["mask"]),
            *(dropout_masks.blocks[index], *sizes),
        )
        d_x = back["d_x"]
        d_blocks.insert(0, back["d_params"])
    d_embedded = dropout_backward(
        d_x, steps["embedded"], dropout_masks.embedded, rate
    )["d_x"]
    embedding = input_embedding_backward(d_embedded, ids, params.embedding)[
        "d_params"
    ]
    d_table = embedding.token.weight + over_tokens(d_logits, normed)
    embedding.token.weight = d_table
    return {
        "d_logits": d_logits,
        "d_normed": d_normed,
        "d_last": d_last,
        "d_x": d_x,
        "d_embedded": d_embedded,
        "d_table": d_table,
        "d_params": parameters(
            embedding=embedding,
            decoder=parameters(blocks=tuple(d_blocks)),
            norm=final["d_params"],
        ),
    }
