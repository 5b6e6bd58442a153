"""Student classes as courses write them: built, read, and judged."""

from typing import NamedTuple

import pytest
import torch
from torch import nn

from parity_tests.judge.attention.conventions import Declared
from parity_tests.judge.classes.layer import AttentionLayer
from parity_tests.judge.files.judging import (
    hosted,
    judge_thing,
    role_by_name,
    role_of,
)
from parity_tests.judge.subject.weights import recipes
from parity_tests.judge.verdict.loop import Budget
from torch_impl.multi_head import MultiHeadAttentionWithDropout

pytestmark = pytest.mark.slow  # each builds and judges a whole class


# Here it matters that it fails, not with how small an input.
BUDGET = Budget(5, shrunk=0)


def judge_as(role, kind, **declared):
    """The report on a class, or a function of weights, in a role."""
    host, thing = hosted(kind, None)
    return judge_thing(host, thing, role, Declared(**declared), BUDGET)


def judged(kind, **declared):
    return judge_as(role_named(kind), kind, **declared)


def role_named(kind) -> str:
    return role_of(hosted(kind, None)[1])


def failed(report) -> list[str]:
    return [finding.name for finding in report.failed]


def layer_of(kind, role=None) -> AttentionLayer:
    host, thing = hosted(kind, None)
    return AttentionLayer(host, thing, role or role_of(thing))


class SelfAttention(nn.Module):
    """With bare matrices, for texts without a batch."""

    def __init__(self, d_in, d_out):
        super().__init__()
        self.W_query = nn.Parameter(torch.rand(d_in, d_out))
        self.W_key = nn.Parameter(torch.rand(d_in, d_out))
        self.W_value = nn.Parameter(torch.rand(d_in, d_out))

    def forward(self, x):
        scores = x @ self.W_query @ (x @ self.W_key).T
        weights = torch.softmax(scores / self.W_key.shape[1] ** 0.5, -1)
        return weights @ (x @ self.W_value)


class HeadsInOneMatrix(nn.Module):
    """Query, key and value of a head, then those of the next."""

    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.heads = num_heads
        self.qkv_proj = nn.Linear(embed_dim, 3 * embed_dim)
        self.o_proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x):
        batch, tokens, _ = x.shape
        joined = self.qkv_proj(x).reshape(batch, tokens, self.heads, -1)
        query, key, value = joined.permute(0, 2, 1, 3).chunk(3, dim=-1)
        scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
        context = torch.softmax(scores, -1) @ value
        together = context.permute(0, 2, 1, 3).reshape(x.shape)
        return self.o_proj(together), scores


def test_bare_matrices_and_no_batch():
    report = judged(SelfAttention)
    assert report.holds, report
    assert report.conventions["batch_axes"] == [0]


def test_a_joined_matrix_is_read_as_it_is_meant():
    report = judge_as("multi_head_attention", HeadsInOneMatrix)
    assert report.holds, report
    assert report.conventions["weights"] == (
        "query, key, value of one head, then of the next"
    )


def test_weights_are_found_by_name_in_any_spelling():
    class Attention(nn.Module):
        def __init__(self, d_model):
            super().__init__()
            self.to_q = nn.Linear(d_model, d_model)
            self.to_k = nn.Linear(d_model, d_model)
            self.to_v = nn.Linear(d_model, d_model)
            self.w_concat = nn.Linear(d_model, d_model)

    named = [
        (name, tuple(array.shape), "Linear")
        for name, array in Attention(6).named_parameters()
    ]
    recipe = next(recipes(named))
    assert recipe.key[0].matrix == "to_k.weight"
    assert recipe.value[0].bias == "to_v.bias"
    assert recipe.output.matrix == "w_concat.weight"
    assert recipe.by_name


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("qkv", (0, 1, 2)),
        ("to_qvk", (0, 2, 1)),
        ("kqv_proj", (1, 0, 2)),
        ("W_vqk", (1, 2, 0)),
        ("in_proj", (0, 1, 2)),
    ],
)
def test_the_letters_of_a_name_tell_the_order_that_is_read_first(
    name, parts
):
    named = [(f"{name}.weight", (18, 6), "Linear")]
    every = [*recipes(named)]
    assert len({r.layout for r in every}) == 12
    first = every[0]
    chunks = (p[0].chunk for p in (first.query, first.key, first.value))
    assert tuple(which for which, *_ in chunks) == parts
    assert first.by_name


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("MultiHeadAttention", "multi_head_attention"),
        ("MultiHeadedAttention", "multi_head_attention"),
        ("CausalAttention", "causal_attention"),
        ("SelfAttention_v2", "self_attention"),
        ("FeedForward", None),
    ],
)
def test_a_class_is_what_its_name_says(name, role):
    def forward(self, x): ...

    kind = type(name, (nn.Module,), {"forward": forward})
    assert role_by_name(hosted(kind, None)[1]) == role


