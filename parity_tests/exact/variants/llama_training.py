from parity_tests.bounds.rounding import product

from ..embeddings import token_embedding, token_embedding_backward
from ..loss import cross_entropy, cross_entropy_backward
from ..numbers import parameters
from ..self_attention import earlier
from .llama import (
    angles,
    llama_attention_sublayer,
    llama_attention_sublayer_backward,
    llama_feed_forward_sublayer,
    llama_feed_forward_sublayer_backward,
)
from .projection import projection_backward
from .rms_norm import rms_norm, rms_norm_backward


def trained_llama_block(
    x, params, mask, cosine, sine, heads, key_heads, epsilon
):
    after_attention = llama_attention_sublayer(
        *(x, params.attention_sublayer, mask, cosine, sine),
        *(heads, key_heads, epsilon),
    )["after_attention"]
    hidden = llama_feed_forward_sublayer(
        after_attention, params.feed_forward_sublayer, epsilon
    )["y"]
    return locals()


def trained_llama_block_backward(
    d_hidden,
    after_attention,
    x,
    params,
    mask,
    cosine,
    sine,
    heads,
    key_heads,
    epsilon,
):
    outer = llama_feed_forward_sublayer_backward(
        d_hidden, after_attention, params.feed_forward_sublayer, epsilon
    )
    d_after_attention = outer["d_x"]
    inner = llama_attention_sublayer_backward(
        *(d_after_attention, x, params.attention_sublayer, mask),
        *(cosine, sine, heads, key_heads, epsilon),
    )
    d_x = inner["d_x"]
    d_params = parameters(
        attention_sublayer=inner["d_params"],
        feed_forward_sublayer=outer["d_params"],
    )
    return locals()


def trained_llama_decoder(
    x, params, mask, cosine, sine, heads, key_heads, epsilon
):
    hidden, after_attention, previous = [], [], x
    for block in params.blocks:
        steps = trained_llama_block(
            *(previous, block, mask, cosine, sine),
            *(heads, key_heads, epsilon),
        )
        previous, within = steps["hidden"], steps["after_attention"]
        hidden.append(previous)
        after_attention.append(within)
    return {
        "hidden": hidden,
        "after_attention": after_attention,
        "within": within,
    }


def llama_loss(
    ids,
    targets,
    params,
    heads,
    key_heads,
    d_head,
    base,
    epsilon,
    ignored,
):
    x = token_embedding(ids, params.embedding)["embedded"]
    tables = angles(0, ids.shape[-1], d_head, base, x)
    mask = earlier(ids.shape[-1])
    states = trained_llama_decoder(
        *(x, params.decoder, mask, tables["cosine"], tables["sine"]),
        *(heads, key_heads, epsilon),
    )
    hidden = states["hidden"]
    last = hidden[-1]
    normed = rms_norm(last, params.norm, epsilon)["y"]
    logits = product("...i,vi->...v", normed, params.output.weight)
    loss = cross_entropy(logits, targets, ignored)["loss"]
    return tables | locals()


def llama_loss_backward(
    d_loss,
    ids,
    targets,
    params,
    heads,
    key_heads,
    d_head,
    base,
    epsilon,
    ignored,
):
    steps = llama_loss(
        *(ids, targets, params, heads, key_heads),
        *(d_head, base, epsilon, ignored),
    )
    x, mask, states = steps["x"], steps["mask"], steps["states"]
    d_logits = cross_entropy_backward(
        d_loss, steps["logits"], targets, ignored
    )["d_logits"]
    output = projection_backward(d_logits, steps["normed"], params.output)
    d_normed = output["d_x"]
    final = rms_norm_backward(d_normed, steps["last"], params.norm, epsilon)
    d_last = final["d_x"]
    d_x, d_blocks = d_last, []
    for index, block in reversed([*enumerate(params.decoder.blocks)]):
        back = trained_llama_block_backward(
            *(d_x, states["after_attention"][index]),
            *([x, *states["hidden"]][index], block, mask),
            *(steps["cosine"], steps["sine"], heads, key_heads, epsilon),
        )
        d_x = back["d_x"]
        d_blocks.insert(0, back["d_params"])
    table = token_embedding_backward(d_x, ids, params.embedding)
    return {
        "d_logits": d_logits,
        "d_normed": d_normed,
        "d_last": d_last,
        "d_x": d_x,
        "d_params": parameters(
            embedding=table["d_params"],
            decoder=parameters(blocks=tuple(d_blocks)),
            norm=final["d_params"],
            output=output["d_params"],
        ),
    }
