"""How fast MiniLM's forward is, beside transformers' with attentions.

    python -m benchmarks.bert

Both sides compute all hidden states and attention weights of the same
texts, in float32, in this one process and on the same threads. They take
turns, each after the same pause and a forward that is not timed: threads
of the one that wait for more work would slow the other down (with
`--pause 0` they do, and it is theirs that suffers). The ratio is our time
by theirs: below 1 we are faster. That of the medians stands beside that
of the best times, which a busy machine disturbs less. Memory is what a
process of its own adds to its peak (`ru_maxrss`) from after its imports
to after a few forwards: the weights, and what they work with.

`OPENBLAS_CORETYPE` and `OPENBLAS_L2_SIZE` change what NumPy gets out of
a machine; leave them unset.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from numpy_ref.bert import bert
from numpy_ref.bert_checkpoint import BertCheckpoint, load_bert
from numpy_ref.masks import padding_mask
from numpy_ref.model_folders import find_model

ROUNDS, WARM_UP = 15, 3
PAUSE = 0.1  # seconds
FORWARDS = 5  # in a process whose memory is measured

# Lengths of the texts in a batch, and the ratio to stay below. ALONE is
# the same batch, which our side takes text by text, without the padding.
LENGTHS = [128, 121, 110, 96, 81, 64, 40, 17]
ALONE = "8 × 128, ours one by one"
WORKS = {
    "1 × 128": ([128], 0.85),
    "8 × 128, padded": (LENGTHS, 1.0),
    ALONE: (LENGTHS, 1.0),
}


class Race(NamedTuple):
    """The same work on both sides."""

    ours: Callable[[], object]
    theirs: Callable[[], object]


def texts(lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Random ids, and the mask of what is no padding."""
    shape = (len(lengths), max(lengths))
    ids = np.random.default_rng(0).integers(1000, 30000, shape)
    return ids, padding_mask(np.array(lengths), shape[1])


def our_forward(work: str) -> Callable[[], object]:
    checkpoint = load_bert(find_model("bert").path)
    lengths, _ = WORKS[work]
    ids, mask = texts(lengths)
    if work != ALONE:
        return lambda: ours(checkpoint, ids, mask)
    rows = [
        (ids[row : row + 1, :length], mask[row : row + 1, :, :length])
        for row, length in enumerate(lengths)
    ]
    return lambda: [ours(checkpoint, *row) for row in rows]


def ours(checkpoint: BertCheckpoint, ids: np.ndarray, mask: np.ndarray):
    config = checkpoint.config
    return bert(
        *(ids, np.zeros_like(ids), mask, checkpoint.model),
        *(config.heads, config.epsilon),
    )


def import_theirs():
    """What their side runs on, imported before its memory is counted."""
    import torch
    from transformers import BertModel

    return torch, BertModel


def their_forward(work: str) -> Callable[[], object]:
    torch, BertModel = import_theirs()
    model = BertModel.from_pretrained(
        find_model("bert").path, attn_implementation="eager"
    ).eval()
    ids, mask = map(torch.from_numpy, texts(WORKS[work][0]))

    def forward():
        with torch.inference_mode():
            return model(
                ids,
                mask[:, 0],
                output_hidden_states=True,
                output_attentions=True,
            )

    return forward


SIDES = {"ours": our_forward, "theirs": their_forward}


def run(
    race: Race, rounds: int, pause: float
) -> tuple[list[float], list[float]]:
    """Seconds of both sides, in turn; who begins changes each round."""
    times = ([], [])
    for turn in range(rounds + WARM_UP):
        for side in (0, 1) if turn % 2 else (1, 0):
            if pause:
                time.sleep(pause)
                race[side]()  # wakes its threads; the next one is timed
            begin = time.perf_counter()
            race[side]()
            if turn >= WARM_UP:
                times[side].append(time.perf_counter() - begin)
    return times


def peak(side: str, work: str) -> float:
    """The MB that a process of its own needs for a few forwards."""
    command = [sys.executable, "-m", "benchmarks.bert", "--peak", side]
    out = subprocess.run(
        [*command, work], capture_output=True, text=True, check=True
    ).stdout
    return float(out.split()[-1])


def print_peak(side: str, work: str) -> None:
    if side == "theirs":
        import_theirs()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    forward = SIDES[side](work)
    for _ in range(FORWARDS):
        forward()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print((after - before) / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--pause", type=float, default=PAUSE)
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print_peak(*arguments.peak)
        return
    options = arguments.rounds, arguments.pause
    # First: a process begins with the peak of the one that started it.
    peaks = {
        work: [f"{peak(side, work):.0f}" for side in SIDES]
        for work in WORKS
    }
    table = Table("texts × tokens")
    for column in (
        *("ours, ms", "theirs, ms", "ratio", "of the best", "reach"),
        *("ours, MB", "theirs, MB"),
    ):
        table.add_column(column, justify="right")
    for work, (_, reach) in WORKS.items():
        race = Race(our_forward(work), their_forward(work))
        our_times, their_times = run(race, *options)
        table.add_row(
            work,
            f"{1000 * median(our_times):.1f}",
            f"{1000 * median(their_times):.1f}",
            f"{median(our_times) / median(their_times):.2f}",
            f"{min(our_times) / min(their_times):.2f}",
            f"{reach:g}",
            *peaks[work],
        )
    Console().print(table)
    import torch

    print(
        f"{arguments.rounds} rounds, medians; PyTorch {torch.__version__} "
        f"on {torch.get_num_threads()} threads, NumPy {np.__version__}"
    )


if __name__ == "__main__":
    main()
