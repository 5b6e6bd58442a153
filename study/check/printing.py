"""What `twice check` prints: a report, a table, CSV or JSON.

All that comes from a judged file goes through `printable`.
"""

import csv
import json
import sys
import textwrap
from collections.abc import Iterator

from rich.console import Console
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from .judged import JudgedFile, is_open
from .printable import cell, printable

LABELS = {
    "arrays": "arrays",
    "layout": "layout",
    "mask": "mask",
    "causal": "causal by",
    "alignment": "fewer queries than keys are",
    "causal_and_mask": "causal together with a mask",
    "mask_of_numbers": "numbers in a mask",
    "fully_masked_row": "a fully masked row gets",
    "nan_in_masked_key": "a NaN in a masked key",
    "nan_in_masked_value": "a NaN in a masked value",
    "cross_attention": "cross-attention to",
    "weights": "weights were read as",
    "float32": "float32",
    "float64": "float64",
    "fewer_key_heads": "fewer heads of keys",
    "gradients": "gradients",
    "exp": "exp is",
    "roundings": "rounds to 16 bits",
    "backward": "of the backward",
    "batch_axes": "axes before the last two",
    "dtypes": "precisions",
    "as_many_queries_as_keys": "needs as many queries as keys",
    "values_as_wide_as_keys": "needs values as wide as keys",
}
WIDEST, INDENT = 88, 2
LONG = 24  # lines of a script that push the rest off the first screen
STYLES = {
    "holds": "green",
    "holds where asked": "yellow",
    "rejected": "bold red",
    "not judged": "yellow",
}


class Printer:
    """Lines of text on standard output; colours only on a terminal."""

    def __init__(self, plain: bool = False):
        self.console = Console(
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=True,
            **{"force_terminal": False, "no_color": True} if plain else {},
        )
        self.width = min(self.console.width, WIDEST)

    def line(
        self, text: str = "", indent: int = 0, style: str = ""
    ) -> None:
        shown = " " * indent + printable(text)
        self.console.print(Text(shown.rstrip(), style))

    def prose(self, text: str, indent: int = 0) -> None:
        """A text in lines that end within the width."""
        width = max(self.width - indent, 20)
        start = " " * INDENT  # of each line but the first
        for line in textwrap.wrap(
            printable(text), width, subsequent_indent=start
        ):
            self.line(line, indent)


# --- one file ------------------------------------------------------------


def print_report(judged: JudgedFile, plain: bool = False) -> None:
    """Everything about one file, the verdicts first."""
    printer = Printer(plain)
    for report in judged.reports:
        print_one(printer, report)
        printer.line()
    if judged.trouble:
        printer.line("NOT JUDGED", style=STYLES["not judged"])
        printer.prose(judged.trouble, INDENT)
        printer.line()
    if judged.others:
        printer.prose(f"not looked at: {', '.join(judged.others)}")
    for remark in judged.remarks:
        printer.prose(remark)
    if judged.notes:
        printer.line(f"when {judged.path.name} was run:")
        for note in judged.notes:
            printer.prose(note, INDENT)
    printer.prose(f"{judged.path} was run in a process of its own")


def print_one(printer: Printer, report: dict) -> None:
    """A function or a class: the verdict, and what it rests on."""
    head = f"{report['name']}, as {report['kind']}: {headline(report)}"
    printer.line(head, style=STYLES[report["verdict"]])
    if report["trouble"]:
        printer.prose(report["trouble"], INDENT)
    failed = failing(report)
    failure = failed[0]["failure"] if failed else {"script": ""}
    is_long = failure["script"].count("\n") > LONG
    if failed:
        print_failure(printer, failed[0], report)
    if failed and not is_long:
        print_script(printer, failure)
    print_not_asked(printer, report)
    if is_long:
        print_script(printer, failure)
    if failed[1:]:
        names = ", ".join(finding["name"] for finding in failed[1:])
        word = "fails" if report["verdict"] == "rejected" else "differs"
        printer.prose(f"{word}, too: {names}", INDENT)
    if report["findings"]:
        printer.prose(figures(report), INDENT)
    print_conventions(printer, report)
    for remark in report["remarks"]:
        printer.prose(remark, INDENT)


