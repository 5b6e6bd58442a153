"""Charts: numbers as SVG that takes the page's colours, and as a table.

Drawn here and not by matplotlib: a picture of that one has its own
colours, which do not turn dark with the page, and its letters shrink with
it on a phone. These are a few lines and dots; their colours are the page's
variables, and what they show is also there in words and as numbers.
"""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from math import log
from typing import NamedTuple

WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 344, 12, 178  # the edges of the plot
MARK = 3.2  # half the size of a mark


class Axis(NamedTuple):
    """An axis: what it counts, its range, where it is labelled."""

    title: str
    low: float
    high: float
    ticks: Sequence[float]
    logarithmic: bool = False
    label: Callable[[float], str] = "{:g}".format

    def share(self, number: float) -> float:
        """Where a number stands, from 0 to 1.

        Raises ValueError for one that would be outside of the plot.
        """
        if not self.low <= number <= self.high:
            raise ValueError(
                f"expected {self.title} from {self.low:g} to "
                f"{self.high:g}, got {number:g}"
            )
        if self.logarithmic:
            return log(number / self.low) / log(self.high / self.low)
        return (number - self.low) / (self.high - self.low)


class Series(NamedTuple):
    """Points that belong together; `hue` is a colour of the page.

    `line` is "solid", "dashed", "dotted", "thick" or "" for none; `mark`
    is "circle", "square", "diamond" or "" for none.
    """

    name: str
    points: Sequence[tuple[float, float]]
    hue: int
    line: str = "solid"
    mark: str = "circle"


class Band(NamedTuple):
    """A range of y along x, behind everything: (x, low, high)."""

    name: str
    edges: Sequence[tuple[float, float, float]]
    hue: int


def chart(
    title: str,
    caption: str,
    axes: tuple[Axis, Axis],
    series: Sequence[Series],
    bands: Sequence[Band] = (),
    extra: str = "",
) -> str:
    """A figure: title, legend, plot, what one sees, and the numbers.

    `extra` is SVG that stands on top of all.
    """
    x, y = axes
    parts = [
        grid(x, y),
        *(shape_of_band(band, x, y) for band in bands),
        *(shape_of(each, x, y) for each in series),
        extra,
    ]
    return (
        f'<figure class="chart"><p class="title">{escape(title)}</p>'
        f"{legend(series, bands)}"
        f'<p class="axis">↑ {escape(y.title)}</p>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(f"{title}: {y.title} over {x.title}")}">'
        f"{''.join(parts)}</svg>"
        f"<figcaption>{escape(caption)}</figcaption>"
        f"{numbers(x, series, title)}</figure>"
    )


def place(x: Axis, y: Axis, point: tuple[float, float]) -> tuple[str, str]:
    """A point of the plot, in the units of the picture."""
    right = LEFT + x.share(point[0]) * (RIGHT - LEFT)
    down = BOTTOM - y.share(point[1]) * (BOTTOM - TOP)
    return f"{right:.1f}", f"{down:.1f}"


def upright(x: Axis, at: float, identity: str = "") -> str:
    """An upright line; a script may move it by its `--at`, from 0 to 1."""
    named = f' id="{identity}"' if identity else ""
    return (
        f'<path class="upright"{named} d="M{LEFT} {TOP}V{BOTTOM}" '
        f'style="--at: {x.share(at):.4f}; --width: {RIGHT - LEFT}px"/>'
    )


def grid(x: Axis, y: Axis) -> str:
    """Both axes: lines, their labels, and the title of the lower one."""
    parts = []
    for tick in y.ticks:
        _, down = place(x, y, (x.low, tick))
        parts.append(
            f'<path class="grid" d="M{LEFT} {down}H{RIGHT}"/>'
            f'<text class="y" x="{LEFT - 5}" y="{down}">'
            f"{escape(y.label(tick))}</text>"
        )
    for tick in x.ticks:
        right, _ = place(x, y, (tick, y.low))
        parts.append(
            f'<path class="tick" d="M{right} {BOTTOM}v4"/>'
            f'<text class="x" x="{right}" y="{BOTTOM + 16}">'
            f"{escape(x.label(tick))}</text>"
        )
    middle = (LEFT + RIGHT) / 2
    return "".join(parts) + (
        f'<path class="tick" d="M{LEFT} {BOTTOM}H{RIGHT}"/>'
        f'<text class="x" x="{middle}" y="{HEIGHT - 8}">'
        f"{escape(x.title)} →</text>"
    )


def shape_of(series: Series, x: Axis, y: Axis) -> str:
    places = [place(x, y, point) for point in series.points]
    line = "M" + "L".join(" ".join(at) for at in places)
    marks = "".join(mark_at(series.mark, *map(float, at)) for at in places)
    path = f'<path class="line {series.line}" d="{line}"/>'
    return (
        f'<g class="series" data-hue="{series.hue}">'
        f"{path * bool(series.line)}{marks}</g>"
    )


