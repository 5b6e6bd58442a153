"""Printing a ring's walk: who holds what when, as a table for a round."""

import numpy as np

from numpy_ref.fast.ring_attention import part_in_sight

from .rank import RankWalk
from .walk import RingWalk, bytes_by_formula

LAST = ("scores", "out of sight")


def print_walk(walk: RingWalk) -> bool:
    """Every round, the traffic, and what was compared; whether it holds."""
    tokens, ranks = walk.inputs.tokens, walk.ranks
    print(
        f"Ring attention: {tokens} tokens over {ranks} ranks, causal, in "
        "zigzag.\nQueries stay; keys and values go round."
    )
    for rounds in range(ranks):
        print_round(walk.parts, rounds, walk.inputs.is_causal)
    print_traffic(walk)
    return print_verdict(walk)


def print_round(parts: list[RankWalk], rounds: int, is_causal: bool):
    """A row for each rank: its queries, and the keys that are with it."""
    times = f"passed on {rounds} time{'s' * (rounds > 1)}"
    which = times if rounds else "each its own keys"
    print(f"\nRound {rounds + 1} of {len(parts)}: {which}\n")
    wide = max(len(numbers(part.positions)) for part in parts) + 2
    wide = max(wide, len("keys that come") + 2)
    print(row("rank", "queries", "keys that come", "from", *LAST, wide))
    for rank, part in enumerate(parts):
        source = (rank - rounds) % len(parts)
        queries, keys = part.positions, parts[source].positions
        last = queries if is_causal else np.full_like(queries, 2**31)
        first, end = part_in_sight(last, keys)
        rows, columns = len(queries) - first, end
        left_out = [
            f"{kind} {numbers(some)}"
            for kind, some in (
                ("queries", queries[:first]),
                ("keys", keys[end:]),
            )
            if len(some)
        ]
        print(
            row(
                *(rank, numbers(queries), numbers(keys), source),
                *(f"{rows} × {columns}", ", ".join(left_out) or "-", wide),
            )
        )


def row(rank, queries, keys, source, scores, left_out, wide: int) -> str:
    """A line of a round's table."""
    return (
        f"{rank:>4}  {queries:{wide}}{keys:{wide}}{source:>4}  "
        f"{scores:8}{left_out}"
    )


def numbers(positions) -> str:
    return " ".join(map(str, positions))


def print_traffic(walk: RingWalk) -> None:
    """What each rank has sent, counted, beside the formula."""
    print(
        "\nBytes that each rank has sent, counted and by the formula:\n\n"
        "rank  there  formula   back  formula"
    )
    for rank, part in enumerate(walk.parts):
        there, back = bytes_by_formula(walk.inputs, walk.parts, rank)
        print(
            f"{rank:4}{part.sent_there:7}{there:9}"
            f"{part.sent_back:7}{back:9}"
        )


def print_verdict(walk: RingWalk) -> bool:
    """Beside one process, and each rank beside NumPy; whether all holds."""
    print(
        "\nBeside one process, which attends to the whole text at once:\n"
    )
    compared = [*walk.beside_one_process()]
    for comparison in compared:
        name = comparison.path.split("/")[-1]
        print(
            f"  {name:8} largest difference {comparison.difference:.1e}, "
            f"bound {comparison.bound:.1e}"
        )
    tallies = walk.replayed()
    steps = sum(tally.compared for tally in tallies)
    failed = sum(tally.failed for tally in tallies)
    print(
        f"\nEach rank has sent its record home. Replayed in NumPy: "
        f"{steps} named steps,\n{failed} of them beyond their bounds."
    )
    counted = [
        (part.sent_there, part.sent_back)
        == bytes_by_formula(walk.inputs, walk.parts, rank)
        for rank, part in enumerate(walk.parts)
    ]
    return not failed and all(counted) and all(c.holds for c in compared)