def failing(report: dict) -> list[dict]:
    return [f for f in report["findings"] if f["verdict"] == "fails"]


def headline(report: dict) -> str:
    """The verdict, and of how many properties."""
    verdict, findings = report["verdict"], report["findings"]
    asked = [f for f in findings if f["verdict"] != "not judged"]
    if verdict == "not judged":
        return "NOT JUDGED"
    if verdict == "rejected":
        return f"REJECTED ({len(failing(report))} of {len(asked)} fail)"
    if verdict == "holds":
        return f"all {len(asked)} properties that it was asked hold"
    held = sum(f["verdict"] == "holds" for f in asked)
    return f"holds where asked ({held} of {len(asked)} properties)"


def print_failure(printer: Printer, finding: dict, report: dict) -> None:
    """The telling failure: the claim, what came, what was right, and the
    likely cause."""
    failure, is_wrong = finding["failure"], report["verdict"] == "rejected"
    word = "FAILS" if is_wrong else "DIFFERS"
    printer.line(f"{word} {finding['name']}", INDENT)
    printer.prose(finding["claim"], 2 * INDENT)
    text = failure["text"]
    if "got" in failure:
        text = (
            f"{failure['what']} at {failure['at']}: got {failure['got']}, "
            f"expected {failure['expected']}; rounding allows a difference "
            f"of {number(failure['bound'])}"
        )
    printer.prose(text, 2 * INDENT)
    if is_wrong:
        cause = report["cause"] or "unknown"
        printer.prose(f"likely cause: {cause}", INDENT)
    if report["known"]:
        printer.prose(report["known"], 2 * INDENT)


