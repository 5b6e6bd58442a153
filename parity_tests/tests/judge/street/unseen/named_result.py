"""The result is a named tuple: the context, and the weights beside it."""

from typing import NamedTuple

import torch


class AttentionOutput(NamedTuple):
    context: torch.Tensor
    weights: torch.Tensor


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    keep: torch.BoolTensor | None = None,
) -> AttentionOutput:
    scores = query @ key.mT * key.shape[-1] ** -0.5
    if keep is not None:
        scores = torch.where(keep, scores, -torch.inf)
    weights = scores.softmax(-1)
    return AttentionOutput(weights @ value, weights)
