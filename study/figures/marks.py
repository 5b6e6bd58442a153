r"""Marked figures: what a text shows of the results file.

In the source of a page a figure stands between two comments, which no
reader sees, and is read where the page is shown as it stands:

    a vocabulary of <!--= gpt2.vocabulary -->50,257<!--/--> tokens

No mark begins a line: there Markdown takes a comment for the beginning of
a block of HTML, and the rest of the line is no Markdown any more.
"""

import re

from .results import Figures

MARKED = re.compile(r"(<!--= (\S+) -->)(.*?)(<!--/-->)", re.DOTALL)
# Whatever looks like half of a pair, once the pairs are taken away.
HALF = re.compile(r"<!--\s*[=/].*?-->", re.DOTALL)
FIRST_IN_LINE = re.compile(r"^[ >]*(?:(?:[-*+]|\d+\.) +)?<!--=", re.M)


def marked(text: str) -> list[tuple[str, str]]:
    """The figures of a text: the name of each, and what is shown."""
    return [
        (name, " ".join(shown.split()))
        for _, name, shown, _ in MARKED.findall(text)
    ]


def substituted(text: str, figures: Figures) -> str:
    """The text with every marked figure as the results file has it.

    A figure that is broken over lines and says the same stays so.

    >>> from .results import Figure
    >>> size = Figure(50257, "", "{value:,}", "2026-11-29", "len")
    >>> substituted("<b><!--= size -->?<!--/--></b>", {"size": size})
    '<b><!--= size -->50,257<!--/--></b>'

    Raises ValueError for an unknown name, a mark without its other half,
    and a mark that begins a line.
    """
    half = HALF.search(MARKED.sub("", text))
    if half:
        raise ValueError(
            "expected <!--= name -->figure<!--/-->, got one half, "
            f"{half.group()}"
        )
    if FIRST_IN_LINE.search(text):
        raise ValueError(
            "expected a word before a marked figure in its line, got none"
        )

    def current(match: re.Match) -> str:
        begin, name, shown, end = match.groups()
        figure = str(figure_named(name, figures))
        same = " ".join(shown.split()) == figure
        return f"{begin}{shown if same else figure}{end}"

    return MARKED.sub(current, text)


def figure_named(name: str, figures: Figures):
    """The figure. Raises ValueError for an unknown name."""
    if name not in figures:
        raise ValueError(
            f"expected a figure: {', '.join(sorted(figures))}, got {name}"
        )
    return figures[name]