def number(value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def print_script(printer: Printer, failure: dict) -> None:
    """The failing call as a script, or at least its input."""
    script = failure["script"]
    printer.line()
    if script:
        head = "a script that shows it, without this project:"
        printer.line(head, INDENT)
    else:
        printer.line("on this input:", INDENT)
        script = f"import numpy as np\n{failure['inputs']}"
    printer.line()
    for line in script.rstrip().split("\n"):
        printer.line(line, 2 * INDENT)
    printer.line()


def print_not_asked(printer: Printer, report: dict) -> None:
    """What a reader could take to be asked, and why it was not."""
    for finding in report["findings"]:
        if finding["verdict"] in ("raised", "no time"):
            why = finding["trouble"] or "there was no time left"
            printer.prose(f"not judged: {finding['name']}: {why}", INDENT)
    for what, why in report["not_asked"].items():
        printer.prose(f"not asked: {what}: {why}", INDENT)


def print_conventions(printer: Printer, report: dict) -> None:
    if report["conventions"]:
        printer.line("conventions detected (not failures):", INDENT)
    for name, value in report["conventions"].items():
        label = LABELS.get(name, name.replace("_", " "))
        if value is True:
            printer.line(label, 2 * INDENT)
        elif value is not False:
            values = value if isinstance(value, list) else [value]
            shown = ", ".join(map(str, values))
            printer.line(f"{label:32} {shown}", 2 * INDENT)


def figures(report: dict) -> str:
    """The counts of a report, in a sentence."""
    findings = report["findings"]
    count = {
        kind: sum(finding["verdict"] == kind for finding in findings)
        for kind in ("holds", "fails", "raised", "not judged", "no time")
    }
    compared = sum(finding["compared"] for finding in findings)
    unchecked = sum(finding["unchecked"] for finding in findings)
    holding = [f["share"] for f in findings if f["verdict"] == "holds"]
    examples = sum(finding["examples"] for finding in findings)
    return (
        f"{len(findings)} properties: {count['holds']} hold, "
        f"{count['fails']} fail, {count['raised']} raised an error, "
        f"{count['not judged']} not applicable, {count['no time']} out of "
        f"time; {examples} inputs, {compared} comparisons, {unchecked} "
        f"with a bound too wide to check; largest error where they hold: "
        f"{max(holding, default=0):.2f} of its bound"
    )


# --- several files -------------------------------------------------------

COLUMNS = (
    *("path", "what", "verdict", "cause or reason"),
    *("asked", "held", "failed"),
)


def what(report: dict) -> str:
    """What was judged, by its name; and in which 16 bits, if in such."""
    _, in_half, dtype = report.get("kind", "").partition("attention in ")
    return f"{report['name']} in {dtype}" if in_half else report["name"]


def rows(files: list[JudgedFile]) -> Iterator[tuple[str, ...]]:
    """A row for each thing judged, and for each file that was not."""
    for judged in files:
        for report in judged.reports:
            yield (
                str(judged.path),
                what(report),
                report["verdict"],
                reason(report),
                *counts(report),
            )
        if judged.trouble or not judged.reports:
            trouble = judged.trouble or "nothing in it can be judged"
            row = (str(judged.path), "", "not judged", trouble)
            yield (*row, "0", "0", "0")


def reason(report: dict) -> str:
    """The cause of a rejection, or why there is no full verdict."""
    if report["verdict"] == "rejected":
        return report["cause"] or f"unknown: {report['known'] or ''}"
    if report["trouble"]:
        return report["trouble"]
    if is_open(report):
        troubles = [f["trouble"] for f in report["findings"]]
        return next(filter(None, troubles), "there was no time left")
    return ""


def counts(report: dict) -> tuple[str, str, str]:
    """How many properties were asked, held and failed."""
    verdicts = [finding["verdict"] for finding in report["findings"]]
    asked = [v for v in verdicts if v in ("holds", "fails", "raised")]
    sizes = len(asked), verdicts.count("holds"), verdicts.count("fails")
    return tuple(map(str, sizes))


def print_table(files: list[JudgedFile], plain: bool = False) -> None:
    """A row for each thing judged; without a terminal, a line."""
    printer = Printer(plain)
    if plain or not printer.console.is_terminal:
        for path, what, verdict, cause, *_ in rows(files):
            shown = verdict.upper() if verdict == "rejected" else verdict
            parts = [path, what, shown, cause]
            printer.line(": ".join(filter(None, parts)))
    else:
        table = Table()
        for column in COLUMNS:
            table.add_column(column, overflow="fold")
        for row in rows(files):
            style = STYLES[row[2]]
            table.add_row(*(Text(printable(text)) for text in row))
            table.rows[-1].style = style
        Console(emoji=False).print(table)
    printer.line(summary(files))
    printer.line("each file was run in a process of its own")


def summary(files: list[JudgedFile]) -> str:
    verdicts = [judged.verdict for judged in files]
    parts = [
        f"{verdicts.count(verdict)} {verdict}"
        for verdict in STYLES
        if verdict in verdicts
    ]
    return f"{len(files)} files: {', '.join(parts)}"


def print_csv(files: list[JudgedFile]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(map(cell, row) for row in rows(files))


def print_json(files: list[JudgedFile]) -> None:
    plain = [
        {"verdict": each.verdict, **vars(each), "path": str(each.path)}
        for each in files
    ]
    print(json.dumps(plain, indent=2, allow_nan=False))


# --- progress ------------------------------------------------------------


class Progress:
    """How far it is, on standard error: a bar, or a line for each file."""

    def __init__(self, files: int):
        self.files, self.judged = files, 0
        console = Console(stderr=True, markup=False, emoji=False)
        self.bar = Bar(console=console, transient=True)
        self.is_bar = console.is_terminal and files > 1

    def __enter__(self) -> "Progress":
        if self.is_bar:
            self.bar.start()
            self.task = self.bar.add_task("judged", total=self.files)
        return self

    def __exit__(self, *_) -> None:
        if self.is_bar:
            self.bar.stop()

    def report(self, judged: JudgedFile) -> None:
        self.judged += 1
        if self.is_bar:
            self.bar.advance(self.task)
        elif self.files > 1:
            name = printable(judged.path)
            line = f"{self.judged}/{self.files} {name}: {judged.verdict}"
            print(line, file=sys.stderr, flush=True)
