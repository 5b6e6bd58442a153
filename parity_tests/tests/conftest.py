"""Hypothesis' profiles, and what the run compared, in its last lines.

The whole suite runs in several processes (pytest-xdist), and what each of
them compared is counted together.
"""

import gc
import os
import pickle
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, settings

from parity_tests.twins.comparing import Comparison, Tally
from study.command import main
from study.text.corpus import OfflineError, read_corpus

# A test that reaches for a hub must fail at once.
os.environ["HF_HUB_OFFLINE"] = "1"

BY_DEFAULT = 10  # inputs of each test; see `examples`, too

settings.register_profile(
    "default",
    max_examples=BY_DEFAULT,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "thorough", settings.get_profile("default"), max_examples=1000
)
# For CI, which has more time than a reader.
settings.register_profile(
    "longer", settings.get_profile("default"), max_examples=25
)
# For the tokenizers, which must never disagree with their oracles.
settings.register_profile(
    "fifty_thousand", settings.get_profile("default"), max_examples=50_000
)
# For `mutants.py`, which wants to see a failure and not the smallest one.
settings.register_profile(
    "unshrunk",
    settings.get_profile("default"),
    max_examples=25,
    phases=[Phase.generate],
)
settings.load_profile("default")

MOST_WIDE = 0.2  # the share of bounds that may be too wide to check,
ENOUGH = 200  # where so many were compared; of few it says nothing
MOST_WORKERS = 4  # each takes about a gigabyte

TALLIES: dict[str, Tally] = defaultdict(Tally)


def one_in(count: int, names: Iterable) -> list:
    """Parameters of a test, of which the first and then one in `count` is
    tried by default, and all others with `-m slow`."""
    return [
        pytest.param(name, marks=pytest.mark.slow if place % count else ())
        for place, name in enumerate(names)
    ]


def examples(part: int = 1) -> int:
    """How many inputs a test of each step gets: of the profile's number
    this part, and of the default half of that, since CI takes more."""
    most = settings().max_examples
    in_all = most // 2 if most == BY_DEFAULT else most
    return max(1, in_all // part)


def expect_holds(claim: str, comparison: Comparison) -> None:
    """Count a comparison; raise AssertionError unless it holds."""
    TALLIES[claim].add(comparison)
    if not comparison.holds:
        raise AssertionError(str(comparison))


FINDINGS: dict[str, list] = defaultdict(list)


def expect_finding(subject: str, finding) -> None:
    """Count what came of a property; AssertionError when it fails."""
    FINDINGS[subject].append(finding)
    if finding.verdict == "fails":
        raise AssertionError(
            f"{subject}: {finding.name}: {finding.claim} "
            f"{finding.failure.trouble}, with {finding.failure.case}"
        )


def pytest_xdist_auto_num_workers(config) -> int:
    """How many processes: several for all tests, none for a few of them.

    Each starts with a few seconds of imports, and computes in one thread.
    """
    option, typed = config.option, config.invocation_params.args
    files_are_named = config.args_source != config.ArgsSource.TESTPATHS
    are_chosen = option.keyword or "-m" in typed
    if files_are_named or are_chosen:
        return 0
    os.environ["OMP_NUM_THREADS"] = "1"
    return min(os.cpu_count() or 1, MOST_WORKERS)


def pytest_collection_finish():
    """Leave what is imported by then out of each collection of garbage."""
    gc.collect()
    gc.freeze()


def blind() -> list[str]:
    """Claims whose bounds are mostly wide, and so have seen nothing.

    In float32 that may be, and in half precision: float64 is there to see
    what they do not, and a rounded score is off by as much as it is large.
    """
    return [
        claim
        for claim, tally in TALLIES.items()
        if "float32" not in claim
        and "float16" not in claim
        and tally.wide > MOST_WIDE * max(tally.compared, ENOUGH)
    ]


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["compared"] = packed_tallies()
    elif blind():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """Count what a worker compared; one that crashed has failed a test."""
    if error is None:
        add_tallies(node.workeroutput["compared"])


def packed_tallies() -> bytes:
    """All that this process compared, without the arrays."""
    for tally in TALLIES.values():
        tally.worst = replace(tally.worst, ours=None, theirs=None)
    findings = {
        subject: [replace(finding, failure=None) for finding in findings]
        for subject, findings in FINDINGS.items()
    }
    return pickle.dumps((dict(TALLIES), findings))


def add_tallies(packed: bytes) -> None:
    """Count what another process compared."""
    tallies, findings = pickle.loads(packed)
    for claim, tally in tallies.items():
        TALLIES[claim].add_all(tally)
    for subject, more in findings.items():
        FINDINGS[subject] += more


def pytest_terminal_summary(terminalreporter):
    gradients = {w: t for w, t in TALLIES.items() if "_backward" in w}
    if TALLIES:
        terminalreporter.section("named steps compared")
    for claim, tally in sorted(TALLIES.items()):
        if claim in gradients:
            continue
        terminalreporter.line(
            f"{claim}: {tally.compared} steps; bound too wide to check: "
            f"{tally.wide / tally.compared:.1%}; worst share of a bound: "
            f"{tally.worst.share:.2f} at {tally.worst.path}"
        )
    if gradients:
        terminalreporter.section(
            "gradients by hand: worst share of a bound"
        )
    for name in sorted({claim.split(",")[0] for claim in gradients}):
        shares = "   ".join(
            f"{claim.split()[1]} {tally.worst.share:.2f}"
            for claim, tally in sorted(gradients.items())
            if claim.split(",")[0] == name
        )
        terminalreporter.line(f"{name:44} {shares}")
    for claim in blind():
        terminalreporter.line(f"FAILED {claim}: most bounds are too wide")
    if FINDINGS:
        terminalreporter.section("properties")
    for subject, findings in sorted(FINDINGS.items()):
        compared = sum(finding.compared for finding in findings)
        unchecked = sum(finding.unchecked for finding in findings)
        worst = max(findings, key=lambda finding: finding.share)
        terminalreporter.line(
            f"{subject}: {len(findings)} properties, "
            f"{sum(finding.examples for finding in findings)} inputs, "
            f"{compared} comparisons, {unchecked} not checked; worst share "
            f"of a bound: {worst.share:.2f} at {worst.name}"
        )


@pytest.fixture(scope="session")
def the_verdict() -> str:
    """The text, or a skip that says why: never in CI."""
    try:
        return read_corpus("the-verdict")
    except OfflineError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


# The last line of a walk where all is well.
VERDICT = re.compile(
    r"\d+ named steps compared( \(\d+ loosely\))?, "
    r"worst at \d+% of its bound: both sides agree"
)


@pytest.fixture
def twice(capsys, monkeypatch):
    """Run the command here; return its exit code and both outputs."""

    def run(*arguments, columns=80):
        monkeypatch.setenv("COLUMNS", str(columns))
        capsys.readouterr()  # what was said before is not the command's
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    return run
