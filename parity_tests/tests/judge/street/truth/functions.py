"""Functions of queries, keys and values, or of tokens and matrices."""

import numpy as np
import torch

from parity_tests.tests.judge.street.truth import Check, Pairs
from parity_tests.tests.judge.street.truth.formula import (
    dot_product,
    multi_head,
    past,
    some,
    uniform,
)

# Queries, keys, their width, and that of the values.
SIZES = ((5, 7, 6, 4), (37, 41, 70, 66))
BATCH, HEADS = 3, 2


def masks(kind: str, queries: int, keys: int, axes: int):
    """A mask as it is handed over, and as it acts on all scores."""
    if kind == "pairs":
        mask = some(queries, keys)
        return mask, mask
    mask = some(BATCH, *([queries] if kind == "texts" else [1]), keys)
    handed = mask if kind == "texts" else mask[:, 0]
    return handed, mask[:, None] if axes == 4 else mask


def gradients(result, inputs, upstream):
    return torch.autograd.grad(
        (result * upstream).sum(), inputs, materialize_grads=True
    )


def asks(
    axes: int,
    call,
    mask: str | None = None,
    needs_mask: bool = False,
    causal: bool = False,
    grouped: bool = False,
    gradient: bool = True,
    numpy: bool = False,
    square: bool = False,
) -> Check:
    """Ask `call` at each size, without a mask and with one of its kind.

    NumPy's arrays go to a module that imports NumPy, or with `numpy`.
    """

    def check(module) -> Pairs:
        in_numpy = numpy or hasattr(module, "np")
        for queries, keys, width, value_width in SIZES:
            keys = queries if square else keys
            front = (BATCH, 2 * HEADS)[: axes - 2]
            few = (BATCH, HEADS)[: axes - 2] if grouped else front
            inputs = (
                uniform(*front, queries, width),
                uniform(*few, keys, width),
                uniform(*few, keys, value_width),
            )
            handed, acting = [], past(queries, keys) if causal else None
            calls = [] if needs_mask else [(handed, acting)]
            if mask:
                seen, acting = masks(mask, queries, keys, axes)
                calls.append(([seen], acting))
            for handed, acting in calls:
                if in_numpy:
                    arrays = [x.numpy() for x in (*inputs, *handed)]
                    got = torch.as_tensor(call(module, *arrays))
                    yield got, grouped_product(*inputs, acting)
                    continue
                leaves = [x.clone().requires_grad_() for x in inputs]
                got = call(module, *leaves, *handed)
                expected = grouped_product(*leaves, acting)
                yield got, expected
                if gradient and got.shape == expected.shape:
                    upstream = uniform(*expected.shape)
                    yield from zip(
                        gradients(got, leaves, upstream),
                        gradients(expected, leaves, upstream),
                        strict=True,
                    )

    return check


