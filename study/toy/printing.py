"""Printing the toy: losses as it learns, and one answer in the end."""

import time

from bert_viz.attention import Attention
from numpy_ref.training.steps import StepMetrics
from numpy_ref.variants.transformer import Transformer

from .run import HELD_OUT, Toy, answers, count_right, held_out, trained
from .showing import cross_attention_of, mean_of, table_of
from .tasks import TOKENS, Sequence

EVERY = 100  # steps between two lines


class Losses:
    """The losses of a training, of which a mean is printed now and then."""

    def __init__(self, steps: int):
        self.steps, self.since = steps, []

    def report(self, metrics: StepMetrics) -> None:
        self.since.append(metrics.loss)
        if metrics.step % EVERY and metrics.step != self.steps:
            return
        mean = sum(self.since) / len(self.since)
        print(
            f"step {metrics.step:5}   loss {mean:.3f}   "
            f"rate {metrics.rate:.2e}",
            flush=True,
        )
        self.since = []


def print_training(toy: Toy, steps: int) -> Transformer:
    """Train, and count the right answers; the trained model."""
    began = time.perf_counter()
    params = trained(toy, steps, Losses(steps).report)
    seconds = time.perf_counter() - began
    right = count_right(toy, params)
    print(
        f"{right} of {HELD_OUT} sequences that it was never trained on are "
        f"right ({right / HELD_OUT:.1%}), after {seconds:.0f} s."
    )
    return params


def print_example(toy: Toy, params: Transformer, steps: int) -> Attention:
    """The longest of the held-out sources, its answer, and how it looks."""
    source = max(held_out(toy), key=len)
    (answer,) = answers(params, [source], toy.length)
    about = f"{toy.task} {digits(source)}, a toy after {steps} steps"
    attention = cross_attention_of(params, source, toy.length, about)
    print(
        f"\n{toy.task}: {digits(source)}\nanswer: {digits(answer)}\n\n"
        "Where it looks, in percent: cross-attention of the last layer,\n"
        f"{mean_of(attention)}. Rows: what it writes. Columns: the source."
        "\n"
    )
    for line in table_of(attention):
        print(line)
    return attention


def digits(sequence: Sequence) -> str:
    return " ".join(TOKENS[index] for index in sequence)
