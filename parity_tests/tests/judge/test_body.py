"""What runs: its weights, drawn here, and the sizes that are tried."""

import numpy as np
import pytest
from torch import nn

from parity_tests.judge.candidate.things import Parameter
from parity_tests.judge.classes.body import ClassBody, call_roles, drawn
from parity_tests.judge.files.judging import hosted
from parity_tests.judge.subject.weights import (
    is_a_gradient,
    named_layers,
    norm_of,
    role_of,
)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (3, 4), (3, 4, 1, 1)])
def test_weights_of_any_number_of_axes_are_drawn(shape):
    array = drawn([("weight", shape, "own Layer")], 1, "float32")["weight"]
    assert isinstance(array, np.ndarray)
    assert (array.shape, array.dtype) == (shape, np.float32)


MADE_INSIDE = """
        if bias is None and self.table is not None:
            bias = self.made(x)
"""


@pytest.mark.parametrize(
    ("bias", "source", "masks"),
    [
        ("position_bias", "", ("mask",)),
        ("bias", MADE_INSIDE, ("mask",)),
        ("bias", "scores = scores + bias", ("mask", "bias")),
        ("M", "", ("mask",)),
    ],
)
def test_what_stands_for_the_layers_own_bias_or_for_memory_is_no_mask(
    bias, source, masks
):
    parameters = [
        Parameter("x", "plain", True),
        Parameter("mask", "plain", False),
        Parameter(bias, "plain", False),
    ]
    assert call_roles(tuple(parameters), said=source).masks == masks


class OfUnknownSizes(nn.Module):
    def __init__(self, one, other):
        super().__init__()

    def forward(self, x):
        return x


def test_no_arguments_are_tried_twice():
    host, thing = hosted(OfUnknownSizes, None)
    body = ClassBody(host, thing, "torch")
    tried = []
    for sizes in body.choices():
        try:
            tried.append((sizes, body.arguments(sizes)))
        except ValueError:  # one of them is unknown
            continue
    assert tried
    assert all(each not in tried[:n] for n, each in enumerate(tried))


@pytest.mark.parametrize(
    ("label", "is_one"),
    [
        ("q.dW", True),
        ("q.W_grad", True),
        ("q.grad_W", True),
        ("grads.q", True),
        ("q.W", False),
        ("q.db", False),  # of another shape than b
        ("q.dense", False),
    ],
)
def test_gradients_beside_weights_are_no_weights(label, is_one):
    shapes = {"q.W": (2, 3), "q.b": (3,), "q.ense": (1, 1)}
    shapes = {"q.dense": (4, 4), label: (2, 3)} | shapes
    assert is_a_gradient(label, shapes) == is_one


@pytest.mark.parametrize(
    ("names", "weights"),
    [
        ("v g", "v"),
        ("value grad", "value"),
        ("w g m v", "w"),
        ("w velocity", "w"),
        ("q k v", "q k v"),
        ("w v", "w v"),
        ("g b", "g b"),  # of a norm
        ("g", "g"),
        ("m v", "m v"),
    ],
)
def test_what_an_optimizer_keeps_beside_a_matrix_is_no_weight(
    names, weights
):
    shapes = dict.fromkeys((f"it.{n}" for n in names.split()), (3, 3))
    kept = [label for label in shapes if not is_a_gradient(label, shapes)]
    assert kept == [f"it.{name}" for name in weights.split()]
    alone = dict.fromkeys(names.split(), (3, 3))  # of the layer itself
    assert not any(is_a_gradient(label, alone) for label in alone)


def test_the_one_array_of_an_object_is_named_as_that_is():
    labels = ("Wq.v", "bq.v", "attn.q", "attn.k", "attn.v", "norm.v")
    owned = [(n, (3,) if n == "bq.v" else (3, 3), "own It") for n in labels]
    layers = {layer.matrix: layer for layer in named_layers(owned)}
    roles = {name: role_of(layer.key) for name, layer in layers.items()}
    assert roles == {
        "Wq.v": "query",
        "attn.q": "query",
        "attn.k": "key",
        "attn.v": "value",
        "norm.v": "value",
    }
    assert layers["Wq.v"].bias == "bq.v"


def test_a_number_alone_is_no_gain_of_a_norm():
    assert norm_of([("gamma", (1,), "own Layer")]) is None
    assert norm_of([("gamma", (5,), "own Layer")]) == ("gamma", None)
