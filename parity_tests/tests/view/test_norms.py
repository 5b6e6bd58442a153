"""Norms: the parts add up to the output of the attention."""

from dataclasses import replace
from functools import cache
from math import fsum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_viz import from_arrays
from bert_viz.measures.norms import added_up, norm_shares, norms
from numpy_ref.bert import bert
from numpy_ref.checkpoints.bert import load_bert
from numpy_ref.checkpoints.model_folders import find_model
from numpy_ref.checkpoints.model_tokenizers import tokenizer_of
from numpy_ref.layers import Linear
from numpy_ref.multi_head import multi_head_attention
from parity_tests.bounds.rounding import Bounded, affine, weighted_mean
from parity_tests.exact.multi_head import merge_heads
from parity_tests.tests.conftest import expect_holds
from parity_tests.twins.comparing import within

from .cases import SEED, attentions, expect_near, minilm


@st.composite
def with_values(draw):
    """Random values and output projections."""
    attention = draw(attentions(dtype="float64"))
    layers, heads, count, _ = attention.weights.shape
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    d_head, d_model = 2, 2 * heads
    outputs = tuple(
        Linear(
            rng.normal(size=(d_model, d_model)), rng.normal(size=d_model)
        )
        for _ in range(layers)
    )
    values = rng.normal(size=(layers, heads, count, d_head))
    return replace(attention, values=values, outputs=outputs)


@given(attention=with_values())
def test_a_norm_is_the_length_of_what_reaches_a_token(attention):
    carried = norms(attention)
    for layer, head, i, j in np.ndindex(carried.shape):
        own = slice(2 * head, 2 * head + 2)
        weight = attention.outputs[layer].weight[:, own].tolist()
        x, y = attention.values[layer, head, j].tolist()
        transformed = [a * x + b * y for a, b in weight]
        size = [abs(a * x) + abs(b * y) for a, b in weight]
        a = float(attention.weights[layer, head, i, j])
        # Two products and their sum, on both sides, the squares, theirs.
        expect_near(
            "norms",
            carried[layer, head, i, j],
            a * fsum(part**2 for part in transformed) ** 0.5,
            len(weight) + 12,
            a * fsum(part**2 for part in size) ** 0.5,
        )


@given(attention=with_values())
def test_shares_of_norms_sum_to_1(attention):
    n, shares = len(attention.tokens), norm_shares(attention)
    expect_near(
        "shares", shares.sum(axis=-1), np.ones(shares.shape[:-1]), 3 * n
    )
    expected = norms(attention)[..., 1] / norms(attention).sum(axis=-1)
    expect_near("shares", shares[..., 1], expected, 2 * n)


def test_a_row_without_norms_has_no_shares():
    attention = from_arrays(
        ["a", "b"],
        np.full((1, 1, 2, 2), 1 / 2),
        values=np.zeros((1, 1, 2, 3)),
        outputs=(Linear(np.ones((3, 3)), np.ones(3)),),
    )
    assert not norm_shares(attention).any()


@cache
def attention_outputs():
    """What `multi_head_attention` returns in each layer of MiniLM."""
    folder = find_model("bert").path
    checkpoint, encoded = load_bert(folder, "float64"), tokenizer_of(folder)
    encoded = encoded.encode(SEED)
    model, heads = checkpoint.model, checkpoint.config.heads
    mask = np.ones((1, 1), bool)
    x, layers = bert(
        *(encoded.ids, encoded.segments, mask, model, heads),
        checkpoint.config.epsilon,
    )
    inputs = [x, *(layer.hidden for layer in layers)]
    return [
        multi_head_attention(hidden, block.attention, mask, heads)
        for hidden, block in zip(inputs, model.encoder.blocks, strict=False)
    ]


@pytest.mark.parametrize("layer", range(6))
def test_all_parts_and_the_bias_are_the_output_of_the_attention(layer):
    attention = minilm("float64")
    output = attention.outputs[layer]
    weights, values, weight, bias = (
        Bounded.exactly(array, array)
        for array in (
            attention.weights[layer],
            attention.values[layer],
            output.weight,
            output.bias,
        )
    )
    # Its bound is for any order of the sums, so for that of ours as well.
    context = merge_heads(weighted_mean(weights, values))["merged"]
    exact = affine(context, weight, bias)
    comparison = within(
        f"layer {layer}",
        added_up(attention, layer),
        attention_outputs()[layer],
        2 * exact.error,
    )
    expect_holds("norms of MiniLM, float64", comparison)


def test_a_large_weight_may_carry_little():
    """Weight and norm of [CLS] are farthest apart in layer 2, head 7."""
    attention = minilm()
    weight, share = (
        array[..., 0].mean(axis=-1)
        for array in (attention.weights, norm_shares(attention))
    )
    assert round(float(weight[2, 7]), 2) == 0.76
    assert round(float(share[2, 7]), 2) == 0.07
    assert np.argmax(weight - share) == 2 * 12 + 7
    assert round(float(weight.mean()), 2) == 0.48
    assert round(float(share.mean()), 2) == 0.11
