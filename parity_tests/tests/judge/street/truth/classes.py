"""Layers: their own projections, and the formula between them."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear, multi_head_attention_forward

from parity_tests.tests.judge.street.truth import Check, Pairs
from parity_tests.tests.judge.street.truth.formula import (
    built,
    dot_product,
    multi_head,
    past,
    some,
    uniform,
)

# Heads of 5 features, whose root is no round number.
WIDTH, HEADS = 15, 3
BATCH, TOKENS, CONTEXT = 3, 7, 5


def tokens(width: int = WIDTH) -> Tensor:
    return uniform(BATCH, TOKENS, width)


def three(width: int = WIDTH) -> list[Tensor]:
    """A query, a key and a value, of different texts."""
    texts = [uniform(BATCH, CONTEXT, width) for _ in range(2)]
    return [tokens(width), *texts]


def identity(context: Tensor) -> Tensor:
    return context


def of_tokens(
    make,
    names: str,
    heads: int = HEADS,
    causal: bool = False,
    width: int = WIDTH,
    result=identity,
) -> Check:
    """Self-attention; `names` of its q, k, v and perhaps output layers."""

    def check(module) -> Pairs:
        layer, x = built(make(module)), tokens(width)
        q, k, v, *out = (layer.get_submodule(n) for n in names.split())
        seen = past(TOKENS, TOKENS) if causal else None
        context = multi_head(q(x), k(x), v(x), heads, seen)
        yield result(layer(x)), out[0](context) if out else context

    return check


def of_joined_tokens(
    make, names: str, heads: int = HEADS, causal: bool = False
) -> Check:
    """The same, with one layer for queries, keys and values."""

    def check(module) -> Pairs:
        layer, x = built(make(module)), tokens()
        joined, out = (layer.get_submodule(n) for n in names.split())
        seen = past(TOKENS, TOKENS) if causal else None
        yield (
            layer(x),
            out(multi_head(*joined(x).chunk(3, -1), heads, seen)),
        )

    return check


def of_three(
    make,
    names: str,
    ask=lambda layer, q, k, v, seen: layer(q, k, v),
    mask=None,
    result=identity,
) -> Check:
    """Attention of query, key and value; `mask` makes one to ask with."""

    def check(module) -> Pairs:
        layer, (query, key, value) = built(make(module)), three()
        to_q, to_k, to_v, to_out = (
            layer.get_submodule(n) for n in names.split()
        )
        q, k, v = to_q(query), to_k(key), to_v(value)
        for seen in (None, mask() if mask else None):
            got = ask(layer, query, key, value, seen)
            yield result(got), to_out(multi_head(q, k, v, HEADS, seen))

    return check


def pairs_mask() -> Tensor:
    return some(BATCH, TOKENS, CONTEXT)


def keys_mask() -> Tensor:
    return some(BATCH, 1, CONTEXT)


def masked(layer, query, key, value, seen):
    return layer(query, key, value, seen)


def first(results):
    return results[0]


def without_weights(name: str, *arguments) -> Check:
    """A layer that is a function of queries, keys, values and a mask."""

    def check(module) -> Pairs:
        layer = getattr(module, name)(*arguments).eval()
        for seen in (None, some(TOKENS, CONTEXT)):
            q, k, v = three()
            yield layer(q, k, v, seen), dot_product(q, k, v, seen)

    return check


def with_valid_lengths(name: str) -> Check:
    def check(module) -> Pairs:
        layer = getattr(module, name)(0.1).eval()
        q, k, v = three()
        yield layer(q, k, v), dot_product(q, k, v)
        lengths = torch.tensor([1, 5, 3])
        of_queries = lengths[:, None].expand(BATCH, TOKENS)
        seen = torch.arange(CONTEXT) < of_queries[..., None]
        for handed in (lengths, of_queries):
            yield layer(q, k, v, handed), dot_product(q, k, v, seen)

    return check


def with_temperature(module) -> Pairs:
    layer = module.ScaledDotProductAttention(WIDTH**0.5).eval()
    for seen in (None, some(TOKENS, CONTEXT)):
        q, k, v = three()
        yield layer(q, k, v, seen)[0], dot_product(q, k, v, seen)


def with_padding(make, names: str, result=identity, ask=None) -> Check:
    """Self-attention with a mask of (batch, token), True for words."""

    def check(module) -> Pairs:
        layer, x = built(make(module)), tokens()
        q, k, v, *out = (layer.get_submodule(n) for n in names.split())
        for words in (None, some(BATCH, TOKENS)):
            seen = None if words is None else words[:, None]
            got = layer(x) if words is None else (ask or layer)(x, words)
            context = multi_head(q(x), k(x), v(x), HEADS, seen)
            yield result(got), out[0](context) if out else context

    return check


def with_two_masks(make, names: str, inverted: bool) -> Check:
    """Padding and a mask of pairs: none, one by one, and both."""

    def check(module) -> Pairs:
        layer, x = built(make(module)), tokens()
        joined, out = (layer.get_submodule(n) for n in names.split())
        q, k, v = joined(x).chunk(3, dim=-1)
        pairs, words = past(TOKENS, TOKENS), some(BATCH, TOKENS)
        nothing = torch.ones(1, 1, dtype=torch.bool)
        for pair_mask in (None, pairs):
            for word_mask in (None, words):
                seen = nothing if pair_mask is None else pair_mask
                if word_mask is not None:
                    seen = seen & word_mask[:, None]
                if inverted:
                    handed = [
                        None if mask is None else ~mask
                        for mask in (pair_mask, word_mask)
                    ]
                else:
                    handed = [word_mask, pair_mask]
                expected = out(multi_head(q, k, v, HEADS, seen))
                yield layer(x, *handed), expected

    return check


def heads_in_a_list(module) -> Pairs:
    width, size = module.n_embd, 8
    layer = built(module.MultiHeadAttention(HEADS, size))
    x, seen = tokens(width), past(TOKENS, TOKENS)
    contexts = [
        dot_product(head.query(x), head.key(x), head.value(x), seen)
        for head in layer.heads
    ]
    yield layer(x), layer.proj(torch.cat(contexts, dim=-1))


def heads_of_numpy(module) -> Pairs:
    layer, x = module.MultiHead(WIDTH, HEADS), uniform(TOKENS, WIDTH)
    contexts = [
        dot_product(*(x @ torch.as_tensor(w) for w in (h.wQ, h.wK, h.wV)))
        for h in layer.heads
    ]
    merged = torch.cat(contexts, dim=-1)
    got = torch.as_tensor(layer.forward(x.numpy()))
    yield got, merged @ torch.as_tensor(layer.wO)


class RequiredMask(torch.nn.Module):
    """A layer that cannot do without its mask, which is all ones then."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def get_submodule(self, name: str):
        return self.layer.get_submodule(name)

    def forward(self, x: Tensor, words: Tensor | None = None) -> Tensor:
        words = torch.ones(x.shape[:2]) if words is None else words
        return self.layer(x, words.long())


