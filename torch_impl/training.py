"""Training a GPT-2 as PyTorch would: autograd and torch.optim.AdamW."""

import torch
from torch import nn

from .gpt2_training import Gpt2Loss


def adamw_for(
    model: nn.Module,
    betas: tuple[float, float],
    epsilon: float,
    decay: float,
) -> torch.optim.AdamW:
    """AdamW for all parameters; one of fewer than two axes stays."""
    wide = [part for part in model.parameters() if part.ndim > 1]
    flat = [part for part in model.parameters() if part.ndim <= 1]
    return torch.optim.AdamW(
        [{"params": wide}, {"params": flat, "weight_decay": 0.0}],
        betas=betas,
        eps=epsilon,
        weight_decay=decay,
    )


def training_step(
    model: Gpt2Loss,
    optimizer: torch.optim.Optimizer,
    batch: dict,
    rate: float,
    most: float,
) -> tuple[float, float]:
    """One step in place; the loss and the gradients' norm before it.

    `batch` is what the model takes; `rate` is the step's learning rate,
    `most` the norm that gradients are clipped to.
    """
    optimizer.zero_grad()
    loss = model(**batch)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), most)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    return loss.item(), norm.item()
