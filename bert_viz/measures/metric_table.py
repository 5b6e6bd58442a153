"""All metrics of all heads, of one text or averaged over many.

Which heads do what is read off the table by thresholds (`patterns`), with
what equal weights would give beside each number.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from io import StringIO
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from ..attention import Attention
from .metrics import METRICS, baseline


class Line(NamedTuple):
    """One metric over all heads; `at` is the head with the most."""

    metric: str
    equal_weights: float
    least: float
    median: float
    most: float
    at: tuple[int, int]


@dataclass(frozen=True, eq=False, repr=False)
class MetricTable:
    """`values` and `baselines` by the names of the metrics.

    `about` says which weights, `rows` what was done to the rows, `texts`
    how many there were; a metric is the mean over those that have it.
    """

    values: dict[str, Float[Array, "layer head"]]
    baselines: dict[str, float]
    about: str
    rows: str
    texts: int = 1

    @property
    def caption(self) -> str:
        """What the numbers are of."""
        texts = "one text" if self.texts == 1 else f"{self.texts} texts"
        return f"{self.about}; {texts}; {self.rows}"

    @property
    def shape(self) -> tuple[int, int]:
        """How many layers, and how many heads."""
        return next(iter(self.values.values())).shape

    def __repr__(self) -> str:
        return f"<MetricTable: {', '.join(self.values)}; {self.caption}>"

    def _repr_html_(self) -> str:
        """A row for each metric, for a notebook to show."""
        heads = "".join(
            f"<th>{name.replace('_', ' ')}</th>" for name in Line._fields
        )
        rows = "".join(
            f"<tr><th>{escape(line.metric)}</th>"
            + "".join(f"<td>{number:.3f}</td>" for number in line[1:5])
            + f"<td>{line.at[0]}.{line.at[1]}</td></tr>"
            for line in self.lines()
        )
        return (
            f"<table><caption>{escape(self.caption)}</caption>"
            f"<tr>{heads}</tr>{rows}</table>"
        )

    def lines(self) -> list[Line]:
        """For each metric what equal weights give, and the heads."""
        found = []
        for name, values in self.values.items():
            layer, head = np.unravel_index(values.argmax(), values.shape)
            found.append(
                Line(
                    name,
                    self.baselines[name],
                    float(values.min()),
                    float(np.median(values)),
                    float(values.max()),
                    (int(layer), int(head)),
                )
            )
        return found

    def as_csv(self) -> str:
        """A row for each head, and one for equal weights."""
        file = StringIO()
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["layer", "head", *self.values])
        layers, heads = self.shape
        for layer in range(layers):
            for head in range(heads):
                out.writerow(
                    [layer, head]
                    + [
                        f"{v[layer, head]:.6g}"
                        for v in self.values.values()
                    ]
                )
        equal = [f"{self.baselines[name]:.6g}" for name in self.values]
        out.writerow(["equal weights", "", *equal])
        return file.getvalue()


def metric_table(attention: Attention, special: bool = True) -> MetricTable:
    """Every metric that means something for this text.

    Without `special`, special tokens are left out and rows renormalised.
    """
    if not special:
        attention = attention.without_special(renormalise=True)
    asked = [metric for metric in METRICS if metric.applies(attention)]
    return MetricTable(
        {metric.name: metric.measure(attention) for metric in asked},
        {metric.name: baseline(metric, attention) for metric in asked},
        attention.about,
        attention.rows,
    )


def averaged(tables: Iterable[MetricTable]) -> MetricTable:
    """The mean over texts of one model: each text counts once.

    A metric that means nothing for some of them (no punctuation, say) is
    the mean over the others. Raises ValueError for tables of different
    models, for none, and for one that is a mean already.
    """
    tables = list(tables)
    for table in tables:
        if table.texts != 1:
            raise ValueError(
                "expected tables of one text each, got one of "
                f"{table.texts} texts"
            )
    kinds = {(one.about, one.rows, one.shape) for one in tables}
    if len(kinds) != 1:
        raise ValueError(
            "expected tables of one model, made alike, got "
            f"{len(kinds)} kinds"
        )
    names = [
        metric.name
        for metric in METRICS
        if any(metric.name in one.values for one in tables)
    ]

    def mean(part: str, name: str):
        found = [getattr(one, part) for one in tables]
        return np.mean([one[name] for one in found if name in one], axis=0)

    return MetricTable(
        {name: mean("values", name) for name in names},
        {name: float(mean("baselines", name)) for name in names},
        tables[0].about,
        tables[0].rows,
        len(tables),
    )
