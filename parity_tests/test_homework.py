"""Classes as courses write them: made, read, asked and judged."""

import numpy as np
import pytest
import torch
from torch import nn

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

    class ThirdAttention(OtherAttention):
        def forward(self, x, rate): ...

    with pytest.raises(ValueError, match="got also rate"):
        judge_class(ThirdAttention)
    with pytest.raises(ValueError, match="one of self_attention"):
        judge_class(nn.Linear)


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
