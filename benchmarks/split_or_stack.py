"""Benchmark of heads: one wide layer split, or one layer for each head?

`python -m benchmarks.split_or_stack`: both compute the same (a test proves
it); here they run in turn in one process, on the same threads. A ratio
above 1 means that splitting is faster. It is not always.
"""

import argparse
import time
from statistics import median

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from numpy_ref import multi_head
from numpy_ref.masks import causal_mask
from numpy_ref.parameters import from_state_dict
from torch_impl import multi_head as torch_multi_head

# Texts, tokens of each, heads, features of a token.
SIZES = (
    (2, 6, 12, 768),
    (1, 128, 12, 768),
    (8, 128, 12, 768),
    (8, 128, 4, 64),
)


def contenders(texts: int, tokens: int, heads: int, d_model: int) -> dict:
    """What is timed, by side: stacked heads, then split heads."""
    x = torch.randn(texts, tokens, d_model)
    keep = torch.ones(texts, heads, tokens, tokens, dtype=torch.bool)
    mask = torch.from_numpy(causal_mask(tokens, tokens))
    stacked = torch_multi_head.StackedHeads(
        d_model, d_model // heads, heads
    )
    split = torch_multi_head.MultiHeadAttentionWithDropout(d_model)
    params = [
        from_state_dict(
            kind, {n: a.numpy() for n, a in module.state_dict().items()}
        )
        for kind, module in (
            (multi_head.StackedHeads, stacked),
            (multi_head.MultiHeadAttention, split),
        )
    ]
    arrays = x.numpy(), keep.numpy(), mask.numpy()
    return {
        "PyTorch": (
            lambda: stacked(x, keep, 0.0),
            lambda: split(x, mask, keep, 0.0, heads),
        ),
        "NumPy": (
            lambda: multi_head.stacked_heads(
                arrays[0], params[0], arrays[1], 0.0
            ),
            lambda: multi_head.multi_head_attention_with_dropout(
                arrays[0], params[1], arrays[2], arrays[1], 0.0, heads
            ),
        ),
    }


def ratios(stacked, split, rounds: int) -> list[float]:
    """Time of `stacked` over time of `split`, run in turn."""
    measured = []
    for turn in range(rounds + 2):
        times = [seconds(function) for function in (stacked, split)]
        if turn >= 2:  # the first turns warm up
            measured.append(times[0] / times[1])
    return measured


def seconds(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    table = Table(title="time of stacked heads / time of split heads")
    for column in ("texts × tokens", "heads", "d_model", "side"):
        table.add_column(column)
    for column in ("least", "median", "most"):
        table.add_column(column, justify="right")
    for texts, tokens, heads, d_model in SIZES:
        sides = contenders(texts, tokens, heads, d_model)
        for side, (stacked, split) in sides.items():
            with torch.no_grad():
                measured = ratios(stacked, split, rounds)
            figures = (min(measured), median(measured), max(measured))
            table.add_row(
                f"{texts} × {tokens}",
                str(heads),
                str(d_model),
                side,
                *(f"{figure:.2f}" for figure in figures),
            )
    Console().print(table)
    print(
        f"{rounds} rounds; PyTorch {torch.__version__} on "
        f"{torch.get_num_threads()} threads, NumPy {np.__version__}"
    )


if __name__ == "__main__":
    main()
