"""Benchmark of a real Llama: decoding, prefill, and the first token.

    python -m benchmarks.llama

SmolLM2's weights, read from its GGUF, beside transformers' eager model
with the same arrays; both run in turn in this one process, on the same
number of threads. Decoding a token reads every weight once, so the memory
bandwidth is a limit that nothing on this machine can pass; it is measured
as well. The first token is that of `twice generate`, from the command to
the first piece of text, in a process of its own.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from statistics import median

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
from rich.console import Console
from rich.table import Table

from numpy_ref.checkpoints.llama import (
    LlamaCheckpoint,
    load_llama,
    names_in,
)
from numpy_ref.checkpoints.llama_config import (
    llama_config_entries,
    llama_parameter_count,
)
from numpy_ref.checkpoints.model_folders import find_model
from numpy_ref.checkpoints.names import to_theirs
from numpy_ref.generation import generate
from numpy_ref.parameters import state_dict
from numpy_ref.variants.llama_cache import llama_decoding

from .gpt2 import (
    LENGTH,
    LONG,
    PROMPT,
    bandwidth,
    prompt,
    seconds,
    seconds_a_token,
    spread_of,
    work_of,
)

VOCABULARY = 49152
FIRST = (
    *(sys.executable, "-m", "study", "generate", "--model", "smollm2"),
    *("--prompt", "The capital of France is", "--temperature", "0"),
    *("--length", "1"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    compare(parser.parse_args().rounds)


def compare(rounds: int) -> None:
    import torch

    checkpoint = load_llama(find_model("smollm2").path)
    sides = {
        "ours": our_work(checkpoint),
        "transformers": their_work(checkpoint),
    }
    times = {side: {"decode": [], "prefill": []} for side in sides}
    speeds = []
    for _ in range(rounds + 1):
        speeds.append(bandwidth())
        for side, work in sides.items():
            times[side]["decode"].append(seconds_a_token(work["decode"]()))
            times[side]["prefill"].append(seconds(work["prefill"]))
    ours, theirs = (
        {kind: median(timed[1:]) for kind, timed in kinds.items()}
        for kinds in times.values()
    )
    weights = llama_parameter_count(checkpoint.config) * 4 / 2**20
    limit = max(speeds) / weights
    rates = 1 / ours["decode"], 1 / theirs["decode"]
    table = Table("", "ours", "transformers", "ratio", "reach")
    table.add_row(
        f"decode after {PROMPT} tokens, tokens/s",
        *(f"{rate:.1f}" for rate in rates),
        f"{rates[0] / rates[1]:.2f}",
        ">= 1.5",
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
        "",
    )
    firsts = [seconds(first_token) for _ in range(3)]
    table.add_row(
        "the command to its first token, s",
        *(f"{median(firsts):.1f}", "", "", "<= 5"),
    )
    Console(width=100).print(table)
    print(
        f"medians of {rounds} rounds; {spread_of(times)}\n"
        f"weights {weights:.0f} MiB; memory read at "
        f"{max(speeds) / 1024:.1f} GiB/s, so at most {limit:.0f} tokens/s; "
        f"PyTorch {torch.__version__} on {torch.get_num_threads()} "
        f"threads, NumPy {np.__version__}"
    )


def our_work(checkpoint: LlamaCheckpoint) -> dict[str, Callable]:
    """`decode` gives tokens one by one; `prefill` only reads."""
    config, ids = checkpoint.config, prompt(LONG, VOCABULARY)

    def decoding(positions: int):
        return llama_decoding(
            *(checkpoint.model, config.heads, config.key_heads),
            *(config.d_head, config.base, config.epsilon, positions),
        )

    def prefill():
        return decoding(LONG).read(ids)

    def decode():
        return generate(ids[:PROMPT], decoding(PROMPT + LENGTH), LENGTH)

    return {"decode": decode, "prefill": prefill}


def their_work(checkpoint: LlamaCheckpoint) -> dict[str, Callable]:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    entries = llama_config_entries(checkpoint.config)
    config = LlamaConfig(**entries, attn_implementation="eager")
    with torch.device("meta"):
        model = LlamaForCausalLM(config).eval()
    arrays = to_theirs(
        names_in(checkpoint.config, "model."), state_dict(checkpoint.model)
    )
    tensors = {n: torch.from_numpy(a) for n, a in arrays.items()}
    model.load_state_dict(tensors, strict=False, assign=True)
    model.model.rotary_emb = type(model.model.rotary_emb)(config)
    model.tie_weights()
    return work_of(model, prompt(LONG, VOCABULARY))


def first_token() -> None:
    subprocess.run(FIRST, check=True, capture_output=True)


if __name__ == "__main__":
    main()