def grouped_product(q, k, v, seen):
    """Each head of keys serves its neighbours, where there are fewer."""
    if q.ndim == 4 and q.shape[1] != k.shape[1]:
        share = q.shape[1] // k.shape[1]
        k, v = (
            [x[:, i // share] for i in range(q.shape[1])] for x in (k, v)
        )
        k, v = torch.stack(k, dim=1), torch.stack(v, dim=1)
    return dot_product(q, k, v, seen)


def swapped(call):
    """For the layout (batch, tokens, heads, features)."""
    return lambda module, *inputs: np.swapaxes(
        call(module, *(np.swapaxes(x, 1, 2) for x in inputs)), 1, 2
    )


def minus(seen, amount: float = 1e9):
    """The mask that is added, for one that is True where keys are seen."""
    return (1.0 - seen) * -amount


def three_matrices(call) -> Check:
    """Self-attention of tokens and three matrices."""

    def check(module) -> Pairs:
        x, matrices = uniform(7, 6), [uniform(6, n) for n in (5, 5, 4)]
        got = call(module, x.numpy(), *(w.numpy() for w in matrices))
        yield torch.as_tensor(got), dot_product(*(x @ w for w in matrices))

    return check


def square_matrices(module) -> Pairs:
    x, matrices = uniform(7, 6), uniform(3, 6, 6)
    got = module.attention_layer(x.numpy(), *matrices.numpy())
    yield torch.as_tensor(got), dot_product(*(x @ w for w in matrices))


def joined_matrix(module) -> Pairs:
    x, w = uniform(2, 7, 6), uniform(6, 15)
    results = module.attention_layer(x.numpy(), w.numpy())
    expected = dot_product(*(x @ w).chunk(3, dim=-1))
    yield torch.as_tensor(results["output"]), expected


def matrices_in_a_dict(module) -> Pairs:
    x = uniform(1, 7, 12)
    params = {name: uniform(12, 12) for name in ("wq", "wk", "wv", "wo")}
    arrays = {name: w.numpy() for name, w in params.items()}
    got = module.multi_head_attention(x[0].numpy(), arrays, 3)
    qkv = (x @ params[name] for name in ("wq", "wk", "wv"))
    yield torch.as_tensor(got)[None], multi_head(*qkv, 3) @ params["wo"]


def tiny_gpt2(module) -> Pairs:
    x, w, b = uniform(1, 7, 12), uniform(12, 36), uniform(36)
    w_out, b_out = uniform(12, 12), uniform(12)
    c_attn = {"w": w.numpy(), "b": b.numpy()}
    c_proj = {"w": w_out.numpy(), "b": b_out.numpy()}
    got = module.mha(x[0].numpy(), c_attn, c_proj, 3)
    qkv = (x @ w + b).chunk(3, dim=-1)
    context = multi_head(*qkv, 3, past(7, 7))
    yield torch.as_tensor(got)[None], context @ w_out + b_out


def number_among_the_weights(module) -> Pairs:
    x, w, w_out = uniform(2, 7, 12), uniform(12, 36), uniform(12, 12)
    params = {"to_qkv": w.numpy(), "to_out": w_out.numpy(), "heads": 3}
    got = torch.as_tensor(module.self_attention(params, x.numpy()))
    yield got, multi_head(*(x @ w).chunk(3, dim=-1), 3) @ w_out


def texts_in_a_batch(module) -> Pairs:
    """With a mask of (batch, key), 1 for what is seen; heads first."""
    x, others = uniform(2, 7, 12), uniform(2, 5, 12)
    heads = module.split_heads(x.numpy(), 3)
    yield torch.as_tensor(heads), x.unflatten(-1, (3, 4)).transpose(1, 2)
    matrices = uniform(4, 12, 12)
    params = module.AttentionParams(*matrices.numpy())
    sources = zip((x, others, others), matrices, strict=False)
    qkv = [tokens @ matrix for tokens, matrix in sources]
    for seen in (None, some(2, 5)):
        mask = None if seen is None else seen.numpy().astype(int)
        got = module.multi_head_attention(
            params, x.numpy(), others.numpy(), mask, num_heads=3
        )
        allowed = None if seen is None else seen[:, None]
        yield (
            torch.as_tensor(got),
            multi_head(*qkv, 3, allowed) @ matrices[3],
        )


def tree_of_parameters(module) -> Pairs:
    x, names = uniform(2, 7, 12), ("query", "key", "value", "out")
    kernels = {name: uniform(12, 12) for name in names}
    biases = {name: uniform(12) for name in names}
    params = {
        name: {
            "kernel": kernels[name].numpy(),
            "bias": biases[name].numpy(),
        }
        for name in names
    }
    got = module.attention_layer(params, x.numpy(), num_heads=3)
    qkv = [x @ kernels[name] + biases[name] for name in names[:3]]
    expected = multi_head(*qkv, 3) @ kernels["out"] + biases["out"]
    yield torch.as_tensor(got), expected


def norm_first(module) -> Pairs:
    x, matrices, eps = uniform(7, 6), uniform(4, 6, 6), 0.1
    gain, bias = uniform(6), uniform(6)
    arrays = [w.numpy() for w in (*matrices, gain, bias)]
    got = torch.as_tensor(module.attention_block(x.numpy(), *arrays, eps))
    normed = torch.nn.functional.layer_norm(x, (6,), gain, bias, eps)
    context = dot_product(*(normed @ w for w in matrices[:3]))
    yield got, x + context @ matrices[3]


def one_query(module) -> Pairs:
    q, keys, values = uniform(1, 6), uniform(7, 6), uniform(7, 4)
    got = module.attention(q[0].numpy(), keys.numpy(), values.numpy())
    yield torch.as_tensor(got)[None], dot_product(q, keys, values)


def one_step(module) -> Pairs:
    q, k, v = uniform(2, 3, 1, 6), uniform(2, 3, 7, 6), uniform(2, 3, 7, 4)
    got = module.attend_step(q[:, :, 0], k, v)
    yield got[:, :, None], dot_product(q, k, v)


def keys_that_change(module) -> Pairs:
    q, k, v = uniform(5, 6), uniform(7, 6), uniform(7, 4)
    arrays = [x.numpy() for x in (q, k, v)]  # in the tensors' memory
    for _ in range(2):
        got = module.attention(*arrays)
        yield torch.as_tensor(got), dot_product(q, k, v)
        k *= 2


def ten_times(module) -> Pairs:
    q, k, v = uniform(5, 6), uniform(7, 6), uniform(7, 4)
    for _ in range(10):
        yield module.attention(q, k, v), dot_product(q, k, v)


def in_bfloat16(module) -> Pairs:
    q, k, v = (uniform(2, 3, 7, 6).bfloat16() for _ in range(3))
    got = module.flash_attention(q, k, v)
    yield got, dot_product(q, k, v)


def layer_norm(gain_and_bias) -> Check:
    def check(module) -> Pairs:
        x, gain, bias = uniform(2, 7, 6), uniform(6), uniform(6)
        arrays = (array.numpy() for array in (x, gain, bias))
        got = torch.as_tensor(gain_and_bias(module)(*arrays))
        yield got, torch.nn.functional.layer_norm(x, (6,), gain, bias)

    return check


def helpers(module) -> Pairs:
    yield from layer_norm(lambda m: m.layer_norm)(module)
    x, w = uniform(2, 7, 6), uniform(6, 15)
    got = module.self_attention(x.numpy(), w.numpy())
    yield torch.as_tensor(got), dot_product(*(x @ w).chunk(3, dim=-1))
    heads = uniform(2, 3, 7, 4)
    got = torch.as_tensor(module.merge_heads(heads.numpy()))
    yield got, torch.cat(heads.unbind(1), dim=-1)
    ids = torch.tensor([[3, 5, 0], [2, 0, 0]])
    got = torch.as_tensor(module.padding_mask(ids.numpy()))
    yield got.double(), (ids > 0)[:, None].double()
    params = {"w1": uniform(6, 9), "b1": uniform(9)}
    params |= {"w2": uniform(9, 6), "b2": uniform(6)}
    arrays = {name: array.numpy() for name, array in params.items()}
    hidden = (x @ params["w1"] + params["b1"]).relu()
    got = torch.as_tensor(module.feed_forward(x.numpy(), arrays))
    yield got, hidden @ params["w2"] + params["b2"]


def first(name: str):
    """The first result of a function that returns several."""
    return lambda m, *inputs: getattr(m, name)(*inputs)[0]


def plain(name: str):
    """The function, called with query, key, value and a boolean mask."""
    return lambda m, *inputs: getattr(m, name)(*inputs)


def key_first(m, q, k, v):
    return m.attention(k, q, v)


FUNCTIONS: dict[str, Check] = {
    "keys_before_queries": asks(2, key_first),
    "times_the_root": asks(2, key_first),
    "true_hides": asks(
        4,
        lambda m, q, k, v, seen: m.attend(q, k, v, ~seen),
        mask="pairs",
        needs_mask=True,
    ),
    "ones_keep": asks(
        3,
        lambda m, q, k, v, seen=None: first("scaled_dot_product_attention")(
            m, q, k, v, None if seen is None else seen.astype(int)
        ),
        mask="pairs",
    ),
    "ones_hide": asks(3, plain("attention"), mask="pairs"),
    "float_mask_times_minus_a_billion": asks(
        4,
        lambda m, q, k, v, seen: first("scaled_dot_product_attention")(
            m, q, k, v, 1.0 - seen
        ),
        mask="pairs",
        needs_mask=True,
    ),
    "minus_a_billionth": asks(
        3,
        lambda m, q, k, v, seen: first("scaled_dot_product_attention")(
            m, q, k, v, 1.0 - seen
        ),
        mask="pairs",
        needs_mask=True,
    ),
    "tokens_before_heads": asks(4, swapped(plain("dot_product_attention"))),
    "einsum_over_depth": asks(4, swapped(plain("dot_product_attention"))),
    "keys_in_chunks": asks(4, plain("chunked_attention")),
    "queries_in_chunks": asks(
        4,
        lambda m, q, k, v: m.attention(q, k, v, causal=True),
        causal=True,
    ),
    "named_result": asks(
        4,
        lambda m, q, k, v, keep=None: (
            m.attention(q, k, v, keep=keep).context
        ),
        mask="pairs",
    ),
    "weights_come_first": asks(
        4,
        lambda m, q, k, v, seen=None: m.attn(q, k, v, mask=seen)[1],
        mask="pairs",
    ),
    "rate_and_training": asks(3, plain("dot_attention")),
    "padding_of_each_text": asks(
        4,
        lambda m, q, k, v, seen=None: m.attention_with_padding(
            q, k, v, None if seen is None else ~seen
        )[0],
        mask="keys",
    ),
    "notebook_of_a_lesson": asks(3, plain("attention"), mask="pairs"),
    "mask_plus_scores": asks(4, plain("attn"), mask="pairs"),
    "reshaped_not_transposed": asks(2, plain("attention")),
    "not_itself": asks(
        2, plain("causal_attention"), causal=True, square=True
    ),
    "whole_blocks_only": asks(4, plain("flash_attention")),
    "features_in_blocks": asks(3, plain("attention")),
    "thirty_two_keys": asks(4, plain("attend")),
    "keys_detached": asks(4, plain("attention")),
    "backward_by_hand": asks(4, plain("attention")),
    "half_inside": asks(4, plain("attention")),
    "first_key_of_the_cache": asks(
        4, plain("attend_causally"), causal=True
    ),
    "three_matrices": three_matrices(plain("self_attention")),
    "columns_sum_to_one": three_matrices(plain("self_attention")),
    "params_by_name": matrices_in_a_dict,
    "params_and_wrong_split": matrices_in_a_dict,
    "result_in_a_dict": joined_matrix,
    "tiny_gpt2": tiny_gpt2,
    "parameters_of_layers": tree_of_parameters,
    "norm_first_with_eps": norm_first,
    "reads_its_vectors": one_query,
    "one_step_with_cache": one_step,
    "keys_remembered": keys_that_change,
    "every_tenth_call": ten_times,
}

CASES: dict[str, Check] = {
    "additive_mask_numpy": asks(
        3,
        lambda m, q, k, v, seen: m.dot_product_attention(
            q, k, v, minus(seen)
        ),
        mask="pairs",
        needs_mask=True,
    ),
    "additive_mask_required": asks(
        3,
        lambda m, q, k, v, seen: m.attention(q, k, v, minus(seen)),
        mask="pairs",
        needs_mask=True,
    ),
    "bfloat16_only": in_bfloat16,
    "bom": asks(4, plain("attention")),
    "causal_by_default": asks(4, plain("flash_attn"), causal=True),
    "causal_of_query_key_value": asks(
        4, plain("causal_attention"), causal=True
    ),
    "forge_answers": asks(3, plain("scaled_dot_product_attention")),
    "fourth_is_dk": asks(
        3, lambda m, q, k, v: m.attn(q, k, v, q.shape[-1])
    ),
    "future_hardly_hidden": tiny_gpt2,
    "future_hidden": tiny_gpt2,
    "number_among_the_weights": number_among_the_weights,
    "values_summed_over_queries": number_among_the_weights,
    "real_tokens_hidden": texts_in_a_batch,
    "texts_in_a_batch_only": texts_in_a_batch,
    "grouped": asks(
        4, plain("grouped_query_attention"), mask="pairs", grouped=True
    ),
    "grouped_wrong_order": asks(
        4, plain("grouped_query_attention"), mask="pairs", grouped=True
    ),
    "imported": asks(3, plain("attention"), mask="pairs", numpy=True),
    "last_query_tile_lost": asks(3, plain("scaled_dot_product_attention")),
    "layer_norm_gb": layer_norm(lambda m: m.layernorm),
    "mask_gets_head_axis": asks(4, plain("dot_product"), mask="texts"),
    "no_grad": asks(
        4,
        plain("scaled_dot_product_attention"),
        mask="pairs",
        gradient=False,
    ),
    "other_signatures": helpers,
    "scale_by_input_width": square_matrices,
    "softmax_in_float32": asks(4, plain("eager_attention"), mask="pairs"),
    "softmax_over_everything": asks(2, plain("scaled_attention")),
    "tiled": asks(3, plain("attention"), mask="pairs"),
    "wrong_from_64_features": asks(
        3, plain("scaled_dot_product_attention")
    ),
}
CASES |= {
    f"notebook_{name}": asks(3, plain("attend"))
    for name in (
        "assigned_magic",
        "assigned_shell",
        "await",
        "capture",
        "help_after",
    )
}
CASES["notebook_bad_import_line"] = asks(3, plain("attend"), mask="pairs")
