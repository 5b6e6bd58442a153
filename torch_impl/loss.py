"""Cross-entropy loss: how surprised a model is by the token that came."""

import torch
from jaxtyping import Float, Int
from torch import Tensor as Array
from torch import Tensor as Scalar

from .checked import check_at_least, check_indices, checked


@checked
def log_sum_exp(
    logits: Float[Array, "*batch vocabulary"],
) -> Float[Array, "*batch"]:
    maximum = logits.amax(dim=-1, keepdim=True)
    exponentials = torch.exp(logits - maximum)
    total = exponentials.sum(dim=-1, keepdim=True)
    joined = maximum + torch.log(total)
    logarithm = joined[..., 0]
    return logarithm


@checked
def cross_entropy(
    logits: Float[Array, "*batch vocabulary"],
    targets: Int[Array, "*batch"],
    ignored: int,
) -> Scalar:
    counts = targets != ignored
    check_at_least("targets that count", int(counts.sum()), 1)
    check_indices("targets", targets[counts], logits.shape[-1])
    known = torch.where(counts, targets, 0)
    chosen = logits.gather(-1, known[..., None])
    surprise = log_sum_exp(logits) - chosen[..., 0]
    losses = torch.where(counts, surprise, 0)
    loss = losses.sum() / counts.sum(dtype=losses.dtype)
    return loss
