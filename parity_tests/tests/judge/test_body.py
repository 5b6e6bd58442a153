"""What runs: its weights, drawn here, and the sizes that are tried."""

import numpy as np
import pytest
from torch import nn

from parity_tests.judge.classes.body import ClassBody, drawn
from parity_tests.judge.files.judging import hosted
from parity_tests.judge.subject.weights import is_a_gradient, norm_of


@pytest.mark.parametrize("shape", [(), (1,), (3,), (3, 4), (3, 4, 1, 1)])
def test_weights_of_any_number_of_axes_are_drawn(shape):
    array = drawn([("weight", shape, "own Layer")], 1, "float32")["weight"]
    assert isinstance(array, np.ndarray)
    assert (array.shape, array.dtype) == (shape, np.float32)


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


def test_a_number_alone_is_no_gain_of_a_norm():
    assert norm_of([("gamma", (1,), "own Layer")]) is None
    assert norm_of([("gamma", (5,), "own Layer")]) == ("gamma", None)
