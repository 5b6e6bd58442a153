"""`twice ring`: options, and what is said of a rank that fails."""

import sys
from typing import Annotated

import typer

from .processes import TIMEOUT

HELP = """
Pass keys and values around a ring of processes.

Shows who holds what when. Each rank, a process of its own, holds some
tokens in zigzag; queries stay, keys and values are passed around, and on
the way back their gradients with them. Prints a table for each round, the
bytes that each rank has sent beside the formula, and how far all is from
one process. Under torchrun it takes the processes that torchrun started.

Exit code 0 when all holds, 1 when something does not, or a rank fails.
"""
MOST_RANKS = 16


def ring(
    ranks: Annotated[
        int, typer.Option(help="Number of ranks; torchrun has its own.")
    ] = 4,
    tokens: Annotated[
        int, typer.Option(help="Tokens of the text; one for each rank.")
    ] = 16,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    timeout: Annotated[
        float,
        typer.Option(help="Seconds to wait for a rank that is silent."),
    ] = TIMEOUT,
) -> None:
    from numpy_ref.checked import (
        check_at_least,
        check_between,
        check_positive,
    )

    check_between("--ranks", ranks, 1, MOST_RANKS)
    check_at_least("--tokens", tokens, ranks)
    check_at_least("--seed", seed, 0)
    check_positive("--timeout", timeout)
    from .printing import print_walk
    from .processes import RankError, run_group, run_ranks
    from .rank import random_inputs, walk_rank
    from .walk import RingWalk

    inputs = random_inputs(tokens, seed)
    try:
        parts = run_group(walk_rank, inputs, timeout=timeout)
        if parts is None:
            parts = run_ranks(walk_rank, ranks, inputs, timeout=timeout)
    except RankError as error:
        print(f"twice: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    if parts and not print_walk(RingWalk(inputs, parts)):
        raise typer.Exit(1)
