"""Benchmark of GPT-2: decoding and prefill, beside transformers.

    python -m benchmarks.gpt2

Random weights of the 124M model, read from one checkpoint by both sides,
which run in turn in this one process, on the same number of threads.
Decoding a token reads every weight once, so the memory bandwidth is a
limit that nothing on this machine can pass; it is measured as well. For
peak memory each side has a process of its own.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from statistics import median

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
from rich.console import Console
from rich.table import Table

from numpy_ref.checkpoints.gpt2 import load_gpt2
from numpy_ref.checkpoints.gpt2_config import parameter_count
from numpy_ref.generation import generate, gpt2_decoding

PROMPT, LENGTH, LONG = 64, 64, 512
SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print_peak(*arguments.peak)
        return
    with tempfile.TemporaryDirectory() as folder:
        save_random_model(folder)
        compare(folder, arguments.rounds)


def save_random_model(folder: str) -> None:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(SEED)
    GPT2LMHeadModel(GPT2Config()).save_pretrained(folder)


def compare(folder: str, rounds: int) -> None:
    import torch

    sides = {"ours": our_work(folder), "transformers": their_work(folder)}
    times = {side: {"decode": [], "prefill": []} for side in sides}
    speeds = []
    for _ in range(rounds + 1):
        speeds.append(bandwidth())
        for side, work in sides.items():
            times[side]["decode"].append(seconds_a_token(work["decode"]()))
            times[side]["prefill"].append(seconds(work["prefill"]))
    best = {
        side: {kind: min(timed[1:]) for kind, timed in kinds.items()}
        for side, kinds in times.items()
    }
    peaks = {side: peak(side, folder) for side in sides}
    config = load_gpt2(folder).config
    weights = parameter_count(config) * 4 / 2**20
    limit = max(speeds) / weights
    table = Table("", "ours", "transformers", "ratio", "reach")
    ours, theirs = best["ours"], best["transformers"]
    rates = 1 / ours["decode"], 1 / theirs["decode"]
    table.add_row(
        f"decode after {PROMPT} tokens, tokens/s",
        *(f"{rate:.1f}" for rate in rates),
        f"{rates[0] / rates[1]:.2f}",
        ">= 1.8",
    )
    table.add_row(
        "decode, share of what the bandwidth allows",
        *(f"{rate / limit:.2f}" for rate in rates),
        "",
        ">= 0.7",
    )
    table.add_row(
        f"prefill of {LONG} tokens, s",
        f"{ours['prefill']:.3f}",
        f"{theirs['prefill']:.3f}",
        f"{ours['prefill'] / theirs['prefill']:.2f}",
        "<= 1.0",
    )
    for index, kind in enumerate(("loading", "loading and decoding")):
        mine, other = (peaks[side][index] for side in sides)
        table.add_row(
            f"peak of memory, {kind}, MiB",
            f"{mine:.0f}",
            f"{other:.0f}",
            f"{mine / other:.2f}",
            "",
        )
    Console(width=100).print(table)
    print(
        f"best of {rounds} rounds; {spread_of(times)}\n"
        f"weights {weights:.0f} MiB; memory read at "
        f"{max(speeds) / 1024:.1f} GiB/s, so at most {limit:.0f} tokens/s; "
        f"PyTorch {torch.__version__} on {torch.get_num_threads()} "
        f"threads, NumPy {np.__version__}"
    )


def spread_of(times: dict) -> str:
    """The tokens per second of both sides, but for the first round."""
    spread = []
    for side, kinds in times.items():
        timed = kinds["decode"][1:]
        rates = [1 / t for t in (max(timed), median(timed), min(timed))]
        spread.append(
            f"{side} {' - '.join(f'{rate:.1f}' for rate in rates)}"
        )
    return f"slowest - median - best tokens/s: {', '.join(spread)}"


def our_work(folder: str) -> dict[str, Callable]:
    """`decode` gives tokens one by one; `prefill` only reads."""
    checkpoint = load_gpt2(folder)
    config, model = checkpoint.config, checkpoint.model
    ids = prompt(LONG)
    sizes = config.heads, config.epsilon

    def prefill():
        return gpt2_decoding(model, *sizes, LONG).read(ids)

    def decode():
        decoding = gpt2_decoding(model, *sizes, PROMPT + LENGTH)
        return generate(ids[:PROMPT], decoding, LENGTH)

    return {"decode": decode, "prefill": prefill}


def their_work(folder: str) -> dict[str, Callable]:
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(
        folder, attn_implementation="eager"
    ).eval()
    return work_of(model, prompt(LONG))


def work_of(model, tokens: np.ndarray) -> dict[str, Callable]:
    """The work of a model of transformers, as in `our_work`."""
    import torch

    ids = torch.tensor(tokens)[None]

    @torch.no_grad()
    def prefill():
        return model(ids, use_cache=True, logits_to_keep=1).logits

    @torch.no_grad()
    def decode():
        """As their `generate` does it, without what it does besides."""
        new, past = ids[:, :PROMPT], None
        for _ in range(LENGTH):
            output = model(new, past_key_values=past, logits_to_keep=1)
            past = output.past_key_values
            new = output.logits[:, -1].argmax(dim=-1, keepdim=True)
            yield int(new)

    return {"decode": decode, "prefill": prefill}


def prompt(length: int, vocabulary: int = 50257) -> np.ndarray:
    return np.random.default_rng(SEED).integers(0, vocabulary, length)


def seconds_a_token(tokens: Iterator[int]) -> float:
    """From the first token on: what comes before is the prefill."""
    next(tokens)
    begin = time.perf_counter()
    count = sum(1 for _ in tokens)
    return (time.perf_counter() - begin) / count


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def bandwidth() -> float:
    """How many MiB a second all threads read, of 512 MiB."""
    import torch

    numbers = torch.ones(2**27)
    numbers.sum()
    return 512 / min(seconds(numbers.sum) for _ in range(5))


def peak(side: str, folder: str) -> list[float]:
    """The peaks of a process that does one side's work only."""
    command = [sys.executable, "-m", "benchmarks.gpt2", "--peak"]
    run = subprocess.run(
        [*command, side, folder], capture_output=True, text=True, check=True
    )
    return [float(part) for part in run.stdout.split()]


def print_peak(side: str, folder: str) -> None:
    works = {"ours": our_work, "transformers": their_work}
    work = works[side](folder)
    loaded = peak_so_far()
    list(islice(work["decode"](), 8))
    print(loaded, peak_so_far())


def peak_so_far() -> float:
    """The most memory this process has had at once, in MiB.

    `getrusage` would say how much its parent had, if that was more.
    """
    lines = Path("/proc/self/status").read_text(encoding="ascii")
    return int(lines.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main()
