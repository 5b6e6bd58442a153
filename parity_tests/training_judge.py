"""The same training in PyTorch: same weights, batches, dropout masks."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from numpy_ref.gpt2 import Gpt2
from numpy_ref.gpt2_config import Gpt2Config
from numpy_ref.initial_weights import initial_gpt2
from numpy_ref.optimizer import learning_rate
from numpy_ref.parameters import state_dict
from numpy_ref.training import (
    IGNORED,
    Batch,
    TrainingSettings,
    beginner,
    draw_batch,
    training_step,
)
from torch_impl import training as theirs
from torch_impl.gpt2_training import Gpt2Loss


class Step(NamedTuple):
    """One step on both sides: losses, norms, and weights after it."""

    losses: tuple[float, float]
    norms: tuple[float, float]
    rate: float
    ours: dict[str, np.ndarray]
    theirs: dict[str, np.ndarray]


def twin_of(params: Gpt2, config: Gpt2Config) -> Gpt2Loss:
    """PyTorch's model with a copy of these weights."""
    model = Gpt2Loss(
        config.vocabulary,
        config.positions,
        config.d_model,
        config.d_inner,
        config.layers,
    ).to(getattr(torch, params.norm.weight.dtype.name))
    model.load_state_dict(
        {n: torch.tensor(array) for n, array in state_dict(params).items()}
    )
    return model


def for_their_model(
    batch: Batch, config: Gpt2Config, settings: TrainingSettings
) -> dict:
    """The arguments of their model."""
    tensors = {
        name: torch.from_numpy(np.ascontiguousarray(array))
        for name, array in batch._asdict().items()
    }
    return tensors | {
        "rate": settings.dropout,
        "heads": config.heads,
        "epsilon": config.epsilon,
        "ignored": IGNORED,
    }


def both_trained(ids, config, settings, seed=0, dtype="float64"):
    """Step after step, on both sides."""
    generator = np.random.default_rng(seed)
    learner = beginner(initial_gpt2(config, generator, dtype))
    model = twin_of(learner.params, config)
    optimizer = theirs.adamw_for(
        model, settings.betas, settings.epsilon, settings.decay
    )
    for number in range(1, settings.steps + 1):
        batch = draw_batch(ids, generator, config, settings)
        learner, taken = training_step(learner, batch, config, settings)
        rate = learning_rate(
            number,
            settings.warm_up,
            settings.steps,
            settings.highest,
            settings.lowest,
        )
        loss, norm = theirs.training_step(
            model,
            optimizer,
            for_their_model(batch, config, settings),
            rate,
            settings.most,
        )
        yield Step(
            (taken.loss, loss),
            (taken.norm, norm),
            rate,
            state_dict(learner.params),
            {
                name: part.detach().numpy().copy()
                for name, part in model.named_parameters()
            },
        )


def config_of(**sizes) -> Gpt2Config:
    """A small GPT-2, but for the sizes that are given."""
    small = Gpt2Config(300, 32, 32, 128, 2, 4, 1e-5)
    return replace(small, **sizes)
