"""The square root of d_k: the variance of a score, measured and drawn."""

import numpy as np

from parity_tests.claims.scale import (
    NORMAL_LIKE,
    ROOT_3_SQUARED,
    SIGNS,
    all_products,
    initial_scores,
)

from ..charts import Band, Series, chart, table
from .measured import (
    BARE,
    SAMPLES,
    SCALED,
    SEED,
    decades,
    measures,
    over_widths,
)

D_HEAD = 3  # few enough that all vectors can meet all
TOKENS = 64


def shown() -> dict:
    measured = measures()
    low, high = measured.band
    initial = initial_scores(np.random.default_rng(SEED), TOKENS)
    return {
        "plot": plot(),
        "assumptions": assumptions(),
        "samples": f"{SAMPLES:,}",
        "band": f"{low:.2f} and {high:.2f}",
        "inside": measured.inside,
        "widths": len(measured.widths),
        "widest": measured.widths[-1].d_head,
        "variance": f"{measured.widths[-1].variance:,.0f}",
        "variance_of_scores": (
            f"{measured.widths[-1].variance_of_scores:.2f}"
        ),
        "initial_queries": f"{initial.queries:.3f}",
        "initial_scores": f"{initial.scores:.3f}",
    }


def plot() -> str:
    """What was measured, over what is claimed and what chance explains."""
    measured = measures()
    widths = [width.d_head for width in measured.widths]
    bare = [width.variance for width in measured.widths]
    scaled = [width.variance_of_scores for width in measured.widths]
    low, high = measured.band
    claims = {BARE: widths, SCALED: [1] * len(widths)}
    return chart(
        "The variance of q · k, and of q · k / √dₖ",
        "The dots of q · k climb along the line of dₖ. Those of "
        "q · k / √dₖ stay at one, at each width. All are within what "
        "chance explains.",
        (over_widths(), decades("variance", [*bare, *scaled, low])),
        [
            Series("q · k", pairs(widths, bare), BARE, ""),
            Series(
                "q · k / √dₖ", pairs(widths, scaled), SCALED, "", "square"
            ),
            *(
                Series(name, pairs(widths, claims[hue]), hue, "dashed", "")
                for name, hue in (
                    ("claimed: dₖ", BARE),
                    ("claimed: 1", SCALED),
                )
            ),
        ],
        [
            Band(
                name,
                [(d, low * claim, high * claim) for d, claim in edges],
                hue,
            )
            for name, hue in (("by chance", BARE), ("", SCALED))
            for edges in [pairs(widths, claims[hue])]
        ],
    )


def pairs(x: list, y: list) -> list[tuple]:
    return list(zip(x, y, strict=True))


def assumptions() -> str:
    """Exact moments where an assumption holds, and where it does not."""
    cases = {
        "entries of ±1": all_products(SIGNS, D_HEAD),
        "normal entries": all_products(
            NORMAL_LIKE, D_HEAD, unit=ROOT_3_SQUARED
        ),
        "a key that is its query": all_products(
            NORMAL_LIKE, D_HEAD, same=True, unit=ROOT_3_SQUARED
        ),
        "entries of mean 1": all_products((0, 2), D_HEAD),
        "entries of variance 4": all_products((-2, 2), D_HEAD),
    }
    rows = [
        (case, *map(str, (moments.mean, moments.variance)))
        for case, moments in cases.items()
    ]
    heads = (f"dₖ = {D_HEAD}", "mean of q · k", "variance of q · k")
    return table(heads, rows, "Assumptions")