def head_of_globals(name: str, width: str) -> Check:
    return lambda module: of_tokens(
        lambda m: getattr(m, name)(8),
        "query key value",
        heads=1,
        causal=True,
        width=getattr(module, width),
    )(module)


def of_library(layer, query, key, value, **masks) -> Tensor:
    """The library's layer, its weights taken out."""
    inputs = [x.transpose(0, 1) for x in (query, key, value)]
    got, _ = multi_head_attention_forward(
        *inputs,
        *(layer.embed_dim, layer.num_heads),
        *(layer.in_proj_weight, layer.in_proj_bias),
        *(None, None, False, 0.0),
        *(layer.out_proj.weight, layer.out_proj.bias),
        training=False,
        **masks,
    )
    return got.transpose(0, 1)


def wrapped_library_layer(module) -> Pairs:
    layer, x = built(module.Attention(WIDTH, HEADS, 0.1)), tokens()
    yield layer(x), of_library(layer.attn, x, x, x)
    padding = ~some(BATCH, TOKENS)
    expected = of_library(layer.attn, x, x, x, key_padding_mask=padding)
    yield layer(x, padding), expected


def subclassed_library_layer(module) -> Pairs:
    layer, x = built(module.SelfAttention(WIDTH, HEADS)), tokens()
    ahead = ~past(TOKENS, TOKENS)
    yield layer(x), of_library(layer, x, x, x, attn_mask=ahead)


