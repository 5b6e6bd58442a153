"""A wrong step in another dress is the same step: the same numbers.

For each step: what the zoo's gives, and how each dress wants to be asked.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from parity_tests.tests.judge.street.dresses import BUGS, dresses
from parity_tests.tests.judge.street.dresses.bugs import (
    kind_of,
    module_of,
    thing_of,
)
from parity_tests.tests.judge.street.dresses.wearing import (
    assert_same,
    tensor,
    worn,
)
from parity_tests.tests.judge.street.truth.formula import uniform

STEPS = [bug for bug in BUGS if kind_of(bug) == "step"]


def numbers(*shape: int) -> np.ndarray:
    return uniform(*shape).numpy()


def layer_norm(f):
    x, gain, bias, eps = numbers(2, 7, 6), numbers(6), numbers(6), 0.1
    of_torch = [tensor(array) for array in (x, gain, bias)]

    def layer(m):
        layer = m.LayerNorm(6, eps).double()
        state = zip(("weight", "bias"), of_torch[1:], strict=True)
        layer.load_state_dict(dict(state))
        return layer(of_torch[0])

    params = SimpleNamespace(weight=gain, bias=bias)
    return f(x, params, eps), {
        "gain_and_bias": lambda m: m.layer_norm(x, gain, bias, eps),
        "torch_function": lambda m: m.layer_norm(
            of_torch[0], eps, *of_torch[1:]
        ),
        "torch_layer": layer,
    }


def cross_entropy(f):
    logits = numbers(2, 4, 5)
    targets = np.array([[0, 3, 1, -1], [4, 2, -1, 0]])
    return f(logits, targets, -1), {
        "targets_first": lambda m: m.cross_entropy(targets, logits, -1),
        "torch_function": lambda m: m.cross_entropy(
            tensor(logits), torch.as_tensor(targets), -1
        ),
        "a_number": lambda m: m.cross_entropy(
            logits.tolist(), targets.tolist(), -1
        ),
    }


def causal_mask(f):
    return f(3, 5, 2), {
        "torch_function": lambda m: m.causal_mask(3, 5, 2),
        "past_first": lambda m: m.causal_mask(2, 3, 5),
        "added": lambda m: np.exp(m.causal_mask(3, 5, 2)),
    }


def padding_mask(f):
    lengths = np.array([3, 1, 5])
    return f(lengths, 5), {
        "torch_function": lambda m: m.padding_mask(
            torch.as_tensor(lengths), 5
        ),
        "keys_first": lambda m: m.padding_mask(5, lengths),
        "list_of_lengths": lambda m: m.padding_mask(lengths.tolist()),
    }


def sinusoidal_positions(f):
    of_torch = torch.arange(7, dtype=torch.float64)
    x = torch.zeros(1, 7, 6, dtype=torch.float64)
    return f(np.arange(7.0), 6), {
        "torch_function": lambda m: m.sinusoidal_positions(of_torch, 6),
        "of_a_length": lambda m: m.sinusoidal_positions(7, 6),
        "torch_layer": lambda m: m.PositionalEncoding(6)(x)[0],
    }


def merge_all(f):
    merges = {(97, 98): 256, (98, 99): 257, (256, 99): 258, (100, 97): 259}
    pairs = sorted(merges.items())
    table = np.array([[p[0] * 2**31 + p[1], new] for p, new in pairs]).T
    text = "dabcabdab"
    ids = np.array(list(text.encode()))
    return f(ids, table), {
        "dict_of_pairs": lambda m: m.merge_all(ids.tolist(), merges),
        "table_first": lambda m: m.merge_all(table, ids),
        "tokenizer": lambda m: m.Tokenizer(merges).encode(text),
    }


def window_starts(f):
    ids = np.arange(12)
    return f(12, 3, 2), {
        "list": lambda m: m.window_starts(12, 3, 2),
        "stride_first": lambda m: m.window_starts(2, 3, 12),
        "windows": lambda m: m.windows(ids, 3, 2)[0][:, 0],
    }


def merge_heads(f):
    x = numbers(3, 5, 4)
    return f(x), {
        "with_heads": lambda m: m.merge_heads(x, n_head=3),
        "torch_function": lambda m: m.combine_heads(tensor(x)),
        "list_of_heads": lambda m: m.merge_heads(list(x)),
    }


def split_heads(f):
    x = numbers(5, 12)
    return f(x, 3), {
        "heads_first": lambda m: m.split_heads(3, x),
        "torch_function": lambda m: m.split_heads(tensor(x), 3),
        "of_a_width": lambda m: m.split_heads(x, 3, 4),
    }


def softmax(f):
    x = numbers(5, 4)
    return f(x), {
        "with_axis": lambda m: m.softmax(x, axis=-1),
        "torch_function": lambda m: m.softmax(tensor(x)),
        "list": lambda m: m.softmax(x.tolist()),
    }


class Table:
    """What the zoo's embedding calls its parameters."""

    def __init__(self, weight):
        self.weight = weight


