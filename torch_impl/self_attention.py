"""Self-attention, one idea at a time."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor as Array
from torch import nn

from .attention import attention_scores, attention_with_dropout, softmax
from .checked import checked
from .layers import Linear
from .masks import causal_mask


@checked
def simple_attention(
    x: Float[Array, "*batch position d_model"],
) -> Float[Array, "*batch position d_model"]:
    similarity = x @ x.transpose(-2, -1)
    weights = softmax(similarity)
    context = weights @ x
    return context


class MatrixAttention(nn.Module):
    query: Float[Array, "d_model d_head"]
    key: Float[Array, "d_model d_head"]
    value: Float[Array, "d_model d_head"]

    def __init__(self, d_model: int, d_head: int):
        super().__init__()
        self.query = nn.Parameter(torch.rand(d_model, d_head))
        self.key = nn.Parameter(torch.rand(d_model, d_head))
        self.value = nn.Parameter(torch.rand(d_model, d_head))

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
    ) -> Float[Array, "*batch position d_head"]:
        query = x @ self.query
        key = x @ self.key
        value = x @ self.value
        scores = attention_scores(query, key)
        weights = softmax(scores)
        context = weights @ value
        return context


class SelfAttention(nn.Module):
    query: Linear
    key: Linear
    value: Linear

    def __init__(self, d_model: int, d_head: int):
        super().__init__()
        self.query = Linear(d_model, d_head)
        self.key = Linear(d_model, d_head)
        self.value = Linear(d_model, d_head)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
    ) -> Float[Array, "*batch position d_head"]:
        query = self.query(x)
        key = self.key(x)
        value = self.value(x)
        scores = attention_scores(query, key)
        weights = softmax(scores)
        context = weights @ value
        return context


class CausalAttention(SelfAttention):
    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        dropout_mask: Bool[Array, "*#batch #position #position"],
        rate: float,
    ) -> Float[Array, "*batch position d_head"]:
        query = self.query(x)
        key = self.key(x)
        value = self.value(x)
        mask = causal_mask(x.shape[-2], x.shape[-2]).to(x.device)
        context = attention_with_dropout(
            query, key, value, mask, dropout_mask, rate
        )
        return context