def key_twice(module) -> Pairs:
    layer = built(module.Attention(WIDTH, HEADS))
    inputs = three()
    yield layer(*inputs)[0], of_library(layer, *inputs)


def numpy_projections(make, names: str, heads: int, axes: int) -> Check:
    """A class of NumPy, whose matrices or layers are attributes."""

    def check(module) -> Pairs:
        layer, x = make(module), tokens()
        x = x if axes == 3 else x[0]
        q, k, v, *out = (getattr(layer, name) for name in names.split())
        call = getattr(layer, "forward", layer)
        got = torch.as_tensor(call(x.numpy()))
        qkv = (numpy_layer(part, x) for part in (q, k, v))
        context = multi_head(*qkv, heads)
        yield got, numpy_layer(out[0], context) if out else context

    return check


def numpy_layer(layer, x: Tensor) -> Tensor:
    if isinstance(layer, np.ndarray):
        return x @ torch.as_tensor(layer)
    return x @ torch.as_tensor(layer.W) + torch.as_tensor(layer.b)


def matrices_as_parameters(module) -> Pairs:
    layer, x = built(module.SelfAttention(WIDTH, 5)), tokens()[0]
    names = ("W_query", "W_key", "W_value")
    yield layer(x), dot_product(*(x @ getattr(layer, n) for n in names))


def one_layer_four_times(module) -> Pairs:
    """What the formula gives with the four layers that are loaded."""
    layer = built(module.MultiHeadedAttention(HEADS, WIDTH))
    state = {
        name: uniform(*w.shape) for name, w in layer.state_dict().items()
    }
    layer.load_state_dict(state)
    inputs = three()
    layers = [
        (state[f"linears.{n}.weight"], state[f"linears.{n}.bias"])
        for n in range(4)
    ]
    qkv = (linear(x, *w) for x, w in zip(inputs, layers[:3], strict=True))
    yield layer(*inputs), linear(multi_head(*qkv, HEADS), *layers[3])


def residual_and_norm(make, ask=masked, mask=None) -> Check:
    def check(module) -> Pairs:
        layer, (query, key, value) = built(make(module)), three()
        q, k, v = layer.w_qs(query), layer.w_ks(key), layer.w_vs(value)
        for seen in (None, mask() if mask else None):
            context = multi_head(q, k, v, HEADS, seen)
            expected = layer.layer_norm(layer.fc(context) + query)
            got = ask(layer, query, key, value, seen)
            yield got if isinstance(got, Tensor) else got[0], expected

    return check


def to_a_context(make, width: int, with_mask: bool) -> Check:
    def check(module) -> Pairs:
        layer, x = built(make(module)), tokens()
        context, words = (
            uniform(BATCH, CONTEXT, width),
            some(BATCH, CONTEXT),
        )
        q, (k, v) = layer.to_q(x), layer.to_kv(context).chunk(2, -1)
        yield layer(x, context), layer.to_out(multi_head(q, k, v, HEADS))
        if with_mask:
            seen = multi_head(q, k, v, HEADS, words[:, None])
            yield layer(x, context, words), layer.to_out(seen)

    return check


def one_head_of_keys(module) -> Pairs:
    layer, x = built(module.MultiQueryAttention(WIDTH, HEADS)), tokens()
    k, v = layer.to_kv(x).chunk(2, dim=-1)
    yield layer(x), layer.to_out(multi_head(layer.to_q(x), k, v, HEADS))


