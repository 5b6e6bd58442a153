"""One measurement for several claims, and the axes of their plots."""

from functools import cache
from math import ceil, floor, log10

from study.variance.measures import Measures, measure

from ..charts import Axis

SAMPLES, SEED = 1024, 0
BARE, SCALED = 1, 0  # colours: without the root, with it


@cache
def measures() -> Measures:
    """What `twice variance` measures, of fewer pairs.

    Raises ValueError where a variance is none that chance explains.
    """
    measured = measure(SAMPLES, SEED)
    if not measured.hold:
        raise ValueError(
            "expected variances of d_k and 1, got "
            + ", ".join(
                f"{width.variance:.4g} and {width.variance_of_scores:.4g}"
                for width in measured.widths
            )
        )
    return measured


def over_widths() -> Axis:
    widths = [width.d_head for width in measures().widths]
    return Axis(
        "dₖ, features of a query or key",
        widths[0],
        widths[-1],
        widths[::2],
        logarithmic=True,
    )


def decades(title: str, numbers: list[float]) -> Axis:
    """A logarithmic axis from a power of ten to one, around numbers."""
    low, high = floor(log10(min(numbers))), ceil(log10(max(numbers)))
    ticks = [10.0**power for power in range(low, high + 1)]
    return Axis(title, ticks[0], ticks[-1], ticks, logarithmic=True)
