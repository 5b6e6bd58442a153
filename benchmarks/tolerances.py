"""Benchmark of tolerances: who is caught, and who is accused?

    python -m benchmarks.tolerances --json data/tolerances.json

Right kernels in bfloat16 and float16, and wrong ones with one mistake
each, meet the same inputs, and five rules say of each output whether it is
right (`tolerance_rules`). A rule that accuses right kernels is made looser
until it is quiet, and what it catches then is counted beside: a kernel is
caught if its share of the loosened tolerance passes 1.

    python -m benchmarks.tolerances --write docs/half_precision.md

puts the tables of `data/tolerances.json` at a page's mark.
"""

import argparse
import json
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from numpy_ref.files import read_json, write_file
from parity_tests.bounds.half_precision import FORMATS, Profile
from parity_tests.judge.half.inputs import ALL_SHAPES, KINDS
from parity_tests.judge.half.kernels import RIGHT_KERNELS
from parity_tests.judge.half.wrong_kernels import WRONG_KERNELS

from .tolerance_kernels import LIBRARIES, WITHOUT_MASK
from .tolerance_rules import RULES, Trial, trials

FEW, MANY = 25, 250
NONE = "-"
RESULTS = Path(__file__).parents[1] / "data" / "tolerances.json"
BEGIN = (
    "<!-- The table of tolerances, from `python -m benchmarks.tolerances`, "
    "stands here. -->"
)
END = "<!-- Here the table of tolerances ends. -->"
PACKAGES = (
    *("numpy", "torch", "transformers", "jax", "mlx", "onnxruntime"),
    "keras",
)
# One kernel adds up in half, as no library here does: what a rule would
# have to accept for its sake is not held against the rule.
LOOSE = "sums in half"


@dataclass
class Record:
    """What the rules said of one kernel's outputs, by rule.

    `alarms` counts inputs, `worst` is the largest share of what is
    allowed, in the first inputs (`FEW`, `MANY`) and in all.
    """

    inputs: int = 0
    alarms: dict[str, int] = field(default_factory=dict)
    worst: dict[str, dict[str, float]] = field(default_factory=dict)

    def see(self, trial: Trial, profile: Profile, output) -> None:
        self.inputs += 1
        for name, rule in RULES.items():
            share = rule(trial, profile, output)
            alarms = self.alarms.get(name, 0) + (share > 1)
            self.alarms[name] = alarms
            worst = self.worst.setdefault(name, {})
            for count in (FEW, MANY):
                if self.inputs <= count:
                    key = str(count)
                    worst[key] = max(worst.get(key, 0.0), share)
            worst["all"] = max(worst.get("all", 0.0), share)


Contenders = dict[str, tuple[Callable, Profile]]


def right_kernels(dtype: str) -> Contenders:
    """Those of this project, and of libraries that are installed."""
    ours = {
        name: (kernel.in_format(dtype), kernel.in_format(dtype).profile)
        for name, kernel in RIGHT_KERNELS.items()
    }
    return ours | libraries(dtype)


def libraries(dtype: str) -> Contenders:
    found = {}
    for name, library in LIBRARIES.items():
        if dtype in library.dtypes:
            try:
                found[name] = library.kernel(), library.claims(dtype)
            except ImportError as error:
                print(f"{name} is left out: {error}")
    return found


def wrong_kernels(dtype: str) -> Contenders:
    return {
        name: (wrong.kernel(dtype), wrong.profile(dtype))
        for name, wrong in WRONG_KERNELS.items()
    }


def measured(
    dtype: str, right: int, wrong: int, left_out: Container[str] = ()
) -> dict:
    """Records of all kernels, on the same inputs in the same order."""
    accused, caught = right_kernels(dtype), wrong_kernels(dtype)
    accused = {n: k for n, k in accused.items() if n not in left_out}
    records = {n: Record() for n in (*accused, *caught)}
    count = max(right, wrong)
    tried = trials(dtype, count, ALL_SHAPES, list(KINDS))
    for index, trial in enumerate(tried):
        asked = accused if index < right else {}
        asked = asked | (caught if index < wrong else {})
        for name, (kernel, profile) in asked.items():
            if trial.mask is not None and name in WITHOUT_MASK:
                continue
            records[name].see(trial, profile, trial.output(kernel))
    return {
        "right": {name: vars(records[name]) for name in accused},
        "wrong": {name: vars(records[name]) for name in caught},
    }


