"""Label smoothing: what came is not the only thing that could have come."""

import torch
from jaxtyping import Float, Int
from torch import Tensor as Array
from torch import Tensor as Scalar

from ..checked import (
    check_at_least,
    check_indices,
    check_probability,
    checked,
)
from ..loss import log_sum_exp


@checked
def smoothed_cross_entropy(
    logits: Float[Array, "*batch vocabulary"],
    targets: Int[Array, "*batch"],
    smoothing: float,
    ignored: int,
) -> Scalar:
    check_probability("smoothing", smoothing)
    counts = targets != ignored
    check_at_least("targets that count", int(counts.sum()), 1)
    check_indices("targets", targets[counts], logits.shape[-1])
    known = torch.where(counts, targets, 0)
    chosen = logits.gather(-1, known[..., None])
    logarithm = log_sum_exp(logits)
    surprise = logarithm - chosen[..., 0]
    mean_surprise = logarithm - logits.mean(dim=-1)
    smoothed = (1 - smoothing) * surprise + smoothing * mean_surprise
    losses = torch.where(counts, smoothed, 0)
    loss = losses.sum() / counts.sum(dtype=losses.dtype)
    return loss
