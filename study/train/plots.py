"""Plots of training: the drift between both sides, and the scale.

    python -m study.train.plots FOLDER

`drift.png`: the same 20 steps in NumPy and in PyTorch, in float64, and how
far apart each entry of each parameter ends up. `scale.png`: the same
training with and without 1/√d_head, and what that does to losses, to the
attention of each layer, and to the gradients; once from GPT-2's initial
weights, so small that scores begin near 0, and once from queries and keys
of variance 1, for which the scale was made.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import log, sqrt
from pathlib import Path
from unittest import mock

import numpy as np
from numpy import ndarray as Array

from numpy_ref import attention, gpt2, multi_head
from numpy_ref.checkpoints.gpt2_config import Gpt2Config
from numpy_ref.parameters import from_state_dict, state_dict
from numpy_ref.tokenizers.bpe_tokenizer import BytePairTokenizer
from numpy_ref.tokenizers.bpe_training import train_bpe
from numpy_ref.training.initial_weights import DEVIATION, initial_gpt2
from numpy_ref.training.steps import (
    TrainingSettings,
    draw_batch,
    initial_state,
    training_step,
)
from parity_tests.oracles.training import Step, both_trained

from ..text import corpus as texts

VOCABULARY = 512
DRIFT = (
    Gpt2Config(VOCABULARY, 32, 64, 256, 4, 4, 1e-5),
    TrainingSettings(
        context_length=32, batch_size=4, steps=20, warm_up=4, highest=3e-3
    ),
)
SCALE = (
    Gpt2Config(VOCABULARY, 64, 128, 512, 4, 2, 1e-5),
    TrainingSettings(
        context_length=64, batch_size=8, steps=200, warm_up=20, highest=1e-3
    ),
)
EVERY = 5  # steps between two looks at the attention
BLUE, ORANGE, GREY = "#1f77b4", "#d95f02", "#888888"


def main(folder: Path) -> None:
    text = texts.read_corpus("the-verdict")
    merges = train_bpe(text, VOCABULARY)
    ids = BytePairTokenizer(merges).encode_ordinary(text)
    folder.mkdir(parents=True, exist_ok=True)
    plot_drift(list(both_trained(ids, *DRIFT)), folder / "drift.png")
    beginnings = {
        "GPT-2's initial weights (0.02)": DEVIATION,
        "queries and keys of variance 1": 1 / sqrt(SCALE[0].d_model),
    }
    runs = {
        title: {
            "with 1/√d": scaled_run(ids, *SCALE, deviation),
            "without": unscaled_run(ids, *SCALE, deviation),
        }
        for title, deviation in beginnings.items()
    }
    plot_scale(runs, folder / "scale.png")


def plot_drift(steps: list[Step], path: Path) -> None:
    """Left, each parameter's worst entry; right, each entry at the end."""
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.5))
    numbered = range(1, len(steps) + 1)
    bound = DRIFT[1].highest
    for name in steps[0].ours:
        key_bias = name.endswith("key.bias")
        left.plot(
            numbered,
            [relative(step, name) for step in steps],
            color=ORANGE if key_bias else BLUE,
            linewidth=1.5 if key_bias else 0.6,
        )
    left.axhline(1e-9, color=GREY, linestyle="--")
    left.text(1, 1.6e-9, "required: 1e-9", color=GREY)
    left.set(
        yscale="log",
        xlabel="step",
        title="a parameter's largest difference, over its largest entry",
    )
    left.plot([], [], color=ORANGE, label="key biases: gradient 0")
    left.plot([], [], color=BLUE, label="all other parameters")
    left.legend(loc="upper right", bbox_to_anchor=(1, 0.86))
    left.set_xticks(range(0, len(steps) + 1, 5))
    for keys, colour in ((False, BLUE), (True, ORANGE)):
        sizes, differences = entries(steps[-1], keys)
        right.scatter(
            sizes, differences, s=2, color=colour, alpha=0.4, linewidths=0
        )
    line = np.logspace(-16, 1, 50)
    right.plot(line, line, color=GREY, linewidth=0.8)
    right.text(4e-13, 2e-13, "as large as the entry", color=GREY)
    room = 1e-9 * bound * len(steps)
    right.axhline(room, color=GREY, linestyle="--")
    right.text(1e-15, 1.6 * room, "1e-9 · rate · steps", color=GREY)
    right.set(
        xscale="log",
        yscale="log",
        xlabel="size of the entry",
        ylim=(1e-21, 1e-8),
        title=f"difference of each entry after step {len(steps)}",
    )
    figure.suptitle(
        "The same training in NumPy and in PyTorch, float64: losses differ "
        f"by at most {worst_loss(steps):.0e} of their size"
    )
    finish(figure, path)


def relative(step: Step, name: str) -> float:
    difference = abs(step.ours[name] - step.theirs[name]).max()
    return max(difference / abs(step.theirs[name]).max(), 1e-17)


def entries(step: Step, keys: bool) -> tuple[Array, Array]:
    """Sizes and differences of all entries, of key biases or of others."""
    names = [n for n in step.ours if n.endswith("key.bias") == keys]
    ours, theirs = (
        np.concatenate([side[name].ravel() for name in names])
        for side in (step.ours, step.theirs)
    )
    differences = abs(ours - theirs)
    some = (differences > 0) & (theirs != 0)
    return abs(theirs)[some], differences[some]


def worst_loss(steps: list[Step]) -> float:
    return max(abs(a - b) / b for a, b in (s.losses for s in steps))


