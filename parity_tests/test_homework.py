"""Classes as courses write them: made, read, asked and judged."""

import numpy as np
import pytest
import torch
from torch import nn

from torch_impl.multi_head import MultiHeadAttentionWithDropout

from .homework import D_OUT, HEADS, made, readings
from .homework_judging import judge_class, role_of


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
    report = judge_class(SelfAttention, examples=10)
    assert report.holds, report
    assert report.conventions.limits.batch_axes == (0,)


def test_a_joined_matrix_is_read_as_it_is_meant():
    report = judge_class(HeadsInOneMatrix, "multi_head_attention", 10)
    assert report.holds, report
    module = made(HeadsInOneMatrix, 0, torch.float64)
    layouts = [weights.layout for weights in readings(module, HEADS)]
    assert len(layouts) == 2
    assert "then of the next" in layouts[1]


def test_pytorchs_own_modules_weights_are_found_by_name():
    class Attention(nn.Module):
        def __init__(self, d_model, n_heads):
            super().__init__()
            self.to_q = nn.Linear(d_model, d_model)
            self.to_k = nn.Linear(d_model, d_model)
            self.to_v = nn.Linear(d_model, d_model)
            self.to_out = nn.Linear(d_model, d_model)

    (weights,) = readings(made(Attention, 0, torch.float32), HEADS)
    module = made(Attention, 0, torch.float32)
    np.testing.assert_array_equal(
        weights.key[0], module.to_k.weight.detach().numpy()
    )
    assert weights.output[1].shape == (D_OUT,)


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
    assert role_of(type(name, (nn.Module,), {})) == role


def test_what_cannot_be_made_or_read_is_told_in_words():
    class Attention(nn.Module):
        def __init__(self, d_in, d_out, temperature):
            super().__init__()

    with pytest.raises(ValueError, match="got also temperature"):
        judge_class(Attention)

    class OtherAttention(nn.Module):
        def __init__(self, d_model):
            super().__init__()
            self.alpha = nn.Linear(d_model, d_model)

        def forward(self, x):
            return x

    with pytest.raises(ValueError, match="named like W_query"):
        judge_class(OtherAttention)

    class ThirdAttention(SelfAttention):
        def forward(self, x, depth): ...

    with pytest.raises(ValueError, match="got also depth"):
        judge_class(ThirdAttention)
    with pytest.raises(ValueError, match="one of self_attention"):
        judge_class(nn.Linear)


def test_a_choice_of_dropout_given_from_outside_keeps_all():
    assert judge_class(MultiHeadAttentionWithDropout, examples=5).holds

    class Twisted(MultiHeadAttentionWithDropout):
        def forward(self, x, mask, keep, rate, heads):
            return super().forward(x, mask, ~keep, rate, heads)

    judged = judge_class(Twisted, "multi_head_attention", examples=5)
    assert judged.failed


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
    report = judge_class(kind, role_of(kind) or "self_attention", 5)
    assert report.holds, [f.failure.trouble for f in report.failed]


def test_a_first_token_that_sees_nothing_is_a_failure_like_any_other():
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

    report = judge_class(CausalAttention, examples=5)
    assert "equals_the_reference" in {f.name for f in report.failed}


def test_dropout_that_is_taken_and_ignored_is_seen():
    class DryAttention(SelfAttention):
        def __init__(self, d_in, d_out, dropout):
            super().__init__(d_in, d_out)

        def forward(self, x):
            scores = x @ self.W_query @ (x @ self.W_key).transpose(-2, -1)
            weights = torch.softmax(scores / self.W_key.shape[1] ** 0.5, -1)
            return weights @ (x @ self.W_value)

    report = judge_class(DryAttention, examples=5)
    assert [f.name for f in report.failed] == ["dropout_keeps_the_mean"]


def test_a_parameter_too_many_is_seen():
    class MoreAttention(SelfAttention):
        def __init__(self, d_in, d_out):
            super().__init__(d_in, d_out)
            self.spare = nn.Parameter(torch.zeros(3))

    report = judge_class(MoreAttention, examples=5)
    assert [finding.name for finding in report.failed] == [
        "every_parameter_is_one_of_the_layers"
    ]


def test_a_mask_that_is_taken_and_ignored_is_seen():
    class DeafAttention(HeadsInOneMatrix):
        def forward(self, x, mask=None):
            return super().forward(x)

    report = judge_class(DeafAttention, "multi_head_attention", 5)
    assert [finding.name for finding in report.failed] == [
        "a_mask_hides_what_it_should"
    ]


def test_tokens_that_are_changed_are_seen():
    class ChangingAttention(SelfAttention):
        def forward(self, x):
            context = super().forward(x)
            x += 1
            return context

    report = judge_class(ChangingAttention, examples=5)
    assert not report.holds
    assert "changed the tokens" in report.trouble
