"""Several heads: the least error of one, and what two reach."""

from math import exp, log, sqrt

import numpy as np

from parity_tests.claims.heads import (
    LEAST_ERROR,
    best_head,
    error_of_two_heads,
    heads_near_the_best,
    random_heads,
    worst_errors,
)

from ..charts import Axis, Series, chart, number, table, upright

WIDTHS = (1, 2, 3, 64)
COUNT, SEED = 20_000, 0
GAPS = [step / 4 for step in range(25)]
CROSSING = log(3)


def shown() -> dict:
    return {
        "plot": plot(),
        "table": least_errors(),
        "count": f"{COUNT:,}",
        "least": f"{LEAST_ERROR:.4f}",
        "crossing": f"{CROSSING:.4f}",
        "widest_gap": f"{GAPS[-1]:g}",
        "at_widest": f"{error_of_two_heads(GAPS[-1]):.4f}",
    }


def plot() -> str:
    x = Axis(
        "g, by which one score is above the other", 0, GAPS[-1], range(7)
    )
    y = Axis("worst error", 0, 0.8, (0, 0.2, 0.4, 0.6, 0.8))
    ends = (GAPS[0], GAPS[-1])
    return chart(
        "The worst error of two heads, and the least of one",
        "Two heads fall below what no single head can, at the upright "
        "line of g = ln 3, and from there towards nothing.",
        (x, y),
        [
            Series(
                "two heads, measured",
                [(gap, error_of_two_heads(gap)) for gap in GAPS],
                0,
                "",
            ),
            Series(
                "two heads, √2 / (1 + eᵍ)",
                [(gap, sqrt(2) / (1 + exp(gap))) for gap in GAPS],
                0,
                "solid",
                "",
            ),
            Series(
                "one head, at least √2/4",
                [(gap, LEAST_ERROR) for gap in ends],
                1,
                "dashed",
                "",
            ),
        ],
        extra=upright(x, CROSSING),
    )


def least_errors() -> str:
    """The best of many single heads, by their width."""
    random = {
        f"random, width {width}": random_heads(
            np.random.default_rng(SEED), COUNT, width
        )
        for width in WIDTHS
    }
    near = heads_near_the_best(np.random.default_rng(SEED), COUNT)
    every = random | {"near the best": near, "the best": best_head()}
    rows = [
        (name, number(float(worst_errors(**some).min()), 5))
        for name, some in every.items()
    ]
    return table(
        ("single heads", "the least worst error"), rows, "Single heads"
    )