def token_embedding_backward(f):
    d_out, weight = numbers(4, 3), numbers(6, 3)
    ids = np.array([2, 5, 2, 0])

    def layer(m):
        embedding = m.Embedding(6, 3)
        assert_same(embedding.forward(ids), embedding.weight[ids])
        return embedding.backward(d_out)

    return f(d_out, ids, Table(weight)).weight, {
        "ids_first": lambda m: m.token_embedding_backward(
            ids, d_out, weight
        ),
        "torch_function": lambda m: m.token_embedding_backward(
            tensor(d_out), torch.as_tensor(ids), tensor(weight)
        ),
        "numpy_class": layer,
    }


def rms_norm(f):
    x, gain, eps = numbers(2, 7, 6), numbers(6), 0.1
    of_torch = [tensor(array) for array in (x, gain)]

    def layer(m):
        layer = m.RMSNorm(6, eps).double()
        layer.load_state_dict({"weight": of_torch[1]})
        return layer(of_torch[0])

    return f(x, SimpleNamespace(weight=gain), eps), {
        "weight_and_eps": lambda m: m.rms_norm(x, gain, eps),
        "torch_function": lambda m: m.rms_norm(
            of_torch[0], eps, of_torch[1]
        ),
        "torch_layer": layer,
    }


def swiglu(f):
    x = numbers(2, 7, 4)
    of = {"gate": numbers(6, 4), "up": numbers(6, 4), "down": numbers(4, 6)}

    def torch_layer(m):
        layer = m.SwiGLU(4, 6).double()
        state = {f"{n}.weight": tensor(w) for n, w in of.items()}
        layer.load_state_dict(state)
        return layer(tensor(x))

    def numpy_layer(m):
        layer = m.SwiGLU(4, 6)
        for name, weight in of.items():
            setattr(layer, f"w_{name}", weight.T)
        return layer.forward(x)

    params = {n: SimpleNamespace(weight=w) for n, w in of.items()}
    return f(x, SimpleNamespace(**params)), {
        "three_matrices": lambda m: m.swiglu(
            x, of["gate"], of["down"], of["up"]
        ),
        "torch_layer": torch_layer,
        "numpy_class": numpy_layer,
    }


def apply_rope(f):
    x, width = numbers(2, 3, 5, 6), 6
    table = module_of("rotary_pairs_mixed").rope_table(5, width)
    return f(x, *table), {
        "queries_and_keys": lambda m: m.apply_rotary_pos_emb(
            x, x[:1], *table
        )[0],
        "torch_function": lambda m: m.apply_rope(*map(tensor, (x, *table))),
        "numpy_class": lambda m: m.RotaryEmbedding(width).forward(x),
    }


def rope(f):
    x, positions = numbers(2, 3, 5, 6), 4 + np.arange(5)
    return f(x, positions), {
        "from_a_start": lambda m: m.rope(x, 4),
        "torch_function": lambda m: m.apply_rotary(
            tensor(x), torch.as_tensor(positions)
        ),
        "numpy_class": lambda m: m.RotaryPositionalEmbedding(6)(
            x, positions
        ),
    }


def repeat_kv(f):
    x = numbers(2, 3, 5, 4)
    return f(x, 2), {
        "torch_function": lambda m: m.repeat_kv(tensor(x), 2),
        "positions_first": lambda m: m.repeat_kv(
            x.swapaxes(1, 2), 2
        ).swapaxes(1, 2),
        "group_size": lambda m: m.repeat_kv_heads(x, group_size=2),
    }


def sliding_window_mask(f):
    return f(3, 5, 2, 2), {
        "torch_function": lambda m: m.sliding_window_mask(3, 5, 2, 2),
        "window_first": lambda m: m.sliding_window_mask(2, 3, 5, 2),
        "added": lambda m: np.exp(m.sliding_window_mask(3, 5, 2, 2)),
    }


def sink_attention(f):
    q, k, v, sinks = *numbers(3, 2, 3, 5, 4), numbers(3)
    turned = [x.swapaxes(1, 2) for x in (q, k, v)]
    seen = np.tri(5, dtype=bool)
    return f(q, k, v, sinks, seen), {
        "torch_function": lambda m: m.attention_with_sinks(
            *map(tensor, (q, k, v, sinks)), torch.from_numpy(seen)
        ),
        "always_causal": lambda m: m.causal_attention_with_sinks(
            q, k, v, sinks
        ),
        "tokens_first": lambda m: m.attention(
            *turned, sinks, seen
        ).swapaxes(1, 2),
    }


ASKED = {
    function.__name__: function
    for function in (
        *(layer_norm, cross_entropy, causal_mask, padding_mask),
        *(sinusoidal_positions, merge_all, window_starts, merge_heads),
        *(split_heads, softmax, token_embedding_backward),
        *(rms_norm, swiglu, apply_rope, rope, repeat_kv),
        *(sliding_window_mask, sink_attention),
    )
}


@pytest.mark.parametrize("bug", STEPS)
def test_a_step_in_a_dress_is_the_same(bug):
    torch.manual_seed(0)
    name = thing_of(bug)
    wanted, calls = ASKED[name](getattr(module_of(bug), name))
    assert calls.keys() == dresses(bug).keys()
    for dress, call in calls.items():
        assert_same(call(worn(bug, dress)), wanted)


def test_a_head_of_another_width_is_refused():
    module = worn("split_heads_by_reshape", "of_a_width")
    with pytest.raises(ValueError, match="expected 15 features"):
        module.split_heads(numbers(5, 12), 3, 5)
