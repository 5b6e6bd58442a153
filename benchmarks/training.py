"""Benchmark of training: one step in NumPy, beside the PyTorch twin.

    python -m benchmarks.training

4 layers, d_model 128, 8 × 256 tokens, float32, dropout 0.1: gradients,
clipping, AdamW. Both sides take the same batches, in turn in this one
process, on the same number of threads; drawing the batch is not timed.
For the peaks of memory each side has a process of its own.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

from numpy_ref.checkpoints.gpt2_config import Gpt2Config
from numpy_ref.training.initial_weights import initial_gpt2
from numpy_ref.training.steps import (
    TrainingSettings,
    draw_batch,
    initial_state,
    training_step,
)

CONFIG = Gpt2Config(512, 256, 128, 512, 4, 4, 1e-5)
SETTINGS = TrainingSettings(context_length=256, batch_size=8, steps=1000)
REACH = 1.5
SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print_peak(arguments.peak)
    else:
        compare(arguments.rounds)


def compare(rounds: int) -> None:
    import torch

    peaks = {side: peak(side) for side in SIDES}
    generator = np.random.default_rng(SEED)
    steps = {side: make(generator) for side, make in SIDES.items()}
    times = {side: [] for side in SIDES}
    for _ in range(rounds + 1):
        batch = new_batch(generator)
        for side, step in steps.items():
            times[side].append(seconds(step, batch))
    warm = {side: timed[1:] for side, timed in times.items()}
    table = Table("", *SIDES, "ratio", "reach")
    for what, view in (("best", min), ("median", median)):
        ours, theirs = (1000 * view(timed) for timed in warm.values())
        table.add_row(
            f"one step, ms, {what} of {rounds}",
            f"{ours:.0f}",
            f"{theirs:.0f}",
            f"{ours / theirs:.2f}",
            f"<= {REACH}",
        )
    ours, theirs = peaks.values()
    table.add_row(
        "peak of memory, MiB",
        *(f"{p:.0f}" for p in peaks.values()),
        f"{ours / theirs:.2f}",
        "",
    )
    Console(width=100).print(table)
    print(
        f"{SETTINGS.batch_size} × {SETTINGS.context_length} tokens, "
        f"{CONFIG.layers} layers, d_model {CONFIG.d_model}, vocabulary "
        f"{CONFIG.vocabulary}; NumPy {np.__version__}, PyTorch "
        f"{torch.__version__} on {torch.get_num_threads()} threads"
    )


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


SIDES = {"NumPy": our_step, "the PyTorch twin": their_step}


def seconds(step: Callable, batch) -> float:
    begin = time.perf_counter()
    step(batch)
    return time.perf_counter() - begin


def peak(side: str) -> float:
    """The peak of a process that does one side's steps only."""
    command = [sys.executable, "-m", "benchmarks.training", "--peak", side]
    run = subprocess.run(
        command, capture_output=True, text=True, check=True
    )
    return float(run.stdout)


def print_peak(side: str) -> None:
    """The most memory this process has had at once, in MiB."""
    generator = np.random.default_rng(SEED)
    step = SIDES[side](generator)
    for _ in range(2):
        step(new_batch(generator))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
