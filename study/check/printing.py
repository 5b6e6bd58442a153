"""What `twice check` prints: a report, a table, or CSV."""

import csv
import sys
import textwrap

from rich.console import Console
from rich.table import Table

from .process import JudgedFile

LABELS = {
    "arrays": "arrays",
    "mask": "mask",
    "causal": "causal by",
    "alignment": "fewer queries than keys are",
    "causal_and_mask": "causal together with a mask",
    "mask_of_numbers": "numbers in a mask",
    "fully_masked_row": "a fully masked row gets",
    "nan_in_masked_key": "a NaN in a masked key",
    "nan_in_masked_value": "a NaN in a masked value",
    "weights": "weights were read as",
    "float32": "float32",
    "batch_axes": "axes before the last two",
    "dtypes": "precisions",
    "as_many_queries_as_keys": "needs as many queries as keys",
    "values_as_wide_as_keys": "needs values as wide as keys",
}


def print_report(judged: JudgedFile) -> None:
    """Everything about one file."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    say = console.print
    say(f"{judged.path}: was run in a process of its own")
    if judged.printed:
        say(f"  its output ({judged.printed} bytes) is not shown")
    for note in judged.notes:
        say(f"  {note}")
    for candidate in judged.unjudged:
        say(f"  {candidate['name']} is not judged: {candidate['text']}")
    for report in judged.reports:
        say()
        print_one(say, report)
    if judged.trouble:
        say()
        what = "REJECTED" if judged.began else "NOT JUDGED"
        say(f"{what}: {judged.trouble}")
    elif not judged.reports:
        say()
        say("NOT JUDGED: nothing in it can be judged")


def print_one(say, report: dict) -> None:
    """A function or a class: verdict, failures, figures, conventions."""
    say(f"{report['name']}, as {report['kind']}: {verdict(report)}")
    if report["trouble"]:
        trouble = report["trouble"]
        known = trouble.startswith(("it ", "with "))
        say(f"  {trouble}" if known else f"  it {trouble}")
        return
    failed = [f for f in report["findings"] if f["verdict"] == "fails"]
    if failed:
        say(f"  likely cause: {report['cause'] or 'unknown'}")
    for finding in failed[:SHOWN]:
        say()
        say(f"  FAILS {finding['name']}")
        for line in textwrap.wrap(finding["claim"], 70):
            say(f"    {line}")
        print_input(say, finding)
        print_failure(say, finding["failure"])
    if failed[SHOWN:]:
        say()
        say(f"  and {len(failed[SHOWN:])} more, shown in full by --json:")
    for finding in failed[SHOWN:]:
        say(f"    {finding['name']}")
    say()
    say(f"  {figures(report)}")
    if report["conventions"]:
        say("  conventions detected (not failures):")
    for name, value in report["conventions"].items():
        shown = (
            ", ".join(map(str, value)) if isinstance(value, list) else value
        )
        if not isinstance(value, bool):
            say(f"    {LABELS[name]:32} {shown}")
        elif value:
            say(f"    {LABELS[name]}")


def print_input(say, finding: dict) -> None:
    """The smallest failing input, to be pasted into Python."""
    say("    the smallest failing input found:")
    say("      import numpy as np")
    for line in finding["failure"]["inputs"].split("\n"):
        say(f"      {line}")


def print_failure(say, failure: dict) -> None:
    """What the function returned, and what it should have returned."""
    if "got" not in failure:
        say(f"    {failure['text']}")
        return
    say(
        f"    {failure['what']} at {failure['at']}: got {failure['got']}, "
        f"expected {failure['expected']}; rounding explains a difference "
        f"of at most {failure['bound']:.3g}"
    )


def verdict(report: dict) -> str:
    if report["verdict"] == "holds":
        return "all properties hold"
    verdicts = {finding["verdict"] for finding in report["findings"]}
    if "no time" in verdicts and "fails" not in verdicts:
        return "NOT FINISHED: give it more time with --timeout"
    return "REJECTED"


def figures(report: dict) -> str:
    """The counts of a report, in a line."""
    findings = report["findings"]
    count = {
        kind: sum(finding["verdict"] == kind for finding in findings)
        for kind in ("holds", "fails", "not judged", "no time")
    }
    compared = sum(finding["compared"] for finding in findings)
    unchecked = sum(finding["unchecked"] for finding in findings)
    holding = [f["share"] for f in findings if f["verdict"] == "holds"]
    examples = sum(finding["examples"] for finding in findings)
    return (
        f"{len(findings)} properties: {count['holds']} hold, "
        f"{count['fails']} fail, {count['not judged']} not applicable, "
        f"{count['no time']} out of time; "
        f"{examples} inputs, {compared} comparisons, {unchecked} with a "
        f"bound too wide to check; largest error where they hold: "
        f"{max(holding, default=0):.2f} of its bound"
    )


def rows(files: list[JudgedFile]):
    """File, name, verdict and cause: a row for each thing judged."""
    for judged in files:
        for report in judged.reports:
            cause = report["cause"] or report["trouble"] or ""
            if report["verdict"] == "fails" and not cause:
                cause = "unknown"
            failed = [
                finding["name"]
                for finding in report["findings"]
                if finding["verdict"] == "fails"
            ]
            yield (
                judged.path.name,
                report["name"],
                verdict(report),
                cause,
                str(len(failed)),
            )
        for candidate in judged.unjudged:
            yield (
                judged.path.name,
                candidate["name"],
                "not judged",
                candidate["text"],
                "",
            )
        if judged.trouble:
            what = "REJECTED" if judged.began else "not judged"
            yield judged.path.name, "", what, judged.trouble, ""


SHOWN = 1  # failures in full
COLUMNS = ("file", "what", "verdict", "likely cause or reason", "failures")


def print_table(files: list[JudgedFile]) -> None:
    """A row for each thing judged."""
    print("each file was run in a process of its own")
    table = Table()
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for row in rows(files):
        table.add_row(*row)
    Console(highlight=False, markup=False).print(table)


def print_csv(files: list[JudgedFile]) -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow(COLUMNS)
    writer.writerows(rows(files))