def test_what_cannot_be_built_or_read_is_told_in_words():
    class Attention(SelfAttention):
        def __init__(self, d_in, d_out, flavour):
            super().__init__(d_in, d_out)
            if flavour not in ("sweet", "sour"):
                raise ValueError("no such flavour")

    class OtherAttention(nn.Module):
        def __init__(self, d_model):
            super().__init__()
            self.alpha = nn.Linear(d_model, d_model)

        def forward(self, x):
            return torch.sin(self.alpha(x))

    class ThirdAttention(SelfAttention):
        def forward(self, x, depth): ...

    class FourthAttention(SelfAttention):
        def forward(self, x, depth: int): ...

    for kind, trouble in (
        (Attention, "built from flavour, of which the judge does not know"),
        (OtherAttention, "expected weights named like W_query, W_key and"),
        (ThirdAttention, "it returned None, expected 5 tokens"),
        (FourthAttention, "its call takes depth, of which the judge does"),
    ):
        report = judged(kind)
        assert report.verdict == "not judged"
        assert trouble in report.trouble


def test_a_dropout_mask_from_outside_keeps_all():
    role = "multi_head_attention"
    assert judge_as(role, MultiHeadAttentionWithDropout).holds

    class Twisted(MultiHeadAttentionWithDropout):
        def forward(self, x, mask, dropout_mask, rate, heads):
            return super().forward(x, mask, ~dropout_mask, rate, heads)

    assert judge_as(role, Twisted).failed


class AnnotatedAttention(nn.Module):
    """Four layers in a list; a text without a batch gets an axis more."""

    def __init__(self, h, d_model):
        super().__init__()
        self.h, self.d_k = h, d_model // h
        self.linears = nn.ModuleList(
            nn.Linear(d_model, d_model) for _ in range(4)
        )

    def forward(self, query, key, value, mask=None):
        texts = query.shape[0]
        query, key, value = (
            layer(x).view(texts, -1, self.h, self.d_k).transpose(1, 2)
            for layer, x in zip(
                self.linears[:3], (query, key, value), strict=True
            )
        )
        scores = query @ key.transpose(-2, -1) / self.d_k**0.5
        if mask is not None:
            scores = scores.masked_fill(mask.unsqueeze(1) == 0, -1e9)
        context = torch.softmax(scores, -1) @ value
        together = context.transpose(1, 2).reshape(
            texts, -1, self.h * self.d_k
        )
        return self.linears[-1](together)


class InASequence(nn.Module):
    """Joined, with an output in a sequence, and causal without a word."""

    def __init__(self, dim, heads=8, dim_head=5):
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(dim, 3 * heads * dim_head, bias=False)
        output = nn.Linear(heads * dim_head, dim)
        self.to_out = nn.Sequential(output, nn.Dropout(0.0))

    def forward(self, x):
        parts = self.to_qkv(x).chunk(3, dim=-1)
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in parts
        )
        scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
        past = torch.ones(2 * x.shape[1:2]).tril().bool()
        weights = scores.masked_fill(~past, -torch.inf).softmax(-1)
        return self.to_out((weights @ value).transpose(1, 2).flatten(2))


class OfItsOwnWidth(SelfAttention):
    """Its sizes do not come from its constructor."""

    def __init__(self):
        super().__init__(17, 5)


class OfAConfiguration(SelfAttention):
    def __init__(self, cfg):
        super().__init__(cfg["emb_dim"], cfg.hidden_size)


