"""Gradients written by hand: what a method called backward gives."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from parity_tests.judge.classes.backward import GRADIENT
from parity_tests.judge.classes.derivatives import (
    gradient_of_tokens,
    upstream_for,
)
from parity_tests.judge.files.judging import hosted

from .test_classes import failed, judge_as, judged, layer_of


class SelfAttention:
    """One head of NumPy; its forward keeps what its backward needs."""

    def __init__(self, d_model):
        draw = np.random.default_rng(0).standard_normal
        self.Wq, self.Wk, self.Wv = draw((3, d_model, d_model))

    def attend(self, x, mask=True):
        q, k, v = x @ self.Wq, x @ self.Wk, x @ self.Wv
        scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
        scores = np.where(mask, scores, -1e30)
        e = np.exp(scores - scores.max(-1, keepdims=True))
        p = e / e.sum(-1, keepdims=True)
        self.kept = x, q, k, v, p
        return p @ v

    def forward(self, x):
        return self.attend(x)


class OfQueries:
    """Attention without weights, of NumPy."""

    def forward(self, query, key, value):
        scores = query @ key.swapaxes(-1, -2) / np.sqrt(key.shape[-1])
        e = np.exp(scores - scores.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True) @ value


class OverAnImage(SelfAttention):
    """Its tokens are the positions of an image."""

    def forward(self, image):
        b, c, h, w = image.shape
        x = image.reshape(b, c, h * w).swapaxes(1, 2)
        return self.attend(x).swapaxes(1, 2).reshape(b, c, h, w)

    def backward(self, dout):
        b, c, h, w = dout.shape
        d = dout.reshape(b, c, h * w).swapaxes(1, 2)
        _, q, k, v, p = self.kept
        dp = d @ v.swapaxes(-1, -2)
        ds = p * (dp - (dp * p).sum(-1, keepdims=True))
        ds = ds / np.sqrt(q.shape[-1])
        dx = ds @ k @ self.Wq.T + ds.swapaxes(-1, -2) @ q @ self.Wk.T
        dx = dx + p.swapaxes(-1, -2) @ d @ self.Wv.T
        return dx.swapaxes(1, 2).reshape(b, c, h, w)


class WronglyOverAnImage(OverAnImage):
    """Of b c h w; tokens and channels are mixed on the way back."""

    def backward(self, dout):
        return super().backward(dout).swapaxes(-1, -2).reshape(dout.shape)


@pytest.mark.slow
def test_a_backward_over_an_image_is_asked():
    right = judged(OverAnImage)
    assert right.verdict == "holds where asked", right
    assert "only what it returns" in right.not_asked["its backward"]
    assert judged(WronglyOverAnImage).verdict == "rejected"


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


class Module(nn.Module):
    def __init__(self, d_model):
        super().__init__()
        self.Wq = nn.Linear(d_model, d_model)
        self.Wk = nn.Linear(d_model, d_model)
        self.Wv = nn.Linear(d_model, d_model)

    def forward(self, x):
        query, key, value = self.Wq(x), self.Wk(x), self.Wv(x)
        scores = query @ key.mT / query.shape[-1] ** 0.5
        return scores.softmax(-1) @ value


@pytest.mark.slow
def test_a_module_without_a_graph_says_that_its_backward_was_not_asked():
    class SelfAttention(Module):
        forward = torch.no_grad()(Module.forward)

        def backward(self, upstream):
            return None

    report = judged(SelfAttention)
    assert report.verdict == "holds where asked", report
    assert "backward" in report.not_asked["its backward"]


@pytest.mark.slow
def test_beside_autograd_a_backward_is_asked_where_it_is_clear():
    class SelfAttention(Module):
        def gradients(self):
            return [each.grad for each in self.parameters()]

    assert judged(SelfAttention).verdict == "holds"

    class Attention(Module):
        def backward(self, upstream):
            return upstream

    assert failed(judge_as("self_attention", Attention)) == [PROPERTY]


# --- what it gives -------------------------------------------------------


class ByHand(SelfAttention):
    """The same, with its backward, the parts of which may be replaced."""

    def backward(self, upstream):
        return self.of_tokens(*self.of_scores(upstream))

    def of_scores(self, upstream):
        _, _, _, v, p = self.kept
        dp = upstream @ v.swapaxes(-1, -2)
        ds = self.through_softmax(p, dp)
        return ds / self.root(), p.swapaxes(-1, -2) @ upstream

    def through_softmax(self, p, dp):
        return p * (dp - (p * dp).sum(-1, keepdims=True))

    def root(self):
        return np.sqrt(self.Wk.shape[-1])

    def of_tokens(self, ds, dv):
        _, q, k, _, _ = self.kept
        dq, dk = ds @ k, ds.swapaxes(-1, -2) @ q
        return dq @ self.Wq.T + dk @ self.Wk.T + dv @ self.Wv.T


class WithoutTheMean(ByHand):
    def through_softmax(self, p, dp):
        return p * (1 - p) * dp


class WithoutTheScale(ByHand):
    def root(self):
        return 1


class WithoutTheKeys(ByHand):
    def of_tokens(self, ds, dv):
        return ds @ self.kept[2] @ self.Wq.T + dv @ self.Wv.T


class OfOtherWeights(ByHand):
    def of_tokens(self, ds, dv):
        _, q, k, _, _ = self.kept
        dq, dk = ds @ k, ds.swapaxes(-1, -2) @ q
        return dq @ self.Wk.T + dk @ self.Wq.T + dv @ self.Wv.T


class NotTransposed(ByHand):
    def of_scores(self, upstream):
        ds, _ = super().of_scores(upstream)
        return ds, self.kept[4] @ upstream


class Nothing(ByHand):
    def backward(self, upstream):
        return 0 * super().backward(upstream)


PROPERTY = "its_backward_gives_the_exact_gradient"
WRONG = {
    WithoutTheMean: "that of a sigmoid",
    WithoutTheScale: "lack the scale",
    WithoutTheKeys: "through the keys is left out",
    OfOtherWeights: None,
    NotTransposed: None,
    Nothing: None,
}


def in_a_pair(kind):
    class SelfAttention(kind):
        def backward(self, d_out):
            return super().backward(d_out), {"Wq": np.ones((3, 3))}

    return SelfAttention


def in_a_dict(kind):
    class SelfAttention(kind):
        def backward(self, grad_output):
            return {"dx": super().backward(grad_output), "d": None}

    return SelfAttention


def with_defaults(kind):
    class SelfAttention(kind):
        def backward(self, dL_dy, keep=True):
            return super().backward(dL_dy)

    return SelfAttention


def by_another_name(kind):
    class SelfAttention(kind):
        def backprop(self, delta):
            return self.of_tokens(*self.of_scores(delta))

        backward = None

    return SelfAttention


def in_float32(kind):
    class SelfAttention(kind):
        def backward(self, upstream):
            return super().backward(upstream.astype(np.float32))

        def of_tokens(self, ds, dv):
            ds, dv = ds.astype(np.float32), dv.astype(np.float32)
            return super().of_tokens(ds, dv)

    return SelfAttention


FORMS = [lambda kind: kind, in_a_pair, in_a_dict, with_defaults]
FORMS += [by_another_name, in_float32]


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_right_backward_is_asked_and_holds(form):
    report = judge_as("self_attention", form(ByHand))
    assert report.holds, report
    assert PROPERTY in [each.name for each in report.of("holds")]
    assert "for its weights" in report.not_asked["its backward"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_backward_is_rejected_for_its_gradient(kind):
    report = judge_as("self_attention", kind)
    assert report.verdict == "rejected", report
    assert failed(report) == [PROPERTY]
    cause = WRONG[kind]
    assert cause in report.cause if cause else report.cause is None


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS[1:])
def test_a_wrong_backward_is_rejected_in_each_form(form):
    report = judge_as("self_attention", form(WithoutTheMean))
    assert failed(report) == [PROPERTY], report


# --- other layers ---


class Causal(ByHand):
    def forward(self, x):
        return self.attend(x, np.tri(x.shape[-2], dtype=bool))


class WithWeights(ByHand):
    """Returns its weights, too."""

    def forward(self, x):
        return super().forward(x), self.kept[-1]


class WithResidual(ByHand):
    def forward(self, x):
        return x + super().forward(x)

    def backward(self, upstream):
        return upstream + super().backward(upstream)


class OfOneText(ByHand):
    """Of a text without a batch."""

    def forward(self, x):
        assert x.ndim == 2
        return super().forward(x)


class Masked(ByHand):
    """With a mask, which may be left out."""

    def forward(self, x, mask=None):
        return self.attend(x, True if mask is None else mask)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", [Causal, WithWeights, WithResidual, OfOneText, Masked]
)
def test_a_right_backward_holds_in_other_layers(kind):
    report = judge_as("self_attention", kind)
    finding = next(f for f in report.findings if f.name == PROPERTY)
    assert finding.verdict == "holds", report
    assert not report.failed, report


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Causal, WithResidual, OfOneText])
def test_a_wrong_backward_is_rejected_in_other_layers(kind):
    wrong = type("Wrong", (kind, WithoutTheMean), {})
    report = judge_as("self_attention", wrong)
    assert failed(report) == [PROPERTY], report
    assert "that of a sigmoid" in report.cause


# --- what is not clear ---------------------------------------------------


class Updating(WithoutTheMean):
    def backward(self, upstream, rate=0.1):
        back = super().backward(upstream)
        self.Wq -= rate * np.ones_like(self.Wq)
        return back


class WithRate(WithoutTheMean):
    def backward(self, upstream, rate):
        return super().backward(upstream)


class OfATarget(WithoutTheMean):
    def backward(self, target):
        return super().backward(target)


class OfTheMean(ByHand):
    def backward(self, upstream):
        return super().backward(upstream) / len(upstream)


class OfMany(WithoutTheMean):
    def backward(self, upstream):
        return super().backward(upstream), upstream @ self.Wv.T


class Clipping(ByHand):
    def backward(self, upstream):
        return super().backward(upstream).clip(-1, 1)


class ReturnsNone(WithoutTheMean):
    def backward(self, upstream):
        self.d_x = super().backward(upstream)


class Raising(ByHand):
    def backward(self, upstream):
        raise RuntimeError("not at evaluation")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (Updating, "backward changes what the forward gives"),
        (WithRate, "backward takes upstream and rate"),
        (OfATarget, "backward takes target"),
        (OfTheMean, "backward gives a multiple of the gradient"),
        (Clipping, "backward is not linear, as where it clips"),
        (OfMany, "backward returns 2 arrays of the shape of x"),
        (ReturnsNone, "backward returns no arrays of the shape of x"),
        (Raising, "backward raised RuntimeError: not at evaluation"),
    ],
)
def test_what_is_not_clear_is_left_alone_and_said(kind, why):
    report = judge_as("self_attention", kind)
    assert report.verdict == "holds where asked", report
    assert report.not_asked["its backward"].startswith(why)


def test_what_a_gradient_of_the_output_is_called():
    names = "dy dout d_out dL_dout dLdy dO dvalues grad grad_output g gy"
    names += " delta upstream upstream_gradient error output_error dY d"
    others = "x target y_true labels lr rate learning_rate k d_model data"
    assert all(map(GRADIENT.fullmatch, names.split()))
    assert not any(map(GRADIENT.fullmatch, others.split()))


@pytest.mark.slow
def test_the_exact_gradient_is_that_of_autograd():
    layer = layer_of(ByHand)
    case = layer.case()
    upstream = upstream_for(layer, case)
    x = torch.from_numpy(case.x).requires_grad_()
    query, key, value = (
        x @ torch.from_numpy(layer.arrays(case)[name])
        for name in ("Wq", "Wk", "Wv")
    )
    output = scaled_dot_product_attention(query, key, value)
    (expected,) = torch.autograd.grad(output, x, torch.tensor(upstream))
    exact = gradient_of_tokens(layer, case, upstream)
    assert np.allclose(exact, expected, 1e-10, 1e-10)
