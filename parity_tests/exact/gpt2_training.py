from parity_tests.bounds.gradients import over_tokens, softmax_gradient
from parity_tests.bounds.rounding import (
    affine,
    distribution,
    product,
    scaled_scores,
    weighted_mean,
)

from .attention import (
    attention_scores_backward,
    gradient_of_values,
    gradient_of_weights,
)
from .embeddings import input_embedding, input_embedding_backward
from .gpt2 import split_query_key_value
from .layers import (
    dropout,
    dropout_backward,
    gelu_tanh,
    gelu_tanh_backward,
    layer_norm,
    layer_norm_backward,
    linear_backward,
)
from .loss import cross_entropy, cross_entropy_backward
from .multi_head import merge_heads, split_heads
from .numbers import parameters
from .self_attention import earlier, projections_backward


def decoder_block_with_dropout(
    x,
    params,
    mask,
    keep_weights,
    keep_found,
    keep_fed,
    rate,
    heads,
    epsilon,
):
    normed = layer_norm(x, params.attention_norm, epsilon)["y"]
    query, key, value = split_query_key_value(normed, params, heads)
    head_mask = mask[..., None, :, :]
    scores = scaled_scores(query, key)
    weights = distribution(scores, head_mask)
    dropped = dropout(weights, keep_weights, rate)["y"]
    context = weighted_mean(dropped, value)
    merged = merge_heads(context)["merged"]
    outer = params.attention.output
    found = affine(merged, outer.weight, outer.bias)
    attended = x + dropout(found, keep_found, rate)["y"]
    ready = layer_norm(attended, params.feed_forward_norm, epsilon)["y"]
    wide, narrow = params.feed_forward.inner, params.feed_forward.output
    inner = affine(ready, wide.weight, wide.bias)
    activated = gelu_tanh(inner)["y"]
    fed = affine(activated, narrow.weight, narrow.bias)
    hidden = attended + dropout(fed, keep_fed, rate)["y"]
    return locals()


def decoder_block_with_dropout_backward(
    d_hidden,
    x,
    params,
    mask,
    keep_weights,
    keep_found,
    keep_fed,
    rate,
    heads,
    epsilon,
):
    choices = (keep_weights, keep_found, keep_fed, rate, heads, epsilon)
    came = decoder_block_with_dropout(x, params, mask, *choices)
    thought = back_through_thinking(
        d_hidden, came, params, (keep_fed, rate, epsilon)
    )
    d_attended = d_hidden + thought["as_ready"]
    d_found = dropout_backward(d_attended, came["found"], keep_found, rate)[
        "d_x"
    ]
    outer = linear_backward(
        d_found, came["merged"], params.attention.output
    )
    d_merged = outer["d_x"]
    d_context = split_heads(d_merged, heads)["split"]
    query, key, value = (came[name] for name in ("query", "key", "value"))
    d_value = gradient_of_values(came["dropped"], d_context)
    d_dropped = gradient_of_weights(d_context, value)
    d_weights = dropout_backward(
        d_dropped, came["weights"], keep_weights, rate
    )["d_x"]
    d_scores = softmax_gradient(
        came["scores"], came["head_mask"], d_weights
    )["d_scores"]
    steps = attention_scores_backward(d_scores, query, key)
    d_query, d_key = steps["d_query"], steps["d_key"]
    together = {
        "d_query": merge_heads(d_query)["merged"],
        "d_key": merge_heads(d_key)["merged"],
        "d_value": merge_heads(d_value)["merged"],
    }
    projected = projections_backward(
        together, came["normed"], params.attention
    )
    d_normed = projected["d_x"]
    projected["d_params"].output = outer["d_params"]
    first = layer_norm_backward(d_normed, x, params.attention_norm, epsilon)
    d_x = d_attended + first["d_x"]
    d_params = parameters(
        attention_norm=first["d_params"],
        attention=projected["d_params"],
        feed_forward_norm=thought["norm"],
        feed_forward=thought["feed_forward"],
    )
    return locals() | thought


def back_through_thinking(d_hidden, came, params, choices):
    """From what a block gives to what its attention made of a token."""
    keep_fed, rate, epsilon = choices
    d_fed = dropout_backward(d_hidden, came["fed"], keep_fed, rate)["d_x"]
    narrow = linear_backward(
        d_fed, came["activated"], params.feed_forward.output
    )
    d_activated = narrow["d_x"]
    d_inner = gelu_tanh_backward(d_activated, came["inner"])["d_x"]
    wide = linear_backward(
        d_inner, came["ready"], params.feed_forward.inner
    )
    d_ready = wide["d_x"]
    normed = layer_norm_backward(
        d_ready, came["attended"], params.feed_forward_norm, epsilon
    )
    return {
        "d_fed": d_fed,
        "d_activated": d_activated,
        "d_inner": d_inner,
        "d_ready": d_ready,
        "as_ready": normed["d_x"],
        "norm": normed["d_params"],
        "feed_forward": parameters(
            inner=wide["d_params"], output=narrow["d_params"]
        ),
    }


def decoder_with_dropout(
    x,
    params,
    mask,
    keep_weights,
    keep_found,
    keep_fed,
    rate,
    heads,
    epsilon,
):
    hidden, came = [], x
    for number, block in enumerate(params.blocks):
        came = decoder_block_with_dropout(
            came,
            block,
            mask,
            keep_weights[number],
            keep_found[number],
            keep_fed[number],
            rate,
            heads,
            epsilon,
        )["hidden"]
        hidden.append(came)
    return {"hidden": hidden}


def gpt2_loss(
    ids,
    targets,
    params,
    keep_embedded,
    keep_weights,
    keep_found,
    keep_fed,
    rate,
    heads,
    epsilon,
    ignored,
):
    embedded = input_embedding(ids, params.embedding)["x"]
    x = dropout(embedded, keep_embedded, rate)["y"]
    mask = earlier(ids.shape[-1])
    choices = (keep_weights, keep_found, keep_fed, rate, heads, epsilon)
    hidden = decoder_with_dropout(x, params.decoder, mask, *choices)[
        "hidden"
    ]
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
    keep_embedded,
    keep_weights,
    keep_found,
    keep_fed,
    rate,
    heads,
    epsilon,
    ignored,
):
    keeps = (keep_weights, keep_found, keep_fed)
    sizes = (rate, heads, epsilon)
    came = gpt2_loss(
        ids, targets, params, keep_embedded, *keeps, *sizes, ignored
    )
    x, normed, table = came["x"], came["normed"], came["table"]
    d_logits = cross_entropy_backward(
        d_loss, came["logits"], targets, ignored
    )["d_logits"]
    d_normed = product("...v,vi->...i", d_logits, table)
    final = layer_norm_backward(
        d_normed, came["last"], params.norm, epsilon
    )
    d_last = final["d_x"]
    d_x, d_blocks = d_last, []
    for number, block in reversed([*enumerate(params.decoder.blocks)]):
        steps = decoder_block_with_dropout_backward(
            d_x,
            [x, *came["hidden"]][number],
            block,
            came["mask"],
            *(keep[number] for keep in keeps),
            *sizes,
        )
        d_x = steps["d_x"]
        d_blocks.insert(0, steps["d_params"])
    d_embedded = dropout_backward(
        d_x, came["embedded"], keep_embedded, rate
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
