"""Layers: what stands around attention in a transformer."""

from math import pi, sqrt

import torch
from jaxtyping import Bool, Float
from torch import Tensor as Array
from torch import nn

from .checked import check_not_negative, check_rate, checked


class Linear(nn.Linear):
    """Linear layer: `nn.Linear`, its arithmetic spelled out."""

    weight: Float[Array, "d_out d_in"]
    bias: Float[Array, " d_out"]

    def __init__(self, d_in: int, d_out: int):
        super().__init__(d_in, d_out)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch d_in"],
    ) -> Float[Array, "*batch d_out"]:
        y = x @ self.weight.transpose(-2, -1) + self.bias
        return y


@checked
def dropout(
    x: Float[Array, "*shape"],
    dropout_mask: Bool[Array, "*#shape"],
    rate: float,
) -> Float[Array, "*shape"]:
    check_rate("rate", rate)
    kept = torch.where(dropout_mask, x, 0)
    y = kept / (1 - rate)
    return y


class LayerNorm(nn.Module):
    weight: Float[Array, " d_model"]
    bias: Float[Array, " d_model"]

    def __init__(self, d_model: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model))

    @checked
    def forward(
        self,
        x: Float[Array, "*batch d_model"],
        epsilon: float,
    ) -> Float[Array, "*batch d_model"]:
        check_not_negative("epsilon", epsilon)
        mean = x.mean(dim=-1, keepdim=True)
        centred = x - mean
        variance = centred.square().mean(dim=-1, keepdim=True)
        deviation = torch.sqrt(variance + epsilon)
        normalised = centred / deviation
        y = normalised * self.weight + self.bias
        return y


@checked
def gelu(
    x: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    probability = torch.special.ndtr(x)
    y = x * probability
    return y


@checked
def gelu_tanh(
    x: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    cubic = x + 0.044715 * x**3
    tanh = torch.tanh(sqrt(2 / pi) * cubic)
    y = x / 2 * (1 + tanh)
    return y


class FeedForward(nn.Module):
    inner: Linear
    output: Linear

    def __init__(self, d_model: int, d_ff: int):
        super().__init__()
        self.inner = Linear(d_model, d_ff)
        self.output = Linear(d_ff, d_model)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch d_model"],
    ) -> Float[Array, "*batch d_model"]:
        inner = self.inner(x)
        activated = gelu(inner)
        y = self.output(activated)
        return y


class FeedForwardTanh(FeedForward):
    @checked
    def forward(
        self,
        x: Float[Array, "*batch d_model"],
    ) -> Float[Array, "*batch d_model"]:
        inner = self.inner(x)
        activated = gelu_tanh(inner)
        y = self.output(activated)
        return y
