"""Temperature: a slider, and the weights at every one of its positions.

The page computes the weights itself (`static/temperature.js`). What it
begins with is NumPy's, and a test holds it to NumPy at other positions.
"""

import json
from fractions import Fraction
from math import log

import numpy as np

from numpy_ref import example
from numpy_ref.attention import softmax_with_temperature
from parity_tests.claims.softmax import Tempered, at_temperature

from ..charts import Axis, Series, bars, chart, upright
from ..heat import fractions

ROW = 2  # of the running example: the scores 1, 2 and 3, times ln 2
SCORES = example.SCORES[ROW][example.MASK[ROW]]
NAMES = [
    f"{name}: {n} ln 2"
    for name, n in zip(
        example.TOKENS, example.SCORES_IN_LN_2[ROW], strict=True
    )
][: len(SCORES)]
STEPS = 4  # of the slider, until the temperature has doubled
OCTAVES = 4  # up and down from 1
TEMPERATURES = [
    2 ** (step / STEPS)
    for step in range(-STEPS * OCTAVES, STEPS * OCTAVES + 1)
]
START = STEPS * OCTAVES
COLD, HOT = 0.5, 2.0


def shown() -> dict:
    coldest, hottest = tempered(TEMPERATURES[0]), tempered(TEMPERATURES[-1])
    return {
        "slider": slider(),
        "plot": plot(),
        "entropy": entropy_plot(),
        "at_one": fractions(weights(1.0)),
        "cold": COLD,
        "at_cold": fractions(weights(COLD)),
        "coldest": TEMPERATURES[0],
        "greatest": f"{coldest.greatest:.6f}",
        "hottest": f"{TEMPERATURES[-1]:g}",
        "least": f"{hottest.least:.3f}",
        "equal": f"{1 / len(SCORES):.3f}",
    }


def tempered(temperature: float) -> Tempered:
    return at_temperature(SCORES, temperature)


def weights(temperature: float) -> np.ndarray:
    return softmax_with_temperature(SCORES, temperature)


def label(temperature: float) -> str:
    return f"{temperature:.3g}"


def spoken(temperature: float) -> str:
    """What a screen reader says of the slider."""
    shares = (f"{weight:.4f}" for weight in weights(temperature))
    return f"{label(temperature)}; weights {', '.join(shares)}"


def slider() -> str:
    """The slider, at 1; what it needs stands in its attributes."""
    rows = [
        (name, weight, "")
        for name, weight in zip(NAMES, weights(1.0).tolist(), strict=True)
    ]
    table = bars(
        ("key", "weight"), rows, "Weights", "{:.4f}".format, most=1
    )
    return (
        '<div class="temperature" '
        f"data-scores='{json.dumps(SCORES.tolist())}' "
        f"data-temperatures='{json.dumps(TEMPERATURES)}'>"
        '<label for="temperature">Temperature τ</label>'
        '<input id="temperature" type="range" min="0" '
        f'max="{len(TEMPERATURES) - 1}" value="{START}" '
        f'aria-valuetext="{spoken(1.0)}">'
        f'<p class="reading" aria-hidden="true">{label(1.0)}</p>{table}'
        '<p class="entropy">Entropy: '
        f"<span>{tempered(1.0).entropy:.4f}</span> of at most "
        f"{log(len(SCORES)):.4f}</p></div>"
    )


def over_temperatures() -> Axis:
    ticks = TEMPERATURES[:: 2 * STEPS]
    return Axis("temperature τ", ticks[0], ticks[-1], ticks, True, short)


def short(temperature: float) -> str:
    """
    >>> short(0.0625), short(4), short(2**0.25)
    ('1/16', '4', '1.19')
    """
    exact = Fraction(temperature)
    return str(exact) if exact.denominator <= 16 else label(temperature)


def plot() -> str:
    x = over_temperatures()
    y = Axis("weight", 0, 1, (0, 0.5, 1))
    at_all = np.stack([weights(t) for t in TEMPERATURES])
    marks = ("", "", "")
    return chart(
        "The weights at each temperature",
        "Cold, at the left, the largest score takes all; hot, at the "
        "right, the three weights meet at a third. The upright line is "
        "where the slider stands.",
        (x, y),
        [
            Series(
                name,
                list(zip(TEMPERATURES, row, strict=True)),
                hue,
                line,
                mark,
            )
            for hue, (name, row, line, mark) in enumerate(
                zip(
                    NAMES,
                    at_all.T.tolist(),
                    ("dashed", "dotted", "solid"),
                    marks,
                    strict=True,
                )
            )
        ],
        extra=upright(x, TEMPERATURES[START], "now"),
    )


def entropy_plot() -> str:
    most = log(len(SCORES))
    y = Axis("entropy, nats", 0, 1.2, (0, 0.4, 0.8, 1.2))
    points = [(t, tempered(t).entropy) for t in TEMPERATURES]
    ends = (TEMPERATURES[0], TEMPERATURES[-1])
    return chart(
        "The entropy of the weights",
        "It only grows with the temperature, towards that of equal "
        "weights.",
        (over_temperatures(), y),
        [
            Series("measured", points, 0, "solid", ""),
            Series(
                f"equal weights, ln {len(SCORES)}",
                [(t, most) for t in ends],
                1,
                "dashed",
                "",
            ),
        ],
    )
