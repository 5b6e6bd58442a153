"""What `twice variance` measures, as a table and as JSON."""

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
OF_ROWS = (16, 64, 256, 1024)  # those of which a row is shown
TOKENS = 64
OUTSIDE = 0.001  # how often chance alone leaves the band


class Row(NamedTuple):
    """One query's weights, the greatest first."""

    bare: Array
    scaled: Array


class AtWidth(NamedTuple):
    """What was measured at one d_k, without the scale and with it."""

    d_head: int
    variance: float
    variance_of_scores: float
    holds: bool
    bare: Saturation
    scaled: Saturation


class Measures(NamedTuple):
    """All there is to draw; `band` is what chance does to a variance."""

    samples: int
    seed: int
    band: tuple[float, float]
    widths: tuple[AtWidth, ...]
    rows: dict[int, Row]

    @property
    def hold(self) -> bool:
        return all(one.holds for one in self.widths)

    @property
    def inside(self) -> int:
        """How many variances lie in the band."""
        low, high = self.band
        return sum(
            low <= one.variance_of_scores <= high for one in self.widths
        )


def measure(samples: int, seed: int) -> Measures:
    """At each d_k, with chance of its own."""
    band = (
        lower_quantile(OUTSIDE / 2, samples) / samples,
        upper_quantile(OUTSIDE / 2, samples) / samples,
    )
    widths = tuple(at_width(samples, seed, d_head) for d_head in D_HEADS)
    rows = {
        d_head: Row(*sorted_rows(chance(seed, d_head), d_head, TOKENS))
        for d_head in OF_ROWS
    }
    return Measures(samples, seed, band, widths, rows)


def at_width(samples: int, seed: int, d_head: int) -> AtWidth:
    generator = chance(seed, d_head)
    products = normal_products(generator, samples, d_head)
    sums = (products.lengths, products.products, products.scores)
    sequences = ceil(samples / TOKENS)
    return AtWidth(
        d_head,
        products.variance,
        products.variance_of_scores,
        all(one.is_chance for one in sums),
        *saturation(generator, sequences, d_head, TOKENS),
    )


def chance(seed: int, d_head: int) -> np.random.Generator:
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
            "widths": [as_object(one) for one in measures.widths],
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


def as_object(one: AtWidth) -> dict:
    sides = {"bare": one.bare, "scaled": one.scaled}
    return one._asdict() | {
        side: found._asdict() for side, found in sides.items()
    }


def print_measures(measures: Measures) -> None:
    """A line for each d_k, and one on what chance could have done."""
    console = Console(highlight=False)
    with console.capture() as shown:
        for part in (about(measures), table(measures), verdict(measures)):
            console.print(part, soft_wrap=isinstance(part, str))
    lines = as_encodable(shown.get(), console.encoding).splitlines()
    print(*map(str.rstrip, lines), sep="\n")


def about(measures: Measures) -> str:
    """What was counted, and what stands in the table."""
    rows = measures.widths[0].bare.rows
    return (
        f"For each d_k {measures.samples:,} pairs of query and key, and "
        f"{rows:,} rows of {TOKENS} weights.\n"
        "Entropy over that of equal weights; of the norm of softmax's "
        "Jacobian the median\n"
        "and the root mean square; without 1/√(d_k) and with it.\n"
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
    for one in measures.widths:
        sides = (one.bare, one.scaled)
        lines.add_row(
            f"{one.d_head}",
            f"{one.variance:.4g}",
            f"{one.variance_of_scores:.3f}",
            *(f"{share(side):.0%}" for side in sides),
            *(f"{side.jacobian_median:.2g}" for side in sides),
            *(f"{side.jacobian_rms:.3f}" for side in sides),
        )
    return lines


def share(found: Saturation) -> float:
    """An entropy over that of equal weights."""
    return found.entropy / log(TOKENS)


def verdict(measures: Measures) -> str:
    """What chance could have done, and whether it was chance."""
    low, high = measures.band
    said = (
        f"\nChance alone keeps {1 - OUTSIDE:.1%} of the variances of a "
        f"score within {low:.3f} to {high:.3f}:\n{measures.inside} of "
        f"{len(measures.widths)} are there"
    )
    return f"{said}." if measures.hold else f"{said}. THIS IS NOT CHANCE."