def mark_at(mark: str, x: float, y: float) -> str:
    if not mark:
        return ""
    if mark == "circle":
        return f'<circle cx="{x}" cy="{y}" r="{MARK}"/>'
    turned = f' transform="rotate(45 {x} {y})"' * (mark == "diamond")
    return (
        f'<rect x="{x - MARK:.1f}" y="{y - MARK:.1f}" '
        f'width="{2 * MARK}" height="{2 * MARK}"{turned}/>'
    )


def shape_of_band(band: Band, x: Axis, y: Axis) -> str:
    there = [place(x, y, (at, high)) for at, _, high in band.edges]
    back = [place(x, y, (at, low)) for at, low, _ in band.edges[::-1]]
    line = "M" + "L".join(" ".join(at) for at in there + back) + "Z"
    return f'<path class="band" data-hue="{band.hue}" d="{line}"/>'


def legend(series: Iterable[Series], bands: Iterable[Band]) -> str:
    """What each line and band is, with a sample of it."""
    entries = [
        f'<li data-hue="{each.hue}">{sample(each)}'
        f"<span>{escape(each.name)}</span></li>"
        for each in series
        if each.name
    ]
    entries += [
        f'<li data-hue="{band.hue}"><svg class="sample" '
        'viewBox="0 0 26 10" aria-hidden="true">'
        '<path class="band" d="M0 0H26V10H0Z"/></svg>'
        f"<span>{escape(band.name)}</span></li>"
        for band in bands
        if band.name
    ]
    return f'<ul class="legend">{"".join(entries)}</ul>'


def sample(series: Series) -> str:
    line = f'<path class="line {series.line}" d="M0 5H26"/>'
    return (
        '<svg class="sample" viewBox="0 0 26 10" aria-hidden="true">'
        f'<g class="series" data-hue="{series.hue}">'
        f"{line * bool(series.line)}{mark_at(series.mark, 13, 5)}</g></svg>"
    )


def numbers(x: Axis, series: Sequence[Series], title: str) -> str:
    """The points as a table, a row for each x."""
    named = [each for each in series if each.name]
    columns = [dict(each.points) for each in named]
    rows = [
        (x.label(at), *(number(column.get(at)) for column in columns))
        for at in sorted({at for column in columns for at in column})
    ]
    heads = (x.title, *(escape(each.name) for each in named))
    return (
        f"<details><summary>The numbers of this plot</summary>"
        f"{table(heads, rows, title)}</details>"
    )


def table(
    heads: Iterable[str], rows: Iterable[Sequence[str]], title: str
) -> str:
    """A table; the first cell of a row is its head."""
    top = "".join(
        f'<th scope="col">{head}</th>' if head else "<td></td>"
        for head in heads
    )
    lines = (
        f'<tr><th scope="row">{first}</th>'
        + "".join(
            cell if "<td" in cell else f"<td>{cell}</td>" for cell in rest
        )
        + "</tr>"
        for first, *rest in rows
    )
    return (
        f'<div class="numbers" role="group" tabindex="0" '
        f'aria-label="{escape(title)}, the numbers"><table class="table">'
        f"<thead><tr>{top}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def number(value: float | None, digits: int = 3) -> str:
    """A cell with a number in a few digits, all of them on pointing.

    >>> number(1 / 3)
    '<td title="0.3333333333333333">0.333</td>'
    >>> number(None)
    '<td></td>'
    """
    if value is None:
        return "<td></td>"
    return f'<td title="{value!r}">{plain(value, digits)}</td>'


def plain(value: float, digits: int = 3) -> str:
    """A number in a few digits, with a true minus sign.

    >>> plain(1036.9), plain(0.00025)
    ('1,037', '0.00025')
    """
    small = abs(value) < 1000
    text = f"{value:.{digits}g}" if small else f"{value:,.0f}"
    return text.replace("-", "\u2212")


def bars(
    heads: tuple[str, str],
    rows: Sequence[tuple[str, float, str]],
    title: str,
    plain: Callable[[float], str] = plain,
    most: float | None = None,
) -> str:
    """Numbers as bars, in a table that says them: label, number, class.

    `most` is what a bar of full length stands for.
    """
    most = most or max(value for _, value, _ in rows)
    cells = [
        (
            escape(label),
            f'<td title="{value!r}">{plain(value)}</td>',
            f'<td class="bar {kind}">'
            f'<span style="--share: {value / most:.4f}"></span></td>',
        )
        for label, value, kind in rows
    ]
    return table((*heads, ""), cells, title)