def heads_of_eight(module) -> Pairs:
    layer, x = built(module.SelfAttention2d(24)), tokens(24)
    qkv = layer.qkv(x).chunk(3, dim=-1)
    yield layer(x), layer.proj_out(multi_head(*qkv, 3))


def lengths_of_texts(module) -> Pairs:
    layer, inputs = (
        module.MultiHeadAttention(WIDTH, HEADS).double(),
        three(),
    )
    layer(*inputs)  # its layers take their widths from the first call
    layer = built(layer)
    lengths = torch.tensor([1, 5, 3])
    layers = (layer.W_q, layer.W_k, layer.W_v)
    qkv = [part(x) for part, x in zip(layers, inputs, strict=True)]
    seen = (torch.arange(CONTEXT) < lengths[:, None])[:, None]
    yield layer(*inputs), layer.W_o(multi_head(*qkv, HEADS))
    expected = layer.W_o(multi_head(*qkv, HEADS, seen))
    yield layer(*inputs, lengths), expected


def for_all_heads(layer, query, key, value, seen):
    """A mask of (batch, 1, query, key), which some cannot do without."""
    seen = pairs_mask() | True if seen is None else seen
    return layer(query, key, value, seen[:, None].double())


def tokens_first(layer, query, key, value, seen):
    """Asked with (tokens, batch, width), by keyword."""
    inputs = {"query": query, "key": key, "value": value}
    inputs = {name: x.transpose(0, 1) for name, x in inputs.items()}
    if seen is not None:
        inputs["mask"] = seen.permute(1, 2, 0)
    return layer(**inputs).transpose(0, 1)


FC = "fc_q fc_k fc_v fc_o"
W_NAMES = "W_query W_key W_value out_proj"

