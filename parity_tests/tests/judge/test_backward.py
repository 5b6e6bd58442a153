"""Gradients written by hand: what a method called backward gives."""

import numpy as np
import pytest
import torch
from torch import nn

from parity_tests.judge.files.judging import hosted

from .test_classes import judge_as, judged


class SelfAttention:
    """One head of NumPy; its forward keeps what its backward needs."""

    def __init__(self, d_model):
        draw = np.random.default_rng(0).standard_normal
        self.Wq, self.Wk, self.Wv = draw((3, d_model, d_model))

    def forward(self, x):
        q, k, v = x @ self.Wq, x @ self.Wk, x @ self.Wv
        scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
        e = np.exp(scores - scores.max(-1, keepdims=True))
        p = e / e.sum(-1, keepdims=True)
        self.kept = x, q, k, v, p
        return p @ v


class OfQueries:
    """Attention without weights, of NumPy."""

    def forward(self, query, key, value):
        scores = query @ key.swapaxes(-1, -2) / np.sqrt(key.shape[-1])
        e = np.exp(scores - scores.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True) @ value


def method_of(kind, name: str) -> str:
    """The backward that is seen in a class that has a method so called."""
    made = type(kind.__name__, (kind,), {name: lambda self, g: None})
    return hosted(made, None)[1].backward


@pytest.mark.parametrize(
    "name",
    [
        *("backward", "backprop", "back_prop", "backward_pass", "bprop"),
        *("backpropagate", "_backward", "grad", "gradient", "gradients"),
        *("compute_gradients", "get_grads", "calc_grad", "vjp"),
    ],
)
def test_a_method_that_computes_gradients_is_seen_by_its_name(name):
    assert method_of(SelfAttention, name) == name


@pytest.mark.parametrize(
    "name",
    ["zero_grad", "clip_gradients", "apply_grads", "step", "has_gradient"],
)
def test_a_method_that_only_handles_gradients_is_none(name):
    assert method_of(SelfAttention, name) == ""


def test_what_autograd_calls_or_brings_is_none_of_its_own():
    class Attention(torch.autograd.Function):
        @staticmethod
        def forward(ctx, query, key, value): ...

        @staticmethod
        def backward(ctx, grad): ...

    assert hosted(Attention, None)[1].backward == ""
    assert hosted(nn.MultiheadAttention, None)[1].backward == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["backprop", "_backward", "compute_grads"])
def test_a_backward_that_was_not_asked_is_essential(name):
    assert judged(SelfAttention).verdict == "holds"
    scope = {"SelfAttention": SelfAttention}
    exec(
        "class MultiHead(SelfAttention):\n"
        f"    def {name}(self, upstream, target):\n"
        "        return None\n",
        scope,
    )
    report = judge_as("self_attention", scope["MultiHead"])
    assert report.verdict == "holds where asked", report
    assert name in report.not_asked["its backward"]


@pytest.mark.slow
def test_nor_is_that_of_attention_without_weights_passed_over():
    class Attention(OfQueries):
        def backward(self, upstream):
            return upstream, upstream, upstream

    before = judged(OfQueries)
    report = judged(Attention)
    assert before.verdict == "holds", before
    assert report.verdict == "holds where asked", report
    assert "backward" in report.not_asked["its backward"]


@pytest.mark.slow
def test_a_module_without_a_graph_says_that_its_backward_was_not_asked():
    class SelfAttention(nn.Module):
        def __init__(self, d_model):
            super().__init__()
            self.Wq = nn.Linear(d_model, d_model)
            self.Wk = nn.Linear(d_model, d_model)
            self.Wv = nn.Linear(d_model, d_model)

        @torch.no_grad()
        def forward(self, x):
            query, key, value = self.Wq(x), self.Wk(x), self.Wv(x)
            scores = query @ key.mT / query.shape[-1] ** 0.5
            return scores.softmax(-1) @ value

        def backward(self, upstream):
            return None

    report = judged(SelfAttention)
    assert report.verdict == "holds where asked", report
    assert "backward" in report.not_asked["its backward"]
