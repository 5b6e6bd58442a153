"""Functions of tokens and weights, one by one or in one argument."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from numpy_ref import multi_head
from parity_tests.judge import judge
from parity_tests.judge.attention.conventions import Declared
from parity_tests.judge.candidate.things import Parameter, Thing
from parity_tests.judge.classes.function import nested, orientations
from parity_tests.judge.files.judging import (
    hosted,
    is_a_layer,
    role_by_name,
)

from .test_classes import failed, judged

pytestmark = pytest.mark.slow  # each is called hundreds of times


def normalised(scores):
    """In NumPy, which takes no tensors."""
    powers = np.exp(np.subtract(scores, np.max(scores, -1, keepdims=True)))
    return powers / powers.sum(axis=-1, keepdims=True)


def self_attention(X, W_q, W_k, W_v):
    scores = X @ W_q @ np.swapaxes(X @ W_k, -2, -1)
    return normalised(scores / np.sqrt(W_k.shape[1])) @ (X @ W_v)


def causal_attention(x, W_query, W_key, W_value):
    """In torch, for x Wᵀ, with the weights of attention beside."""
    query, key, value = (x @ W.T for W in (W_query, W_key, W_value))
    scores = query @ key.mT / key.shape[-1] ** 0.5
    past = torch.ones(2 * x.shape[-2:-1]).tril().bool()
    weights = scores.masked_fill(~past, -torch.inf).softmax(-1)
    return weights @ value, weights


def multi_head_attention(x, W_q, W_k, W_v, W_o, num_heads=2):
    """For one text, in NumPy."""
    query, key, value = (
        np.stack(np.split(x @ W, num_heads, axis=1))
        for W in (W_q, W_k, W_v)
    )
    scores = query @ key.swapaxes(1, 2) / np.sqrt(query.shape[2])
    return np.concatenate([*(normalised(scores) @ value)], axis=1) @ W_o


@pytest.mark.parametrize(
    ("function", "arrays", "weights", "batch_axes"),
    [
        (self_attention, "numpy", "apart", [1, 0]),
        (causal_attention, "torch", "apart, for x Wᵀ", [1, 0]),
        (multi_head_attention, "numpy", "apart", [0]),
    ],
)
def test_functions_of_tokens_and_weights(
    function, arrays, weights, batch_axes
):
    report = judge(function, declared=Declared(arrays), examples=5)
    assert report.holds, report
    assert report.kind == report.name == function.__name__
    detected = report.conventions
    assert detected["arrays"] == arrays
    assert detected["batch_axes"] == batch_axes
    assert detected["weights"] == f"query, key and value {weights}"


def test_a_wrong_function_is_rejected_with_its_cause():
    def self_attention_v1(x, W_q, W_k, W_v):
        return torch.softmax(x @ W_q @ (x @ W_k).mT, -1) @ (x @ W_v)

    def causal_attention_v2(x, W_q, W_k, W_v):
        return causal_attention(x, W_q, W_k, W_v)[0].flip(0)

    def multi_head_attention_v3(x, W_q, W_k, W_v, W_o, heads):
        return multi_head_attention(x, W_q, W_q, W_v, W_o, heads)

    wrong = {
        self_attention_v1: "the scale is missing",
        causal_attention_v2: None,
        multi_head_attention_v3: (
            "the keys go through the query's projection"
        ),
    }
    for function, cause in wrong.items():
        report = judged(function)
        assert "equals_the_reference" in failed(report)
        assert report.cause == cause
    assert "texts_do_not_mix" in failed(judged(causal_attention_v2))


def multi_head_attention_of_linear(x, layers, n_heads):
    """In torch, of layers as a state dict has them."""
    qkv = F.linear(x, layers["qkv"]["weight"], layers["qkv"]["bias"])
    query, key, value = (
        part.unflatten(-1, (n_heads, -1)).transpose(-3, -2)
        for part in qkv.chunk(3, dim=-1)
    )
    scores = query @ key.mT / query.shape[-1] ** 0.5
    context = (scores.softmax(-1) @ value).transpose(-3, -2).flatten(-2)
    return F.linear(context, layers["out"]["weight"], layers["out"]["bias"])


def multi_head_attention_of_any(x, w_qkv, heads):
    """Nothing in the source tells that it is for x Wᵀ."""
    joined = np.einsum("...i,oi->...o", x, w_qkv)
    return attended(*np.split(joined, 3, axis=-1), heads)


@pytest.mark.parametrize(
    "function",
    [multi_head_attention_of_linear, multi_head_attention_of_any],
)
def test_matrices_may_have_a_row_for_each_output(function):
    report = judged(function)
    assert report.verdict == "holds", report
    assert "one below the other" in report.conventions["weights"]


@pytest.mark.parametrize(
    ("projected", "is_turned"),
    [
        ("F.linear(x, W_q)", True),
        ("x @ W_q.T", True),
        ("torch.matmul(x, W_q.t())", True),
        ("x @ W_q", False),
        ("x @ W_q @ key.T", False),
    ],
)
def test_the_source_tells_which_way_matrices_are_turned(
    projected, is_turned
):
    parameters = tuple(map(Parameter, ("x", "W_q", "W_k", "W_v")))
    thing = Thing("attend", "function", parameters, source=projected)
    assert orientations(thing) == (is_turned, not is_turned)


def test_what_is_for_the_other_orientation_is_compared_in_it():
    def causal_attention_v4(x, W_q, W_k, W_v):
        query, key, value = (x @ W.T for W in (W_q, W_k, W_v))
        return torch.softmax(query @ key.mT / 12**0.5, -1) @ value

    report = judged(causal_attention_v4)
    assert report.failed
    assert all(finding.failure.comparison for finding in report.failed)


def test_which_arrays_a_function_takes_can_be_declared():
    report = judged(self_attention, arrays="torch")
    assert "raised" in report.trouble


def test_a_function_of_heads_must_take_their_number():
    def multi_head_attention(x, W_q, W_k, W_v): ...

    report = judged(multi_head_attention)
    assert "the number of heads among its arguments" in report.trouble


# --- layers with parts, and all weights in one argument ------------------


def split(x, heads):
    return np.swapaxes(x.reshape(*x.shape[:-1], heads, -1), -3, -2)


def attended(query, key, value, heads):
    query, key, value = (split(x, heads) for x in (query, key, value))
    scores = query @ np.swapaxes(key, -2, -1) / np.sqrt(query.shape[-1])
    context = np.swapaxes(normalised(scores) @ value, -3, -2)
    return context.reshape(*context.shape[:-2], -1)


def linear(x, w, b):
    return x @ w + b


def dense(layer, x):
    return x @ layer["kernel"] + layer["bias"]


def mha(x, c_attn, c_proj, n_head):
    query, key, value = np.split(linear(x, **c_attn), 3, axis=-1)
    return linear(attended(query, key, value, n_head), **c_proj)


def attention_from_a_tree(params, x, num_heads):
    parts = [dense(params[name], x) for name in ("q", "k", "v")]
    return dense(params["o"], attended(*parts, num_heads))


def attention_by_letters(params, x, num_heads):
    parts = (dense(params[letter], x) for letter in "qkv")
    return dense(params["o"], attended(*parts, num_heads))


def attention_from_paths(x, params, num_heads):
    query = x @ params["query"]["w"] + params["query"]["b"]
    key = x @ params["key"]["w"] + params["key"]["b"]
    value = x @ params["value"]["w"] + params["value"]["b"]
    return attended(query, key, value, num_heads)


class Parameters(NamedTuple):
    wq: np.ndarray
    wk: np.ndarray
    wv: np.ndarray
    wo: np.ndarray


def attention_of_a_record(params: Parameters, x, n_heads):
    parts = x @ params.wq, x @ params.wk, x @ params.wv
    return attended(*parts, n_heads) @ params.wo


@pytest.mark.parametrize(
    "function",
    [
        *(mha, attention_from_a_tree, attention_by_letters),
        *(attention_from_paths, attention_of_a_record),
    ],
)
def test_weights_in_one_argument_and_layers_with_parts(function):
    report = judged(function)
    assert report.holds, report
    assert len(report.conventions["sizes"]) == 2


def test_what_is_wrong_with_such_weights_is_named():
    def mha(x, c_attn, c_proj, n_head):
        query, key, value = np.split(linear(x, **c_attn), 3, axis=-1)
        query = query / np.sqrt(query.shape[-1] / n_head)
        return linear(attended(query, key, value, n_head), **c_proj)

    def attention_without_bias(params, x, num_heads):
        parts = [dense(params[name], x) for name in ("q", "k", "v")]
        return attended(*parts, num_heads) @ params["o"]["kernel"]

    def attention_of_a_record(params: Parameters, x, n_heads):
        parts = x @ params.wq, x @ params.wv, x @ params.wk
        return attended(*parts, n_heads) @ params.wo

    wrong = {
        mha: "the scale is 1/d, not 1/√d, as if applied twice",
        attention_without_bias: "the output bias is left out",
        attention_of_a_record: (
            "the projections of keys and values are swapped"
        ),
    }
    for function, cause in wrong.items():
        report = judged(function)
        assert "equals_the_reference" in failed(report)
        assert report.cause == cause


# The number of heads stands in the shapes of the kernels, as in Flax.
def dense_general(layer, x):
    shapes = "b n d, d h k -> b n h k"
    return np.einsum(shapes, x, layer["kernel"]) + layer["bias"]


def joined_heads(scores, value, kernel, bias):
    context = np.einsum("bhqk,bkhd->bqhd", normalised(scores), value)
    return np.einsum("bqhd,hdo->bqo", context, kernel) + bias


def multi_head_attention_of_shapes(params, x):
    query, key, value = (
        dense_general(params[name], x) for name in ("query", "key", "value")
    )
    scores = np.einsum("bqhd,bkhd->bhqk", query, key)
    scores = scores / np.sqrt(query.shape[-1])
    out = params["out"]["kernel"], params["out"]["bias"]
    return joined_heads(scores, value, *out)


def test_the_shapes_of_weights_may_tell_the_number_of_heads():
    def multi_head_attention_of_all(params, x):
        query, key, value = (
            dense_general(params[name], x)
            for name in ("query", "key", "value")
        )
        scores = np.einsum("bqhd,bkhd->bhqk", query, key)
        scores = scores / np.sqrt(x.shape[-1])
        out = params["out"]["kernel"], params["out"]["bias"]
        return joined_heads(scores, value, *out)

    right = judged(multi_head_attention_of_shapes)
    assert right.holds, right
    assert right.kind == "multi_head_attention"
    assert len(right.conventions["sizes"]) == 2
    wrong = judged(multi_head_attention_of_all)
    assert "equals_the_reference" in failed(wrong)
    assert wrong.cause == "the scale is 1/√d_in, not 1/√d_head"


def test_a_step_of_the_reference_takes_the_weights_of_the_reference():
    step = hosted(multi_head.multi_head_attention, None)[1]
    assert role_by_name(step) == "multi_head_attention"
    assert not is_a_layer(step)
    assert is_a_layer(hosted(attention_of_a_record, None)[1])


def test_a_dropout_mask_is_no_second_mask():
    def attention(query, key, value, mask, dropout_mask, rate):
        scores = query @ key.swapaxes(-2, -1) / np.sqrt(query.shape[-1])
        kept = normalised(np.where(mask, scores, -1e30)) * dropout_mask
        return kept / (1 - rate) @ value

    report = judge(attention, examples=5)
    assert report.holds, report
    names = [finding.name for finding in report.findings]
    assert "its_other_mask_hides_what_it_should" not in names


def test_a_tree_is_made_of_names_with_dots():
    tree = nested({"q.w": 1, "q.b": 2, "out": 3})
    assert tree == {"q": {"w": 1, "b": 2}, "out": 3}


# --- numbers beside weights, and texts without a batch -------------------


class WithHeads(NamedTuple):
    wq: np.ndarray
    wk: np.ndarray
    wv: np.ndarray
    nh: int


def attention_of_a_record_with_heads(params: WithHeads, x):
    heads = params.nh
    parts = x @ params.wq, x @ params.wk, x @ params.wv
    split(x @ params.wq, heads).reshape(-1, heads)
    return attended(*parts, heads)


def attention_by_a_configuration(params, config, x):
    parts = (x @ params[name] for name in ("wq", "wk", "wv"))
    return attended(*parts, config["n_heads"])


def attention_of_a_branch(params, x):
    layer = params["attn"]
    joined = x @ layer["qkv"]["w"] + layer["qkv"]["b"]
    return attended(*np.split(joined, 3, axis=-1), layer["num_heads"])


@pytest.mark.parametrize(
    "function",
    [
        *(attention_of_a_record_with_heads, attention_by_a_configuration),
        attention_of_a_branch,
    ],
)
def test_numbers_beside_weights_are_numbers(function):
    report = judged(function)
    assert report.verdict == "holds", report
    assert len(report.conventions["sizes"]) == 2


def attention_of_one_text(params, x, valid, heads):
    """One text: x (T, D), valid (T,) bool."""
    tokens, width = x.shape
    parts = (x @ params[name] for name in ("q", "k", "v"))

    def head(query, key, value):
        scores = query @ key.T / np.sqrt(width / heads)
        weights = normalised(np.where(valid[None, :], scores, -1e30))
        return weights @ value

    of_heads = [np.split(each, heads, axis=-1) for each in parts]
    context = np.stack([*map(head, *of_heads)], axis=1)
    return context.reshape(tokens, width) @ params["o"]


def test_a_mask_may_be_of_the_keys_of_one_text():
    report = judged(attention_of_one_text)
    assert report.verdict == "holds", report
    assert report.conventions["mask"] == "True may attend, of (key)"
    assert report.conventions["batch_axes"] == [0]


def test_a_mask_of_the_keys_of_one_text_is_asked():
    """One that shows the first key to all is right without a mask."""

    def attention_of_one(params, x, valid, heads):
        """One text: x (T, D), valid (T,) bool."""
        own = {"q": params["q"], "k": params["k"]}
        own |= {"v": params["v"], "o": params["o"]}
        shown = np.where(np.arange(len(x)) == 0, True, valid)
        return attention_of_one_text(own, x, shown, heads)

    report = judged(attention_of_one)
    assert failed(report)[0] == "a_mask_hides_what_it_should", report


def test_a_text_alone_that_is_taken_for_something_else_is_not_asked():
    def self_attention(x, W_q, W_k, W_v):
        parts = (
            x.reshape(len(x), -1, x.shape[-1]) @ W for W in (W_q, W_k, W_v)
        )
        context = attended(*parts, 1)
        return context.reshape(*x.shape[:-1], -1)

    report = judged(self_attention)
    assert report.verdict == "holds", report
    assert report.conventions["batch_axes"] == [1]
    assert "nothing says" in report.not_asked["a text without a batch"]


def test_a_comment_that_says_causal_is_no_bare_holds():
    def self_attention(x, W_q, W_k, W_v):
        later = np.less(*np.ogrid[: x.shape[-2], : x.shape[-2]])  # causal
        scores = x @ W_q @ np.swapaxes(x @ W_k, -2, -1)
        scores = scores / W_k.shape[1] ** 0.5 + later * -1e-10
        return normalised(scores) @ (x @ W_v)

    report = judged(self_attention)
    assert report.verdict == "holds where asked", report
    assert "its causal mask" in report.not_asked