def looseness(records: dict, rule: str) -> float:
    """How many times its tolerance a rule must allow to be quiet."""
    shares = [
        record["worst"][rule]["all"]
        for name, record in records["right"].items()
        if name != LOOSE
    ]
    return max(1.0, *shares)


def caught(records: dict, rule: str, count: int, factor=1.0) -> list[str]:
    """The wrong kernels that a rule accuses within so many inputs."""
    return [
        name
        for name, record in records["wrong"].items()
        if record["worst"][rule][str(count)] > factor
    ]


def versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


Rows = list[list[str]]


def accusations(results: dict) -> Rows:
    """A row for each right kernel: how often each rule accuses it."""
    formats = [results[dtype]["right"] for dtype in FORMATS]
    rows = [["right kernel", "inputs", *RULES, "largest share"]]
    for name in dict.fromkeys(n for records in formats for n in records):
        records = [right.get(name) for right in formats]
        inputs = max(record["inputs"] for record in records if record)
        row = [name, f"{inputs:,}"]
        for rule in RULES:
            row.append(
                beside(
                    str(record["alarms"][rule]) if record else NONE
                    for record in records
                )
            )
        shares = (
            f"{record['worst']['this bound']['all']:.3f}"
            if record
            else NONE
            for record in records
        )
        rows.append([*row, beside(shares)])
    return rows


def catches(results: dict) -> Rows:
    """A row for each rule: how many wrong kernels it accuses."""
    names = (
        f"in {FEW} inputs",
        f"in {MANY}",
        "loosened by",
        f"then in {MANY}",
    )
    rows = [["rule", *names]]
    for rule in RULES:
        columns = []
        for dtype in FORMATS:
            records = results[dtype]
            factor = looseness(records, rule)
            columns.append(
                [
                    str(len(caught(records, rule, FEW))),
                    str(len(caught(records, rule, MANY))),
                    NONE if factor == 1 else f"{factor:.3g}",
                    str(len(caught(records, rule, MANY, factor))),
                ]
            )
        rows.append([rule, *map(beside, zip(*columns, strict=True))])
    return rows


def beside(cells) -> str:
    return " / ".join(cells)


def markdown(rows: Rows) -> str:
    """The rows as a table of a page."""
    head, *body = rows
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tables(results: dict) -> str:
    """Both tables, as they stand in the docs."""
    both = accusations(results), catches(results)
    return "\n\n".join(map(markdown, both))


def written(text: str, results: dict) -> str:
    """A page with the tables at their mark; an end mark is added.

    Raises ValueError for a page without the mark.
    """
    before, begin, rest = text.partition(BEGIN)
    if not begin:
        raise ValueError(f"expected a page with {BEGIN}, got none")
    _, end, after = rest.partition(END)
    after = after if end else rest
    return f"{before}{BEGIN}\n\n{tables(results)}\n\n{END}{after}"


def printed(results: dict) -> None:
    for rows in (accusations(results), catches(results)):
        head, *body = rows
        table = Table(*head)
        for row in body:
            table.add_row(*row)
        Console(width=130).print(table)
    for dtype in FORMATS:
        found = caught(results[dtype], "this bound", MANY)
        missed = [n for n in results[dtype]["wrong"] if n not in found]
        print(f"{dtype}, not caught by this bound: {', '.join(missed)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--wrong-inputs", type=int, default=MANY)
    parser.add_argument("--leave-out", action="append", default=[])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--write", type=Path, metavar="PAGE")
    options = parser.parse_args()
    if options.write:
        text = options.write.read_text(encoding="utf-8")
        text = written(text, read_json(RESULTS))
        write_file(options.write, text.encode())
        return
    results = {
        "measured": date.today().isoformat(),
        "versions": versions(),
        **{
            dtype: measured(
                dtype,
                options.inputs,
                options.wrong_inputs,
                options.leave_out,
            )
            for dtype in FORMATS
        },
    }
    if options.json:
        text = json.dumps(results, indent=1, ensure_ascii=False)
        write_file(options.json, f"{text}\n".encode())
    printed(results)


if __name__ == "__main__":
    main()
