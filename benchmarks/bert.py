"""Benchmark of BERT: MiniLM's forward, beside that of transformers.

    python -m benchmarks.bert

Both sides compute and keep all hidden states, attention weights, queries,
keys and values of the same texts, in float32, in one process and on the
same threads; transformers gives the last three to a hook. They take
turns, each after the same pause and a forward that is not timed: threads
of the one that wait for more work would slow the other down (with
`--pause 0` they do, and it is theirs that suffers). The ratio is our time
by theirs, turn by turn: below 1 we are faster. Its median stands beside
the ratio of the best times.

Each forward makes new arrays of some 10 MB, which both sides get from
one allocator. Left to itself, glibc's may return that memory to the
system and ask for it again, page by page, or may not, by what happens to
lie behind it; so the same process is timed in both ways, the second time
with all memory kept (`KEPT`). Elsewhere the two are the same.

Memory is what a process of its own adds to its peak (`ru_maxrss`) from
after its imports to after a few forwards: the weights, and what they work
with.

`OPENBLAS_CORETYPE` and `OPENBLAS_L2_SIZE` change what NumPy gets out of
a machine; leave them unset.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from operator import truediv
from statistics import median
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from numpy_ref.bert import bert
from numpy_ref.checkpoints.bert import BertCheckpoint, load_bert
from numpy_ref.checkpoints.model_folders import find_model
from numpy_ref.masks import padding_mask

ROUNDS, WARM_UP = 20, 3
PAUSE = 0.1  # seconds
FORWARDS = 5  # in a process whose memory is measured
KEPT = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**33),
}

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
    """Random ids, and the padding mask."""
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
    """Import their libraries, before their memory is measured."""
    import torch
    from transformers import BertModel

    return torch, BertModel


def their_forward(work: str) -> Callable[[], object]:
    torch, BertModel = import_theirs()
    model = BertModel.from_pretrained(
        find_model("bert").path, attn_implementation="eager"
    ).eval()
    ids, mask = map(torch.from_numpy, texts(WORKS[work][0]))
    kept = []
    for layer in model.encoder.layer:
        attention = layer.attention.self
        for part in (attention.query, attention.key, attention.value):
            part.register_forward_hook(lambda *call: kept.append(call[-1]))

    def forward():
        with torch.inference_mode():
            output = model(
                ids,
                mask[:, 0],
                output_hidden_states=True,
                output_attentions=True,
            )
        caught = list(kept)
        kept.clear()
        return output, caught

    return forward


SIDES = {"ours": our_forward, "theirs": their_forward}


def run(
    race: Race, rounds: int, pause: float
) -> tuple[list[float], list[float]]:
    """Seconds of both sides, in turn; the order changes each round."""
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


def in_a_process_of_its_own(
    *arguments: str, variables: Mapping[str, str] = {}
) -> list[float]:
    """The numbers that this file prints when it is run for one part."""
    command = [sys.executable, "-m", "benchmarks.bert", *arguments]
    out = subprocess.run(
        command,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    ).stdout
    return [float(word) for word in out.split()]


def print_peak(side: str, work: str) -> None:
    if side == "theirs":
        import_theirs()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    forward = SIDES[side](work)
    for _ in range(FORWARDS):
        forward()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print((after - before) / 1024)


def print_times(work: str, rounds: int, pause: float) -> None:
    race = Race(our_forward(work), their_forward(work))
    for times in zip(*run(race, rounds, pause), strict=True):
        print(*times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--pause", type=float, default=PAUSE)
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--times", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print_peak(*arguments.peak)
    elif arguments.times:
        print_times(arguments.times, arguments.rounds, arguments.pause)
    else:
        print_table(arguments.rounds, arguments.pause)


def print_table(rounds: int, pause: float) -> None:
    # First: a process begins with the peak of the one that started it.
    peaks = {
        work: [
            f"{in_a_process_of_its_own('--peak', side, work)[0]:.0f}"
            for side in SIDES
        ]
        for work in WORKS
    }
    table = Table("texts × tokens", "memory")
    for column in (
        *("ours, ms", "theirs, ms", "ratio", "of the best", "reach"),
        *("ours, MB", "theirs, MB"),
    ):
        table.add_column(column, justify="right")
    options = f"--rounds={rounds}", f"--pause={pause}"
    for work, (_, reach) in WORKS.items():
        for memory, variables in (("as it comes", {}), ("kept", KEPT)):
            times = in_a_process_of_its_own(
                f"--times={work}", *options, variables=variables
            )
            ours, theirs = times[::2], times[1::2]
            table.add_row(
                *(work, memory),
                f"{1000 * median(ours):.1f}",
                f"{1000 * median(theirs):.1f}",
                f"{median(map(truediv, ours, theirs)):.2f}",
                f"{min(ours) / min(theirs):.2f}",
                f"{reach:g}",
                *peaks[work],
            )
    Console(width=100).print(table)
    import torch

    print(
        f"{rounds} rounds, medians; PyTorch {torch.__version__} "
        f"on {torch.get_num_threads()} threads, NumPy {np.__version__}"
    )


if __name__ == "__main__":
    main()