CLASSES: dict[str, Check] = {
    "lookup_with_valid_lens": with_valid_lengths("DotProductAttention"),
    "temperature": with_temperature,
    "encoder_with_config": with_padding(
        lambda m: m.EncoderSelfAttention(m.EncoderConfig(WIDTH, HEADS)),
        "query key value",
        first,
    ),
    "padding_as_a_bias": with_padding(
        lambda m: m.EncoderSelfAttention(WIDTH, HEADS),
        "query key value",
        first,
    ),
    "translation_tutorial": of_three(
        lambda m: m.MultiHeadAttentionLayer(WIDTH, HEADS, 0.1, "cpu"),
        FC,
        for_all_heads,
        pairs_mask,
        first,
    ),
    "hidden_width_in_heads": of_three(
        lambda m: m.MultiHeadAttentionLayer(WIDTH, HEADS, 0.1),
        FC,
        result=first,
    ),
    "from_scratch_blog": of_tokens(
        lambda m: m.SelfAttention(WIDTH, HEADS, mask=True),
        "toqueries tokeys tovalues unifyheads",
        causal=True,
    ),
    "values_through_tokeys": of_tokens(
        lambda m: m.SelfAttention(WIDTH, HEADS),
        "toqueries tokeys tovalues unifyheads",
    ),
    "fused_causal": of_joined_tokens(
        lambda m: m.CausalSelfAttention(
            m.GPTConfig(n_head=HEADS, n_embd=WIDTH, dropout=0.1)
        ),
        "c_attn c_proj",
        causal=True,
    ),
    "fused_wrong_merge": of_joined_tokens(
        lambda m: m.CausalSelfAttention(m.Config(WIDTH, HEADS)),
        "c_attn c_proj",
        causal=True,
    ),
    "transposed_weights": of_joined_tokens(
        lambda m: m.Attention(WIDTH, HEADS), "c_attn c_proj", causal=True
    ),
    "softmax_of_dim_one": of_joined_tokens(
        lambda m: m.Attention(WIDTH, HEADS), "qkv proj"
    ),
    "lecture_with_globals": heads_in_a_list,
    "lecture_without_scale": head_of_globals("Head", "n_embd"),
    "wrapped_library_layer": wrapped_library_layer,
    "subclassed_library_layer": subclassed_library_layer,
    "key_twice": key_twice,
    "four_clones": of_three(
        lambda m: m.MultiHeadedAttention(HEADS, WIDTH),
        "linears.0 linears.1 linears.2 linears.3",
        masked,
        pairs_mask,
    ),
    "keywords_and_tokens_first": of_three(
        lambda m: m.MultiHeadAttention(HEADS, WIDTH),
        "query.linear key.linear value.linear output",
        tokens_first,
        pairs_mask,
    ),
    "tokens_first_wrong_dim": of_three(
        lambda m: m.MultiHeadAttention(HEADS, WIDTH),
        "query key value output",
        tokens_first,
    ),
    "clones_of_one": one_layer_four_times,
    "residual_and_norm": residual_and_norm(
        lambda m: m.MultiHeadAttention(HEADS, WIDTH, 5, 6), mask=pairs_mask
    ),
    "residual_of_the_wrong_thing": residual_and_norm(
        lambda m: m.MultiHeadAttention(HEADS, WIDTH),
        lambda layer, q, k, v, seen: layer(q, k, v),
    ),
    "numpy_layers": numpy_projections(
        lambda m: m.MultiHeadAttention(WIDTH, HEADS),
        "wq wk wv dense",
        HEADS,
        3,
    ),
    "numpy_layers_one_sum": numpy_projections(
        lambda m: m.SelfAttention(WIDTH), "q k v", 1, 3
    ),
    "numpy_copied_line": numpy_projections(
        lambda m: m.SelfAttention(WIDTH, 5), "W_q W_k W_v", 1, 3
    ),
    "grouped_heads": of_tokens(
        lambda m: m.GroupedQueryAttention(24, 4, 2),
        "wq wk wv wo",
        heads=4,
        causal=True,
        width=24,
    ),
    "groups_in_turn": of_tokens(
        lambda m: m.GroupedQueryAttention(24, 4, 2),
        "wq wk wv wo",
        heads=4,
        causal=True,
        width=24,
    ),
    "one_head_of_keys": one_head_of_keys,
    "both_masks": with_two_masks(
        lambda m: m.DecoderAttention(WIDTH, HEADS), "in_proj out_proj", True
    ),
    "later_mask_wins": with_two_masks(
        lambda m: m.Attention(WIDTH, HEADS), "in_proj out_proj", True
    ),
    "cross_attention_to_context": to_a_context(
        lambda m: m.CrossAttention(WIDTH, 10, HEADS, 4), 10, True
    ),
    "context_not_looked_at": to_a_context(
        lambda m: m.CrossAttention(WIDTH, HEADS, 4), WIDTH, False
    ),
    "config_is_a_dict": of_tokens(
        lambda m: m.CausalAttention(m.GPT_CONFIG),
        W_NAMES,
        causal=True,
        width=24,
    ),
    "tril_one_too_far": of_tokens(
        lambda m: m.CausalAttention(m.CONFIG),
        W_NAMES,
        heads=2,
        causal=True,
        width=12,
    ),
    "trains_at_the_top": of_tokens(
        lambda m: m.Reverser(WIDTH), "linear_q linear_k linear_v", 1
    ),
    "multiple_of_eight": heads_of_eight,
    "parameters_by_hand": matrices_as_parameters,
    "width_of_the_input": of_tokens(
        lambda m: m.SelfAttention(WIDTH, 5), "q_w k_w v_w", 1
    ),
    "weights_times_mask": of_three(
        lambda m: m.MaskedAttention(HEADS, WIDTH),
        "linear_q linear_k linear_v linear_out",
        for_all_heads,
        pairs_mask,
    ),
    "rate_always_on": of_joined_tokens(
        lambda m: m.MultiHeadAttention(WIDTH, HEADS), "in_proj out_proj"
    ),
    "eight_for_all": of_three(
        lambda m: m.SelfAttention(WIDTH, HEADS),
        "queries keys values fc_out",
        lambda layer, q, k, v, seen: layer(v, k, q),
    ),
    "bias_once_more": of_tokens(
        lambda m: m.MultiHeadAttention(WIDTH, HEADS),
        "q_proj k_proj v_proj out_proj",
    ),
    "concat_not_called": of_three(
        lambda m: m.MultiHeadAttention(WIDTH, HEADS), "w_q w_k w_v w_concat"
    ),
    "masks_of_other_texts": lengths_of_texts,
    "notebook_of_an_exercise": of_tokens(
        lambda m: m.SelfAttention(WIDTH), "query key value", 1
    ),
}


