import numpy as np

from parity_tests.bounds.gradients import along_paths
from parity_tests.bounds.rounding import product

from ..embeddings import token_embedding
from ..multi_head import merge_heads
from ..numbers import known_exactly, parameters
from ..self_attention import earlier
from .grouped_queries import (
    grouped_query_attention_backward,
    open_grouped_heads,
)
from .rms_norm import rms_norm, rms_norm_backward
from .rotary import rotary_tables
from .swiglu import swiglu, swiglu_backward


def llama_attention_sublayer(
    x, params, mask, cosine, sine, heads, key_heads, epsilon
):
    normed = rms_norm(x, params.norm, epsilon)["y"]
    steps = open_grouped_heads(
        normed, params.attention, mask, cosine, sine, heads, key_heads
    )
    return locals() | mixed_and_added(x, steps, params)


def mixed_and_added(x, steps, params):
    """From the contexts of the heads to what leaves the sublayer."""
    attention = steps["attention"]
    merged = merge_heads(steps["context"])["merged"]
    output = params.attention.output.weight
    attention_output = product("...i,oi->...o", merged, output)
    after_attention = x + attention_output
    return locals()


def llama_attention_sublayer_backward(
    d_after_attention,
    x,
    params,
    mask,
    cosine,
    sine,
    heads,
    key_heads,
    epsilon,
):
    normed = rms_norm(x, params.norm, epsilon)["y"]
    d_attention_output = d_after_attention
    inner = grouped_query_attention_backward(
        *(d_attention_output, normed, params.attention, mask),
        *(cosine, sine, heads, key_heads),
    )
    d_normed = inner["d_x"]
    outer = rms_norm_backward(d_normed, x, params.norm, epsilon)
    d_x = along_paths(d_after_attention, *outer["paths"])
    d_params = parameters(
        norm=outer["d_params"], attention=inner["d_params"]
    )
    return locals()


def llama_feed_forward_sublayer(x, params, epsilon):
    mlp_input = rms_norm(x, params.norm, epsilon)["y"]
    mlp_output = swiglu(mlp_input, params.feed_forward)["y"]
    y = x + mlp_output
    return locals()


def llama_feed_forward_sublayer_backward(d_y, x, params, epsilon):
    mlp_input = rms_norm(x, params.norm, epsilon)["y"]
    d_mlp_output = d_y
    inner = swiglu_backward(d_mlp_output, mlp_input, params.feed_forward)
    d_mlp_input = inner["d_x"]
    outer = rms_norm_backward(d_mlp_input, x, params.norm, epsilon)
    d_x = along_paths(d_y, *outer["paths"])
    d_params = parameters(
        norm=outer["d_params"], feed_forward=inner["d_params"]
    )
    return locals()


def llama_block(x, params, mask, cosine, sine, heads, key_heads, epsilon):
    steps = llama_attention_sublayer(
        *(x, params.attention_sublayer, mask, cosine, sine),
        *(heads, key_heads, epsilon),
    )
    attention, after_attention = (
        steps[name] for name in ("attention", "after_attention")
    )
    hidden = llama_feed_forward_sublayer(
        after_attention, params.feed_forward_sublayer, epsilon
    )["y"]
    layer = (*attention[:4], hidden)
    return locals()


def llama_decoder(x, params, mask, cosine, sine, heads, key_heads, epsilon):
    layers, previous = [], x
    for block in params.blocks:
        steps = llama_block(
            *(previous, block, mask, cosine, sine),
            *(heads, key_heads, epsilon),
        )
        layer, previous = steps["layer"], steps["hidden"]
        layers.append(layer)
    return {"layers": layers, "layer": layer}


def angles(past, count, d_head, base, x):
    """Positions, and the tables of their angles, by name."""
    positions = known_exactly(np.arange(past, past + count), x)
    return {
        "positions": positions,
        **rotary_tables(positions, d_head, base),
    }


def llama(ids, params, heads, key_heads, d_head, base, epsilon):
    x = token_embedding(ids, params.embedding)["embedded"]
    tables = angles(0, ids.shape[-1], d_head, base, x)
    mask = earlier(ids.shape[-1])
    layers = llama_decoder(
        *(x, params.decoder, mask, tables["cosine"], tables["sine"]),
        *(heads, key_heads, epsilon),
    )["layers"]
    normed = rms_norm(layers[-1][-1], params.norm, epsilon)["y"]
    logits = product("...i,vi->...v", normed, params.output.weight)
    return tables | locals()
