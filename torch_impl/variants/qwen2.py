"""Qwen 2: a Llama whose queries, keys and values have biases."""

from torch import nn

from ..layers import Linear
from .grouped_queries import GroupedQueryAttention


def with_biases(model: nn.Module) -> nn.Module:
    """The model with biases in all its queries, keys and values.

    Their layers are made anew, with random weights.
    """
    for part in model.modules():
        if isinstance(part, GroupedQueryAttention):
            for name in ("query", "key", "value"):
                d_out, d_in = getattr(part, name).weight.shape
                setattr(part, name, Linear(d_in, d_out))
    return model