@dataclass
class Run:
    """The record of a training, step by step.

    `looks` are the steps at which the attention was looked at.
    """

    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    looks: list[int] = field(default_factory=list)
    entropies: list[list[float]] = field(default_factory=list)


def scaled_run(
    ids: Array,
    config: Gpt2Config,
    settings: TrainingSettings,
    deviation: float,
) -> Run:
    """Train with the scale, and look at the attention now and then.

    `deviation` is that of the initial weights of queries and keys.
    """
    generator = np.random.default_rng(0)
    params = with_deviation(initial_gpt2(config, generator), deviation)
    state, run = initial_state(params), Run()
    for step in range(settings.steps):
        batch = draw_batch(ids, generator, config, settings)
        if step % EVERY == 0:
            _, layers, _ = gpt2.gpt2(
                batch.ids, state.params, config.heads, config.epsilon
            )
            run.looks.append(step)
            run.entropies.append(
                [entropy(layer.weights) for layer in layers]
            )
        state, metrics = training_step(state, batch, config, settings)
        run.losses.append(metrics.loss)
        run.norms.append(metrics.norm)
    return run


def with_deviation(params: gpt2.Gpt2, deviation: float) -> gpt2.Gpt2:
    """The same weights, with those of queries and keys made larger."""
    factor = np.float32(deviation / DEVIATION)
    grown = (".query.weight", ".key.weight")
    arrays = state_dict(params)
    return from_state_dict(
        gpt2.Gpt2,
        {
            name: factor * array if name.endswith(grown) else array
            for name, array in arrays.items()
        },
    )


def unscaled_run(
    ids: Array,
    config: Gpt2Config,
    settings: TrainingSettings,
    deviation: float,
) -> Run:
    """Train without the scale."""
    with unscaled():
        return scaled_run(ids, config, settings, deviation)


@contextmanager
def unscaled() -> Iterator[None]:
    """Leave 1/√d_head out of the scores and of their gradient."""
    scores = mock.patch.object(multi_head, "attention_scores", bare_scores)
    learning = mock.patch.multiple(
        attention,
        attention_scores=bare_scores,
        attention_scores_backward=bare_scores_backward,
    )
    with scores, learning:
        yield


def bare_scores(query: Array, key: Array) -> Array:
    """$S = Q K^\\top$"""
    return query @ key.swapaxes(-2, -1)


def bare_scores_backward(
    d_scores: Array, query: Array, key: Array
) -> tuple[Array, Array]:
    return d_scores @ key, d_scores.swapaxes(-2, -1) @ query


def entropy(weights: Array) -> float:
    """Mean entropy of the rows, as a share of that of equal weights.

    The first row is left out: it has one key only.
    """
    some = np.where(weights > 0, weights, 1)
    rows = -(weights * np.log(some)).sum(axis=-1)[..., 1:]
    keys = np.arange(2, weights.shape[-1] + 1)
    return float((rows / np.log(keys)).mean())


def plot_scale(runs: dict[str, dict[str, Run]], path: Path) -> None:
    """Plot one row of panels for each pair of runs."""
    from matplotlib import pyplot

    figure, rows = pyplot.subplots(len(runs), 3, figsize=(14, 7.6))
    for row, (title, both) in zip(rows, runs.items(), strict=True):
        row[0].set_ylabel(title, fontsize=11)
        for (name, run), colour in zip(
            both.items(), (BLUE, ORANGE), strict=True
        ):
            plot_run(row, name, run, colour)
    first, second, third = rows[0]
    first.set_title("loss, mean of 10 steps")
    second.set_title("entropy of attention, as a share of equal weights'")
    third.set_title("norm of all gradients, before clipping")
    first.legend()
    third.legend()
    for axes in rows[-1]:
        axes.set_xlabel("step")
    rows[-1][1].set_xlabel("step (one line per layer, the first boldest)")
    config, settings = SCALE
    figure.suptitle(
        f"The Verdict, with and without 1/√d_head (d_head = "
        f"{config.d_model // config.heads}): same weights, batches and "
        f"dropout, {settings.steps} steps"
    )
    finish(figure, path)


def plot_run(row, name: str, run: Run, colour: str) -> None:
    """Losses, entropies and norms of one training."""
    first, second, third = row
    first.plot(smooth(run.losses), color=colour, label=name)
    first.axhline(log(VOCABULARY), color=GREY, linestyle="--")
    first.text(90, log(VOCABULARY) + 0.03, "uniform guess", color=GREY)
    for index, entropies in enumerate(zip(*run.entropies, strict=True)):
        second.plot(
            run.looks,
            entropies,
            color=colour,
            alpha=1 - 0.2 * index,
            linewidth=2 - 0.4 * index,
        )
    second.set(ylim=(0, 1.03))
    third.plot(run.norms, color=colour, alpha=0.25, linewidth=0.8)
    third.plot(smooth(run.norms), color=colour, label=name)
    third.set(yscale="log")


def smooth(values: list[float], width: int = 10) -> Array:
    """Moving average of the last `width`, or of as many as there are."""
    sums = np.cumsum([0.0, *values])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - width, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)


def finish(figure, path: Path) -> None:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    print(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default="plots")
    folder = parser.parse_args().folder
    try:
        import matplotlib
    except ModuleNotFoundError:
        sys.exit(
            "expected matplotlib to be installed, got none; "
            'pip install "attention-twice[plots]"'
        )
    matplotlib.use("Agg")
    try:
        main(folder)
    except ValueError as error:
        parser.exit(2, f"{error}\n")