def added_bias(module) -> Pairs:
    layer, x = built(module.SelfAttention(WIDTH, HEADS)), tokens()
    q, k, v = layer.query(x), layer.key(x), layer.value(x)
    yield layer(x), layer.output(multi_head(q, k, v, HEADS))
    seen = some(TOKENS, TOKENS)
    bias = torch.zeros(TOKENS, TOKENS).masked_fill(~seen, -torch.inf)
    yield layer(x, bias), layer.output(multi_head(q, k, v, HEADS, seen))


def sizes_of_the_main_guard(module) -> Pairs:
    module.define(embed_dim=WIDTH, n_head=HEADS)
    yield from of_joined_tokens(lambda m: m.SelfAttention(), "qkv proj")(
        module
    )


ENCODER = "wq wk wv wo"

CASES: dict[str, Check] = {
    "additive_mask_class": added_bias,
    "heads_in_a_list": heads_of_numpy,
    "heads_scaled_by_the_model": heads_of_numpy,
    **dict.fromkeys(
        ("padding_said_in_a_comment", "padding_passed_by_a_caller"),
        with_padding(
            lambda m: RequiredMask(m.SelfAttention(WIDTH, HEADS)), FC
        ),
    ),
    "attention_class_without_weights": without_weights("DotProduct"),
    "cross_attention_bug": of_three(
        lambda m: m.CrossAttention(WIDTH, HEADS),
        "q_linear k_linear v_linear out",
    ),
    "dout_must_equal_din": of_joined_tokens(
        lambda m: m.CausalAttention(WIDTH, WIDTH, HEADS, 16),
        "to_qkv out",
        causal=True,
    ),
    "float_padding_mask": with_padding(
        lambda m: m.EncoderAttention(WIDTH, HEADS), ENCODER
    ),
    "float_padding_mask_right": with_padding(
        lambda m: m.EncoderAttention(WIDTH, HEADS), ENCODER
    ),
    "needed_mask_per_text": of_three(
        lambda m: m.MultiHead(WIDTH, HEADS),
        ENCODER,
        lambda layer, q, k, v, seen: layer(
            q, k, v, ~(pairs_mask() | True if seen is None else seen)
        ),
        pairs_mask,
    ),
    "numpy_class": numpy_projections(
        lambda m: m.SelfAttention(WIDTH), "W_q W_k W_v", 1, 2
    ),
    "output_layer_named_concat": of_three(
        lambda m: m.MultiHeadAttention(WIDTH, HEADS),
        "w_query w_key w_value w_concat",
        lambda layer, q, k, v, seen: layer(
            q, k, v, None if seen is None else seen[:, None]
        ),
        pairs_mask,
    ),
    "modules": of_tokens(
        lambda m: m.TokenMixer(WIDTH), "query key value", 1
    ),
    "scale_fixed_at_2": of_tokens(
        lambda m: m.MultiHeadAttention(WIDTH, 18, 16, 0.1, HEADS),
        W_NAMES,
        causal=True,
    ),
    "script_with_data_file": head_of_globals("AttentionHead", "width"),
    "sizes_in_main_guard": sizes_of_the_main_guard,
    "two_masks": with_two_masks(
        lambda m: m.DecoderSelfAttention(WIDTH, HEADS),
        "to_qkv to_out",
        False,
    ),
    "valid_lengths": with_valid_lengths("MaskedAttention"),
}
