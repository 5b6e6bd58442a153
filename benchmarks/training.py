"""Races of training: one step in NumPy, beside the PyTorch twin.

4 layers, d_model 128, 8 × 256 tokens, float32, dropout 0.1: gradients,
clipping, AdamW. Both sides take the same batches; drawing them is not
timed. A step multiplies every weight with every token three times:
forward, and for the gradients of both.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from numpy_ref.checkpoints.gpt2_config import Gpt2Config, parameter_count
from numpy_ref.training.initial_weights import initial_gpt2
from numpy_ref.training.steps import (
    TrainingSettings,
    draw_batch,
    initial_state,
    training_step,
)

from .races import Race

CONFIG = Gpt2Config(512, 256, 128, 512, 4, 4, 1e-5)
SETTINGS = TrainingSettings(context_length=256, batch_size=8, steps=1000)
REACH = 1.5
SEED = 0


def races(quick: bool = False) -> Iterator[Race]:
    generator = np.random.default_rng(SEED)
    tokens = SETTINGS.batch_size * SETTINGS.context_length
    yield Race(
        f"a step of {SETTINGS.batch_size} × {SETTINGS.context_length}",
        {"NumPy": our_step(generator), "PyTorch": their_step(generator)},
        REACH,
        operations=6 * parameter_count(CONFIG) * tokens,
        prepare=partial(prepared, generator),
    )


def prepared(generator: np.random.Generator) -> tuple:
    return (new_batch(generator),)


def new_batch(generator: np.random.Generator):
    ids = generator.integers(0, CONFIG.vocabulary, 5000)
    return draw_batch(ids, generator, CONFIG, SETTINGS)


def our_step(generator: np.random.Generator) -> Callable:
    state = initial_state(initial_gpt2(CONFIG, generator))

    def step(batch):
        nonlocal state
        state, _ = training_step(state, batch, CONFIG, SETTINGS)

    return step


def their_step(generator: np.random.Generator) -> Callable:
    from parity_tests.oracles import training

    model = training.twin_of(initial_gpt2(CONFIG, generator), CONFIG)
    optimizer = training.adamw_for(
        model, SETTINGS.betas, SETTINGS.epsilon, SETTINGS.decay
    )

    def step(batch):
        training.their_step(
            model,
            optimizer,
            training.for_their_model(batch, CONFIG, SETTINGS),
            SETTINGS.highest,
            SETTINGS.most,
        )

    return step
