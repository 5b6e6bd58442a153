"""Figures, from measuring to the texts.

    python -m study.figures --measure --write

`--measure` computes the figures again, `--time NAME` runs a command on
this machine; both write `data/figures.json`, whole or not at all.
`--write` brings the texts up to date with it.
"""

import argparse

from numpy_ref.files import write_file

from .marks import substituted
from .measures import measured
from .results import RESULTS, Figures, read_results, write_results
from .texts import HOUSE, texts
from .timings import TIMINGS, timed


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        *("--measure",),
        action="store_true",
        help="Compute all figures but the timings.",
    )
    parser.add_argument(
        *("--time",),
        action="append",
        default=[],
        metavar="NAME",
        help=f"Run a command and time it: {', '.join(TIMINGS)}.",
    )
    parser.add_argument(
        *("--write",),
        action="store_true",
        help="Write the figures into the texts.",
    )
    options = parser.parse_args(words)
    if not (options.measure or options.time or options.write):
        parser.error("expected --measure, --time or --write, got none")
    try:
        if options.measure or options.time:
            write_results(updated(options.measure, options.time))
        if options.write:
            write_texts(read_results())
    except ValueError as error:
        parser.exit(2, f"{error}\n")


def updated(measure: bool, names: list[str]) -> Figures:
    """The results file's figures, with those that are measured again."""
    figures = read_results() if RESULTS.is_file() else {}
    if measure:
        figures = measured(figures)
    return figures | {name: timed(name) for name in names}


def write_texts(figures: Figures) -> None:
    """Write the texts that change, once all can be substituted."""
    before = {path: path.read_text(encoding="utf-8") for path in texts()}
    after = {
        path: substituted(text, figures) for path, text in before.items()
    }
    for path, text in after.items():
        if text != before[path]:
            write_file(path, text.encode())
            print(path.relative_to(HOUSE))


if __name__ == "__main__":
    main()
