"""Wrong shapes and dtypes: one clear line, on both sides."""

import numpy as np
import pytest
import torch

from numpy_ref import (
    attention,
    checked,
    layers,
    masks,
    multi_head,
    self_attention,
    sublayers,
)
from numpy_ref.parameters import from_state_dict
from parity_tests.twins.replaying import to_numpy
from torch_impl import attention as torch_attention
from torch_impl import masks as torch_masks
from torch_impl import multi_head as torch_multi_head
from torch_impl import sublayers as torch_sublayers


def zeros(*shape, dtype="float64"):
    return np.zeros(shape, dtype)


# What is wrong, what is called, and what the message must name.
WRONG = {
    "a key of another width": (
        "attention_scores",
        (zeros(2, 3, 4), zeros(2, 5, 7)),
        r'expected key: .*d_head".*query float64 \(2, 3, 4\).*'
        r"got float64 \(2, 5, 7\)",
    ),
    "a batch of another size": (
        "attention_scores",
        (zeros(2, 3, 4), zeros(3, 5, 4)),
        r"expected key: .*got float64 \(3, 5, 4\)",
    ),
    "a mask of numbers": (
        "masked_softmax",
        (zeros(3, 4), zeros(3, 4)),
        r'expected mask: Bool "\*#batch #query #key".*got float64 \(3, 4\)',
    ),
    "a mask turned around": (
        "masked_softmax",
        (zeros(3, 4), zeros(4, 3, dtype=bool)),
        r"expected mask: .*got bool \(4, 3\)",
    ),
    "fewer values than keys": (
        "scaled_dot_product_attention",
        (zeros(3, 4), zeros(5, 4), zeros(6, 2), zeros(3, 5, dtype=bool)),
        r"expected value: .*got float64 \(6, 2\)",
    ),
    "two precisions": (
        "attention_scores",
        (zeros(3, 4), zeros(5, 4, dtype="float32")),
        "expected one float dtype, got query float64 and key float32",
    ),
    "integers for floats": (
        "softmax",
        (zeros(3, 4, dtype="int64"),),
        r'expected scores: Float "\*batch key", got int64 \(3, 4\)',
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_does_not_fit_is_refused_on_both_sides(wrong):
    name, arrays, message = WRONG[wrong]
    with pytest.raises(ValueError, match=message):
        getattr(attention, name)(*arrays)
    with pytest.raises(ValueError, match=message):
        getattr(torch_attention, name)(*map(torch.from_numpy, arrays))


def test_what_is_no_array_is_refused():
    with pytest.raises(ValueError, match=r"expected scores: .*got list"):
        attention.softmax([0.0, 1.0])


def test_a_layer_whose_parts_do_not_fit_is_refused_when_it_is_made():
    with pytest.raises(
        ValueError, match=r"expected bias: .*got float64 \(3,"
    ):
        layers.Linear(zeros(2, 3), zeros(3))


def wide_layers(d_model):
    layer = layers.Linear(zeros(d_model, d_model), zeros(d_model))
    return multi_head.MultiHeadAttention(layer, layer, layer, layer)


def test_a_step_inside_says_what_did_not_fit():
    mask = masks.causal_mask(3, 3)
    with pytest.raises(ValueError, match=r"linear: expected .*\(6, 6\)"):
        multi_head.multi_head_attention(
            zeros(3, 5), wide_layers(6), mask, 2
        )
    module = torch_multi_head.MultiHeadAttention(6)
    with pytest.raises(ValueError, match=r"Linear: expected .*\(6, 6\)"):
        module(torch.zeros(3, 5), torch_masks.causal_mask(3, 3), 2)


def test_parameters_of_another_precision_are_refused():
    message = "expected one float dtype, got x float32 and params float64"
    x, mask = zeros(3, 6, dtype="float32"), masks.causal_mask(3, 3)
    with pytest.raises(ValueError, match=message):
        multi_head.multi_head_attention(x, wide_layers(6), mask, 2)
    module = torch_multi_head.MultiHeadAttention(6).double()
    with pytest.raises(ValueError, match="got self float64 and x float32"):
        module(torch.from_numpy(x), torch.from_numpy(mask), 2)


def test_keep_is_for_as_many_heads():
    params = multi_head.StackedHeads(
        (
            self_attention.SelfAttention(
                *[layers.Linear(zeros(2, 4), zeros(2))] * 3
            ),
        ),
        layers.Linear(zeros(4, 2), zeros(4)),
    )
    dropout_mask = zeros(3, 5, 5, dtype=bool)
    message = "expected heads of dropout_mask to be 1, got 3"
    with pytest.raises(ValueError, match=message):
        multi_head.stacked_heads(zeros(5, 4), params, dropout_mask, 0.0)
    module = torch_multi_head.StackedHeads(4, 2, 1).double()
    with pytest.raises(ValueError, match=message):
        module(
            torch.zeros(5, 4).double(), torch.from_numpy(dropout_mask), 0.0
        )


@pytest.mark.parametrize("side", [attention, torch_attention])
def test_a_numpy_scalar_widens_nothing(side):
    scores = zeros(2, 3, dtype="float32")
    scores = scores if side is attention else torch.from_numpy(scores)
    weights = side.softmax_with_temperature(scores, np.float64(2))
    assert weights.dtype == scores.dtype


def test_what_is_no_whole_number_is_refused():
    with pytest.raises(
        ValueError, match="expected queries: int, got float"
    ):
        masks.causal_mask(2.5, 3)
    with pytest.raises(ValueError, match="expected heads: int, got float"):
        multi_head.split_heads(zeros(2, 4), 2.0)


def test_only_the_outermost_call_is_looked_at(monkeypatch):
    looked_at = []
    check = checked._check

    def watch(bound, function):
        looked_at.append(function.__name__)
        check(bound, function)

    monkeypatch.setattr(checked, "_check", watch)
    x, mask = zeros(3, 6), masks.causal_mask(3, 3)
    params = wide_layers(6)
    looked_at.clear()
    multi_head.multi_head_attention(x, params, mask, 2)
    assert looked_at == ["multi_head_attention"]


def test_after_an_error_the_next_call_is_checked_again():
    for _ in range(2):
        with pytest.raises(ValueError, match="expected key"):
            attention.attention_scores(zeros(3, 4), zeros(5, 7))


MASKS = {
    "another kind": (
        lambda masks: tuple(masks),
        "expected dropout_masks: DropoutMasks .*, got tuple",
    ),
    "one of another shape": (
        lambda masks: masks._replace(mlp_output=masks.mlp_output[:2]),
        r'dropout_masks\.mlp_output: Bool "\*#batch #position #d_model" '
        r".*, got bool \(2, 4\)",
    ),
    "one of another dtype": (
        lambda masks: masks._replace(weights=1.0 * masks.weights),
        r"dropout_masks\.weights: Bool .*, got float(32|64) \(1, 3, 3\)",
    ),
}


@pytest.mark.parametrize("wrong", MASKS)
def test_a_mask_inside_of_a_named_tuple_is_named(wrong):
    change, message = MASKS[wrong]
    kept = [np.ones(shape, bool) for shape in ((1, 3, 3), (3, 4), (3, 4))]
    ours = change(sublayers.DropoutMasks(*kept))
    theirs = change(
        torch_sublayers.DropoutMasks(*map(torch.from_numpy, kept))
    )
    module = torch_sublayers.FeedForwardSublayerWithDropout(4, 5).double()
    params = from_state_dict(
        sublayers.FeedForwardSublayer, to_numpy(module.state_dict())
    )
    with pytest.raises(ValueError, match=message):
        sublayers.feed_forward_sublayer_with_dropout(
            zeros(3, 4), params, ours, 0.5, 1e-5
        )
    with pytest.raises(ValueError, match=message):
        module(torch.zeros(3, 4).double(), theirs, 0.5, 1e-5)
