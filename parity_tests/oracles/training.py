"""Oracle for training: autograd and `torch.optim.AdamW`.

Both sides get the same weights, batches and dropout masks.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from numpy_ref.checkpoints.gpt2_config import Gpt2Config
from numpy_ref.checkpoints.llama_config import LlamaConfig
from numpy_ref.gpt2 import Gpt2
from numpy_ref.optimizer import learning_rate
from numpy_ref.parameters import state_dict
from numpy_ref.training.architectures import (
    IGNORED,
    Batch,
    Config,
    architecture_of,
)
from numpy_ref.training.steps import (
    TrainingSettings,
    draw_batch,
    initial_state,
    training_step,
)
from numpy_ref.variants.llama import Llama
from parity_tests.twins.case import to_torch
from parity_tests.twins.loading import made
from torch_impl.gpt2_training import Gpt2Loss
from torch_impl.variants.llama_training import LlamaLoss


class Step(NamedTuple):
    """One step on both sides: losses, norms, and the weights after it."""

    losses: tuple[float, float]
    norms: tuple[float, float]
    rate: float
    ours: dict[str, np.ndarray]
    theirs: dict[str, np.ndarray]


def twin_of(params: Gpt2 | Llama, config: Config) -> nn.Module:
    """PyTorch's model with a copy of these weights."""
    kind = LlamaLoss if isinstance(config, LlamaConfig) else Gpt2Loss
    dtype = getattr(torch, params.norm.weight.dtype.name)
    model = made(kind, config).to(dtype)
    model.load_state_dict(
        {n: torch.tensor(array) for n, array in state_dict(params).items()}
    )
    return model


def for_their_model(
    batch: Batch, config: Config, settings: TrainingSettings
) -> dict:
    """The arguments of their model."""
    tensors = {
        name: to_torch(value)
        for name, value in batch._asdict().items()
        if value is not None
    }
    numbers = {
        "heads": config.heads,
        "epsilon": config.epsilon,
        "ignored": IGNORED,
    }
    if not isinstance(config, LlamaConfig):
        return tensors | numbers | {"rate": settings.dropout}
    rotary = ("key_heads", "d_head", "base")
    return (
        tensors | numbers | {name: getattr(config, name) for name in rotary}
    )


def adamw_for(
    model: nn.Module,
    betas: tuple[float, float],
    epsilon: float,
    decay: float,
) -> torch.optim.AdamW:
    """AdamW; parameters of fewer than two axes have no weight decay."""
    wide = [part for part in model.parameters() if part.ndim > 1]
    flat = [part for part in model.parameters() if part.ndim <= 1]
    return torch.optim.AdamW(
        [{"params": wide}, {"params": flat, "weight_decay": 0.0}],
        betas=betas,
        eps=epsilon,
        weight_decay=decay,
    )


def their_step(
    model: nn.Module,
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


def both_trained(ids, config, settings, seed=0, dtype="float64"):
    """Train both sides, and yield each step."""
    generator = np.random.default_rng(seed)
    initial = architecture_of(config).initial
    state = initial_state(initial(config, generator, dtype))
    model = twin_of(state.params, config)
    optimizer = adamw_for(
        model, settings.betas, settings.epsilon, settings.decay
    )
    for step in range(1, settings.steps + 1):
        batch = draw_batch(ids, generator, config, settings)
        state, metrics = training_step(state, batch, config, settings)
        rate = learning_rate(
            step,
            settings.warm_up,
            settings.steps,
            settings.highest,
            settings.lowest,
        )
        loss, norm = their_step(
            model,
            optimizer,
            for_their_model(batch, config, settings),
            rate,
            settings.most,
        )
        yield Step(
            (metrics.loss, loss),
            (metrics.norm, norm),
            rate,
            state_dict(state.params),
            {
                name: part.detach().numpy().copy()
                for name, part in model.named_parameters()
            },
        )


def config_of(**sizes) -> Gpt2Config:
    """A small GPT-2, with these sizes changed."""
    small = Gpt2Config(300, 32, 32, 128, 2, 4, 1e-5)
    return replace(small, **sizes)