@pytest.mark.parametrize(
    "kind",
    [AnnotatedAttention, InASequence, OfItsOwnWidth, OfAConfiguration],
)
def test_right_ones_of_other_styles_pass(kind):
    report = judged(kind)
    assert report.holds, report


def test_a_fully_masked_first_token_is_a_failure_like_any_other():
    class CausalAttention(SelfAttention):
        def __init__(self, d_in, d_out, context_length, dropout):
            super().__init__(d_in, d_out)
            self.dropout = nn.Dropout(dropout)

        def forward(self, x):
            scores = x @ self.W_query @ (x @ self.W_key).transpose(-2, -1)
            future = torch.ones(2 * x.shape[-2:-1]).triu(0).bool()
            scores = scores.masked_fill(future, -torch.inf)
            weights = torch.softmax(scores / self.W_key.shape[1] ** 0.5, -1)
            return self.dropout(weights) @ (x @ self.W_value)

    report = judged(CausalAttention)
    assert "equals_the_reference" in failed(report)
    assert report.cause == (
        "a token does not see itself; the first, fully masked, gets NaN"
    )


class BiasedAttention(SelfAttention):
    """As GPT-2's query, key and value, or as most others'."""

    def __init__(self, d_in, d_out, qkv_bias=False):
        nn.Module.__init__(self)
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)

    def forward(self, x):
        query, key = self.W_query(x), self.W_key(x)
        scores = query @ key.transpose(-2, -1) / key.shape[-1] ** 0.5
        return torch.softmax(scores, -1) @ self.W_value(x)


def test_a_bias_that_is_taken_and_ignored_is_seen():
    assert judged(BiasedAttention).holds

    class NeverBiasedAttention(BiasedAttention):
        def __init__(self, d_in, d_out, qkv_bias=False):
            super().__init__(d_in, d_out)

    class AlwaysBiasedAttention(BiasedAttention):
        def __init__(self, d_in, d_out, qkv_bias=False):
            super().__init__(d_in, d_out, True)

    for kind in (NeverBiasedAttention, AlwaysBiasedAttention):
        report = judged(kind)
        assert failed(report) == ["a_requested_bias_is_there"]


def test_dropout_that_is_taken_and_ignored_is_seen():
    class DryAttention(SelfAttention):
        def __init__(self, d_in, d_out, dropout):
            super().__init__(d_in, d_out)

        def forward(self, x):
            scores = x @ self.W_query @ (x @ self.W_key).transpose(-2, -1)
            weights = torch.softmax(scores / self.W_key.shape[1] ** 0.5, -1)
            return weights @ (x @ self.W_value)

    report = judged(DryAttention)
    assert failed(report) == ["dropout_keeps_the_mean"]


def test_a_parameter_that_changes_no_answer_is_no_fault():
    class MoreAttention(SelfAttention):
        def __init__(self, d_in, d_out):
            super().__init__(d_in, d_out)
            self.spare = nn.Parameter(torch.zeros(3))

    report = judged(MoreAttention)
    assert report.holds, report


def test_a_mask_that_is_taken_and_ignored_is_seen():
    class DeafAttention(HeadsInOneMatrix):
        def forward(self, x, mask=None):
            return super().forward(x)

    report = judge_as("multi_head_attention", DeafAttention)
    assert "a_mask_hides_what_it_should" in failed(report)
    assert "equals_the_reference" not in failed(report)
    assert report.cause == "the mask is ignored"


def test_tokens_that_are_changed_are_seen():
    class ChangingAttention(SelfAttention):
        def forward(self, x):
            context = super().forward(x)
            x += 1
            return context

    report = judged(ChangingAttention)
    assert "inputs_are_left_as_they_were" in failed(report)
    assert report.cause == "it modifies its inputs in place"


def test_bare_matrices_of_the_other_orientation():
    class Attention(SelfAttention):
        def __init__(self, d_in, d_out):
            super().__init__(d_out, d_in)

        def forward(self, x):
            query, key = x @ self.W_query.T, x @ self.W_key.T
            scores = query @ key.transpose(-2, -1) / key.shape[-1] ** 0.5
            return torch.softmax(scores, -1) @ (x @ self.W_value.T)

    report = judged(Attention)
    assert report.holds, report
    assert report.conventions["weights"].endswith("for x Wᵀ")


