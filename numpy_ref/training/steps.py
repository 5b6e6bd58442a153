"""Training a GPT-2: draw a batch, find the gradients, take a step.

Functions from one state to the next; nothing is changed in place. What
chance decides is drawn beforehand, from the one generator, and handed to
the step: so another implementation can take the very same steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite, log
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray as Array
from numpy.random import Generator

from ..checked import check_at_least
from ..checkpoints.gpt2_config import Gpt2Config
from ..gpt2 import Gpt2
from ..gpt2_training import gpt2_loss_backward
from ..optimizer import gradient_norm, learning_rate
from ..parameters import state_dict
from ..windows import windows
from .adamw import Moments, adamw, clip_all, no_moments

IGNORED = -100  # a target that does not count
DIVERGED = 2  # so many times the loss of a uniform guess


@dataclass(frozen=True)
class TrainingSettings:
    """Of a batch, of the schedule, and of AdamW; `most` is for clipping."""

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


class Batch(NamedTuple):
    """Windows of a text, their targets, and what dropout keeps."""

    ids: Int[Array, "batch position"]
    targets: Int[Array, "batch position"]
    keep_embedded: Bool[Array, "*#batch #position #d_model"]
    keep_weights: Bool[Array, "layers *#batch #head #position #position"]
    keep_found: Bool[Array, "layers *#batch #position #d_model"]
    keep_fed: Bool[Array, "layers *#batch #position #d_model"]


class TrainState(NamedTuple):
    """A model, the moments of its gradients, and the steps it has taken."""

    params: Gpt2
    moments: Moments
    step: int


class StepMetrics(NamedTuple):
    """What a step saw: the loss and the gradients' norm, before it."""

    step: int
    loss: float
    norm: float
    rate: float


def initial_state(params: Gpt2) -> TrainState:
    """A model that has taken no step yet."""
    return TrainState(params, no_moments(params), 0)


def draw_batch(
    ids: Int[Array, " token"],
    generator: Generator,
    config: Gpt2Config,
    settings: TrainingSettings,
) -> Batch:
    """Windows from anywhere in the text, and dropout's choices for them.

    Raises ValueError for a text that is shorter than one window with its
    targets.
    """
    size, context_length = settings.batch_size, settings.context_length
    check_at_least(
        f"tokens for a window of {context_length}",
        len(ids),
        context_length + 1,
    )
    starts = generator.integers(0, len(ids) - context_length, size)
    inputs, targets = windows(ids, starts, context_length)
    tokens = (size, context_length, config.d_model)
    square = (size, config.heads, context_length, context_length)

    def keep(*shape: int) -> Array:
        if settings.dropout == 0:
            return np.ones([1] * len(shape), bool)
        drawn = generator.random(shape, np.float32)
        return drawn >= settings.dropout

    return Batch(
        inputs,
        targets,
        keep(*tokens),
        *(
            np.stack([keep(*shape) for _ in range(config.layers)])
            for shape in (square, tokens, tokens)
        ),
    )


def training_step(
    state: TrainState,
    batch: Batch,
    config: Gpt2Config,
    settings: TrainingSettings,
) -> tuple[TrainState, StepMetrics]:
    """One step of AdamW, by the clipped gradients of the loss on a batch.

    Raises ValueError, with the step, when the loss shows that training
    has diverged: when it is no number, or far above that of a uniform
    guess, the logarithm of the vocabulary.
    """
    params, moments, step = state
    number = step + 1
    rate = learning_rate(
        number,
        settings.warm_up,
        settings.steps,
        settings.highest,
        settings.lowest,
    )
    one = params.norm.weight.dtype.type(1)
    # What overflows is found below, and named.
    with np.errstate(over="ignore", invalid="ignore"):
        loss, gradients = gpt2_loss_backward(
            one,
            batch.ids,
            batch.targets,
            params,
            *batch[2:],
            settings.dropout,
            config.heads,
            config.epsilon,
            IGNORED,
        )
        norm = gradient_norm(tuple(state_dict(gradients).values()))
    metrics = StepMetrics(number, float(loss), float(norm), rate)
    check_has_not_diverged(metrics, config.vocabulary)
    new_params, new_moments = adamw(
        params,
        clip_all(gradients, settings.most),
        moments,
        number,
        rate,
        settings.betas,
        settings.epsilon,
        settings.decay,
    )
    return TrainState(new_params, new_moments, number), metrics


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
    config: Gpt2Config,
    settings: TrainingSettings,
) -> Iterator[tuple[TrainState, StepMetrics]]:
    """The steps that are left, one by one.

    `generator` goes on with each. Raises ValueError as `draw_batch` and
    `training_step` do.
    """
    while state.step < settings.steps:
        batch = draw_batch(ids, generator, config, settings)
        state, metrics = training_step(state, batch, config, settings)
        yield state, metrics
