"""Training steps: draw a batch, compute the gradients, take a step.

Functions from one state to the next; nothing is changed in place. Random
numbers are drawn beforehand, from one generator, and handed to the step:
so another implementation can take the very same steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite, log
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from numpy import ndarray as Array
from numpy.random import Generator

from ..checked import check_at_least
from ..gpt2 import Gpt2
from ..optimizer import gradient_norm, learning_rate
from ..parameters import state_dict
from ..variants.llama import Llama
from ..variants.transformer import Transformer
from ..windows import windows
from .adamw import Moments, adamw, clip_all, no_moments
from .architectures import Batch, Config, architecture_of

DIVERGED = 2  # times the loss of a uniform guess


@dataclass(frozen=True)
class TrainingSettings:
    """Training settings: batch, schedule, AdamW; `most` is for clipping."""

    context_length: int = 64
    batch_size: int = 16
    dropout: float = 0.1
    steps: int = 400
    warm_up: int = 20
    highest: float = 3e-3
    lowest: float = 3e-4
    most: float = 1.0
    betas: tuple[float, float] = (0.9, 0.99)
    epsilon: float = 1e-8
    decay: float = 0.1


class TrainState(NamedTuple):
    """Training state: a model, its moments, and the steps it has taken."""

    params: Gpt2 | Llama | Transformer
    moments: Moments
    step: int


class StepMetrics(NamedTuple):
    """Metrics of a step: loss and gradient norm are from before it."""

    step: int
    loss: float
    norm: float
    rate: float


def initial_state(params: Gpt2 | Llama | Transformer) -> TrainState:
    """A model that has taken no step yet."""
    return TrainState(params, no_moments(params), 0)


def draw_batch(
    ids: Int[Array, " token"],
    generator: Generator,
    config: Config,
    settings: TrainingSettings,
) -> Batch:
    """A batch: windows from anywhere in the text, and dropout's masks.

    Raises ValueError for a text that is shorter than one window with its
    targets.
    """
    length = settings.context_length
    check_at_least(f"tokens for a window of {length}", len(ids), length + 1)
    starts = generator.integers(0, len(ids) - length, settings.batch_size)
    inputs, targets = windows(ids, starts, length)
    dropout_masks = architecture_of(config).masks(
        generator, config, inputs.shape, settings.dropout
    )
    return Batch(inputs, targets, dropout_masks)


def training_step(
    state: TrainState,
    batch: Batch,
    config: Config,
    settings: TrainingSettings,
) -> tuple[TrainState, StepMetrics]:
    """Training step: AdamW, by the clipped gradients of a batch's loss.

    Raises ValueError, with the step, when the loss shows that training
    has diverged: when it is no number, or far above that of a uniform
    guess, the logarithm of the vocabulary's size.
    """
    step = state.step + 1
    rate = rate_of(step, settings)
    loss, norm, gradients = loss_and_gradients(
        state.params, batch, config, settings.dropout
    )
    metrics = StepMetrics(step, loss, norm, rate)
    check_has_not_diverged(metrics, config.vocabulary)
    params, moments = adamw(
        *(state.params, clip_all(gradients, settings.most)),
        *(state.moments, step, rate),
        *(settings.betas, settings.epsilon, settings.decay),
    )
    return TrainState(params, moments, step), metrics


def rate_of(step: int, settings: TrainingSettings) -> float:
    """Learning rate of a step, by the schedule of the settings."""
    return learning_rate(
        *(step, settings.warm_up, settings.steps),
        *(settings.highest, settings.lowest),
    )


def loss_and_gradients(
    params: Gpt2 | Llama, batch: Batch, config: Config, rate: float
) -> tuple[float, float, Gpt2 | Llama]:
    """Loss on a batch, norm of its gradients, and the gradients.

    NumPy does not warn of an overflow here: it shows in the norm.
    """
    backward = architecture_of(config).backward
    with np.errstate(over="ignore", invalid="ignore"):
        loss, gradients = backward(params, batch, config, rate)
        norm = gradient_norm(tuple(state_dict(gradients).values()))
    return float(loss), float(norm), gradients


def check_has_not_diverged(metrics: StepMetrics, vocabulary: int) -> None:
    """Raise ValueError for a loss that no learning model has."""
    uniform = log(vocabulary)
    if isfinite(metrics.norm) and metrics.loss <= DIVERGED * uniform + 1:
        return
    raise ValueError(
        f"expected a loss near or below that of a uniform guess, "
        f"{uniform:.2f}, got {metrics.loss:.4g} at step {metrics.step}, "
        f"with gradients of norm {metrics.norm:.3g}: training has "
        f"diverged; a learning rate below {metrics.rate:.3g} may help"
    )


def train(
    state: TrainState,
    ids: Int[Array, " token"],
    generator: Generator,
    config: Config,
    settings: TrainingSettings,
) -> Iterator[tuple[TrainState, StepMetrics]]:
    """Training loop: the steps that are left, one by one.

    `generator` goes on with each. Raises ValueError as `draw_batch` and
    `training_step` do.
    """
    while state.step < settings.steps:
        batch = draw_batch(ids, generator, config, settings)
        state, metrics = training_step(state, batch, config, settings)
        yield state, metrics