OWN_WIDTH, OWN_HEADS = 17, 4


class Defaults:
    width, parts = 24, 12


def test_any_number_of_heads_that_nothing_names_is_found():
    class MultiHeadAttention(HeadsInOneMatrix):
        def __init__(self, defaults=Defaults):
            super().__init__(defaults.width, defaults.parts)

    report = judged(MultiHeadAttention)
    assert report.holds, report


def test_a_number_of_heads_from_outside_is_found():
    class MultiHeadAttention(HeadsInOneMatrix):
        def __init__(self, embed_dim):
            super().__init__(embed_dim, OWN_HEADS)

    report = judged(MultiHeadAttention)
    assert report.holds, report


class Options(NamedTuple):
    hidden: int = 32
    heads: int = 4


OPTIONS = Options()


def test_sizes_may_be_options():
    class MultiHeadAttention(HeadsInOneMatrix):
        def __init__(self, opts=OPTIONS):
            super().__init__(opts.hidden, opts.heads)

    report = judged(MultiHeadAttention)
    assert report.holds, report
    assert len(report.conventions["sizes"]) == 2


def test_sizes_from_outside_that_do_not_fit_are_named():
    class Attention(SelfAttention):
        def forward(self, x):
            return super().forward(x).reshape(-1, OWN_WIDTH)

    report = judged(Attention)
    assert report.verdict == "not judged"
    assert report.trouble.startswith("it raised RuntimeError: ")


class Head(BiasedAttention):
    """As nanoGPT has it."""

    def __init__(self, head_size):
        nn.Module.__init__(self)
        self.key = nn.Linear(OWN_WIDTH, head_size, bias=False)
        self.query = nn.Linear(OWN_WIDTH, head_size, bias=False)
        self.value = nn.Linear(OWN_WIDTH, head_size, bias=False)
        self.register_buffer("tril", torch.ones(9, 9).tril())

    def forward(self, x):
        tokens, key = x.shape[-2], self.key(x)
        scores = self.query(x) @ key.transpose(-2, -1)
        future = self.tril[:tokens, :tokens] == 0
        hidden = scores.masked_fill(future, -torch.inf)
        weights = torch.softmax(hidden * key.shape[-1] ** -0.5, -1)
        return weights @ self.value(x)


def test_a_head_with_a_triangle_is_causal_attention():
    report = judged(Head)
    assert report.holds, report
    assert report.conventions["causal"] == "always"


def test_another_head_is_no_attention():
    class Head(nn.Linear):
        """Of a language model."""

        def __init__(self, d_model):
            super().__init__(d_model, 9)

    assert role_by_name(hosted(Head, None)[1]) is None


def test_two_widths_of_one_class_are_asked_apart():
    class SelfAttention(nn.Module):
        def __init__(self, embed_dim, hidden_dim):
            super().__init__()
            self.width = embed_dim
            self.q = nn.Linear(embed_dim, hidden_dim)
            self.k = nn.Linear(embed_dim, hidden_dim)
            self.v = nn.Linear(embed_dim, hidden_dim)

        def forward(self, x):
            scores = self.q(x) @ self.k(x).mT / self.width**0.5
            return scores.softmax(-1) @ self.v(x)

    report = judged(SelfAttention)
    assert report.cause == "the scale is 1/√d_in, not 1/√d_head"


def test_a_head_s_width_that_no_weight_has_is_that_of_all_features():
    class SelfAttention(nn.Module):
        def __init__(self, d_model, d_k):
            super().__init__()
            self.d_k = d_k
            self.q = nn.Linear(d_model, d_model)
            self.k = nn.Linear(d_model, d_model)
            self.v = nn.Linear(d_model, d_model)

        def forward(self, x):
            scores = self.q(x) @ self.k(x).mT / self.d_k**0.5
            return scores.softmax(-1) @ self.v(x)

    report = judged(SelfAttention)
    assert report.holds, report
