"""Measuring the square root of d_k, as a table and as JSON."""

import json
from math import ceil, log
from typing import NamedTuple

import numpy as np
from numpy import ndarray as Array
from rich.console import Console
from rich.table import Table

from parity_tests.claims.chi_square import lower_quantile, upper_quantile
from parity_tests.claims.scale import normal_products
from parity_tests.claims.softmax import Saturation, saturation, sorted_rows

from ..text.spelling import as_encodable

D_HEADS = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
OF_ROWS = (16, 64, 256, 1024)  # those for which a row is shown
TOKENS = 64
OUTSIDE = 0.001  # how often chance alone leaves the band


class Row(NamedTuple):
    """One query's weights, largest first."""

    bare: Array
    scaled: Array


class AtWidth(NamedTuple):
    """What was measured at one d_k, without the scale and with it.

    `bare` is without 1/√(d_k), `scaled` with it.
    """

    d_head: int
    variance: float
    variance_of_scores: float
    holds: bool
    bare: Saturation
    scaled: Saturation


class Measures(NamedTuple):
    """Everything to draw; `band` is the range of a variance by chance."""

    samples: int
    seed: int
    band: tuple[float, float]
    widths: tuple[AtWidth, ...]
    rows: dict[int, Row]

    @property
    def hold(self) -> bool:
        return all(width.holds for width in self.widths)

    @property
    def inside(self) -> int:
        """How many variances lie in the band."""
        low, high = self.band
        return sum(
            low <= width.variance_of_scores <= high for width in self.widths
        )


def measure(samples: int, seed: int) -> Measures:
    """Measure at each d_k, each with a generator of its own."""
    band = (
        lower_quantile(OUTSIDE / 2, samples) / samples,
        upper_quantile(OUTSIDE / 2, samples) / samples,
    )
    widths = tuple(at_width(samples, seed, d_head) for d_head in D_HEADS)
    rows = {
        d_head: Row(
            *sorted_rows(generator_for(seed, d_head), d_head, TOKENS)
        )
        for d_head in OF_ROWS
    }
    return Measures(samples, seed, band, widths, rows)


def at_width(samples: int, seed: int, d_head: int) -> AtWidth:
    generator = generator_for(seed, d_head)
    products = normal_products(generator, samples, d_head)
    sums = (products.lengths, products.products, products.scores)
    sequences = ceil(samples / TOKENS)
    return AtWidth(
        d_head,
        products.variance,
        products.variance_of_scores,
        all(total.is_chance for total in sums),
        *saturation(generator, sequences, d_head, TOKENS),
    )


def generator_for(seed: int, d_head: int) -> np.random.Generator:
    return np.random.default_rng([seed, d_head])


def json_of(measures: Measures) -> str:
    return json.dumps(
        {
            "samples": measures.samples,
            "seed": measures.seed,
            "tokens": TOKENS,
            "band": {
                "outside": OUTSIDE,
                "least": measures.band[0],
                "greatest": measures.band[1],
            },
            "inside_the_band": measures.inside,
            "agree": measures.hold,
            "widths": [as_object(width) for width in measures.widths],
            "rows": [
                {"d_head": d_head}
                | {
                    side: row.tolist()
                    for side, row in both._asdict().items()
                }
                for d_head, both in measures.rows.items()
            ],
        },
        indent=2,
    )


def as_object(width: AtWidth) -> dict:
    sides = {"bare": width.bare, "scaled": width.scaled}
    return width._asdict() | {
        side: measured._asdict() for side, measured in sides.items()
    }


def print_measures(measures: Measures) -> None:
    """A line for each d_k, and one on what chance explains."""
    console = Console(highlight=False)
    with console.capture() as captured:
        for part in (about(measures), table(measures), verdict(measures)):
            console.print(part, soft_wrap=isinstance(part, str))
    lines = as_encodable(captured.get(), console.encoding).splitlines()
    print(*map(str.rstrip, lines), sep="\n")


def about(measures: Measures) -> str:
    """How much was measured, and what the columns mean."""
    rows = measures.widths[0].bare.rows
    return (
        f"For each d_k, {measures.samples:,} pairs of query and key, and "
        f"{rows:,} rows of {TOKENS} weights.\n"
        "Entropy is a share of that of equal weights; median and rms (root "
        "mean square)\nare of the norm of softmax's Jacobian; each without "
        "1/√(d_k) and with it.\n"
    )


def table(measures: Measures) -> Table:
    lines = Table(box=None, pad_edge=False)
    titles = (
        *("d_k", "Var(q·k)", "Var(score)"),
        *("entropy\nwithout", "entropy\nwith"),
        *("median\nwithout", "median\nwith"),
        *("rms\nwithout", "rms\nwith"),
    )
    for title in titles:
        lines.add_column(title, justify="right")
    for width in measures.widths:
        sides = (width.bare, width.scaled)
        lines.add_row(
            f"{width.d_head}",
            f"{width.variance:.4g}",
            f"{width.variance_of_scores:.3f}",
            *(f"{share(side):.0%}" for side in sides),
            *(f"{side.jacobian_median:.2g}" for side in sides),
            *(f"{side.jacobian_rms:.3f}" for side in sides),
        )
    return lines


def share(measured: Saturation) -> float:
    """Entropy, as a share of that of equal weights."""
    return measured.entropy / log(TOKENS)


def verdict(measures: Measures) -> str:
    """The range that chance explains, and whether chance explains it."""
    low, high = measures.band
    count = (
        f"\nBy chance alone, {1 - OUTSIDE:.1%} of the variances of a score "
        f"lie between {low:.3f} and {high:.3f}.\nHere {measures.inside} of "
        f"{len(measures.widths)} do"
    )
    return f"{count}." if measures.hold else f"{count}. THIS IS NOT CHANCE."
