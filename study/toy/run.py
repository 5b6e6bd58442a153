"""Running the toy: trained, then asked what it was never trained on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array

from numpy_ref.training.steps import StepMetrics, TrainState, initial_state
from numpy_ref.training.transformer import (
    Pairs,
    TransformerConfig,
    TransformerSettings,
    averaged,
    initial_transformer,
    transformer_step,
)
from numpy_ref.variants.transformer import Transformer, transformer

from .tasks import (
    BEGIN,
    END,
    PAD,
    TASKS,
    TOKENS,
    Sequence,
    draw_sources,
    pairs_of,
)

CONFIG = TransformerConfig(
    vocabulary=len(TOKENS), d_model=32, d_ff=64, heads=2, layers=1
)
SETTINGS = TransformerSettings(warm_up_steps=400)
BATCH_SIZE = 64
HELD_OUT = 500
AVERAGED, APART = 5, 20  # checkpoints, and the steps between two


@dataclass(frozen=True)
class Toy:
    """A task, the length of its longest sequences, and the random seed."""

    task: str
    length: int
    seed: int = 0

    @property
    def answer(self) -> Callable[[Sequence], Sequence]:
        return TASKS[self.task]


def held_out(toy: Toy) -> list[Sequence]:
    """The sources that the model is asked and never trained on."""
    generator = np.random.default_rng([toy.seed, 1])
    return draw_sources(generator, HELD_OUT, toy.length)


def train_toy(
    toy: Toy,
    steps: int,
    dtype: str = "float32",
    config: TransformerConfig = CONFIG,
) -> Iterator[tuple[TrainState, StepMetrics, Pairs]]:
    """The states after each step, with the batch that the step has seen."""
    generator = np.random.default_rng(toy.seed)
    state = initial_state(initial_transformer(config, generator, dtype))
    without = frozenset(held_out(toy))
    for _ in range(steps):
        sources = draw_sources(generator, BATCH_SIZE, toy.length, without)
        pairs = pairs_of(sources, toy.answer)
        state, metrics = transformer_step(
            state, pairs, config, SETTINGS, PAD
        )
        yield state, metrics, pairs


def trained(
    toy: Toy, steps: int, report: Callable[[StepMetrics], None]
) -> Transformer:
    """The mean of a training's last models; each step is reported."""
    models = []
    for state, metrics, _ in train_toy(toy, steps):
        report(metrics)
        if (steps - metrics.step) % APART == 0:
            models = [*models, state.params][-AVERAGED:]
    return averaged(models)


def greedy_decoding(
    params: Transformer,
    source_ids: Array,
    source_mask: Array,
    most: int,
    config: TransformerConfig = CONFIG,
) -> Array:
    """Greedy decoding: again and again the likeliest token, `most` times.

    What comes after an [END] is no part of an answer.
    """
    written = np.full((len(source_ids), 1), BEGIN)
    for _ in range(most):
        logits = transformer(
            *(source_ids, written, source_mask, params),
            *(config.heads, config.epsilon),
        )[-1]
        likeliest = logits[:, -1:].argmax(axis=-1)
        written = np.concatenate([written, likeliest], axis=-1)
    return written[:, 1:]


def answers(
    params: Transformer, sources: list[Sequence], length: int
) -> list[Sequence]:
    """What the model answers to each source, up to its [END]."""
    pairs = pairs_of(sources, lambda source: source)
    written = greedy_decoding(
        *(params, pairs.source_ids, pairs.source_mask, length + 1)
    )
    return [up_to_the_end(tuple(row)) for row in written.tolist()]


def up_to_the_end(row: Sequence) -> Sequence:
    """A row before its first [END]; all of it, where there is none."""
    return row[: row.index(END)] if END in row else row


def count_right(toy: Toy, params: Transformer) -> int:
    """How many of the held-out sources have the right answer, whole."""
    sources = held_out(toy)
    given = answers(params, sources, toy.length)
    return sum(
        answer == toy.answer(source)
        for source, answer in zip(sources, given, strict=True)
    )
