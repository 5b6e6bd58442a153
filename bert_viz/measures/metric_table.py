"""A table of all metrics of all heads, for one text or averaged over many.

Each metric comes with its value for equal weights. Thresholds on metrics
name what heads do (`patterns`).
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


class Summary(NamedTuple):
    """One metric over all heads; `largest_in` is (layer, head)."""

    metric: str
    equal_weights: float
    smallest: float
    median: float
    largest: float
    largest_in: tuple[int, int]


@dataclass(frozen=True, eq=False, repr=False)
class MetricTable:
    """Metrics of all heads: `values` and `baselines` by metric's name.

    `about` says whose weights, `rows` what was done to the rows, `texts`
    how many there were; a metric is the mean over the texts that have it.
    `left_out` names those that compare tokens of one text, and so are not
    defined in cross-attention.
    """

    values: dict[str, Float[Array, "layer head"]]
    baselines: dict[str, float]
    about: str
    rows: str
    texts: int = 1
    left_out: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """Which metrics are left out, and why, or nothing."""
        if not self.left_out:
            return ""
        return (
            "left out, because in cross-attention queries and keys are "
            f"tokens of two texts: {', '.join(self.left_out)}"
        )

    @property
    def caption(self) -> str:
        """The model, the number of texts, and what was done to rows."""
        texts = "one text" if self.texts == 1 else f"{self.texts} texts"
        return f"{self.about}; {texts}; {self.rows}"

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of layers and of heads."""
        return next(iter(self.values.values())).shape

    def __repr__(self) -> str:
        texts = (", ".join(self.values), self.caption, self.note)
        return f"<MetricTable: {'; '.join(filter(None, texts))}>"

    def _repr_html_(self) -> str:
        """A row for each metric, for a notebook to show."""
        heads = "".join(
            f"<th>{field.replace('_', ' ')}</th>"
            for field in Summary._fields
        )
        rows = "".join(
            f"<tr><th>{escape(summary.metric)}</th>"
            + "".join(f"<td>{number:.3f}</td>" for number in summary[1:5])
            + "<td>{}.{}</td></tr>".format(*summary.largest_in)
            for summary in self.summaries()
        )
        caption = "; ".join(filter(None, (self.caption, self.note)))
        return (
            f"<table><caption>{escape(caption)}</caption>"
            f"<tr>{heads}</tr>{rows}</table>"
        )

    def summaries(self) -> list[Summary]:
        """Each metric summarised: equal weights, smallest to largest."""
        summaries = []
        for name, values in self.values.items():
            layer, head = np.unravel_index(values.argmax(), values.shape)
            summaries.append(
                Summary(
                    name,
                    self.baselines[name],
                    float(values.min()),
                    float(np.median(values)),
                    float(values.max()),
                    (int(layer), int(head)),
                )
            )
        return summaries

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
    """Every metric that applies to this text.

    Without `special`, special tokens are left out and rows renormalised.
    """
    if not special:
        attention = attention.without_special(renormalise=True)
    defined = [
        metric
        for metric in METRICS
        if not (attention.is_cross and metric.one_text)
    ]
    applicable = [metric for metric in defined if metric.applies(attention)]
    return MetricTable(
        {metric.name: metric.measure(attention) for metric in applicable},
        {metric.name: baseline(metric, attention) for metric in applicable},
        attention.about,
        attention.rows,
        left_out=tuple(
            metric.name for metric in METRICS if metric not in defined
        ),
    )


def averaged(tables: Iterable[MetricTable]) -> MetricTable:
    """The mean table over texts of one model: each text counts once.

    A metric that does not apply to some of them (no punctuation, say) is
    the mean over the others. Raises ValueError for tables of different
    models, for no tables, and for one that is a mean already.
    """
    tables = list(tables)
    for table in tables:
        if table.texts != 1:
            raise ValueError(
                "expected tables of one text each, got one of "
                f"{table.texts} texts"
            )
    kinds = {
        (table.about, table.rows, table.shape, table.left_out)
        for table in tables
    }
    if len(kinds) != 1:
        raise ValueError(
            "expected tables of one model, computed the same way, got "
            f"{len(kinds)} kinds"
        )
    names = [
        metric.name
        for metric in METRICS
        if any(metric.name in table.values for table in tables)
    ]

    def mean(part: str, name: str):
        by_text = [getattr(table, part) for table in tables]
        return np.mean(
            [values[name] for values in by_text if name in values], axis=0
        )

    return MetricTable(
        {name: mean("values", name) for name in names},
        {name: float(mean("baselines", name)) for name in names},
        tables[0].about,
        tables[0].rows,
        len(tables),
        tables[0].left_out,
    )
