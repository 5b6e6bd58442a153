"""What several processes compared is counted, and judged, as one."""

import subprocess
import sys

import pytest

from parity_tests.tests import conftest

# In each process fewer wide bounds than are suspicious; in both, more.
WIDE = int(0.75 * conftest.MOST_WIDE * conftest.ENOUGH)
TESTS = f"""
import numpy as np
from parity_tests.judge.verdict.report import Finding
from parity_tests.tests.conftest import expect_finding, expect_holds
from parity_tests.twins.comparing import within

def test_a_bound_that_is_too_wide(worker_id):
    x, share = np.ones(3), {{"gw0": 0.25, "gw1": 0.5}}[worker_id]
    for _ in range({WIDE}):
        expect_holds("step, float64", within("step", x, x + share, x))
    expect_holds("linear_backward, float64", within("d_x", x, x, x))
    finding = Finding("scale", "is there", "holds", 10, 4, 3, share)
    expect_finding("subject", finding)
"""


@pytest.mark.slow
def test_two_processes_are_told_of_together(tmp_path):
    (tmp_path / "test_wide.py").write_text(TESTS, encoding="utf-8")
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
            *("-p", "parity_tests.tests.conftest", "-n", "2"),
            *("--dist=each", "."),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "2 passed" in run.stdout
    assert (
        f"step, float64: {2 * WIDE} steps; bound too wide to check: "
        "100.0%; worst share of a bound: 0.50 at step"
    ) in run.stdout
    assert "float64 0.00" in run.stdout.split("gradients by hand")[1]
    assert (
        "subject: 2 properties, 20 inputs, 8 comparisons, 6 not checked; "
        "worst share of a bound: 0.50 at scale"
    ) in run.stdout
    assert "FAILED step, float64: most bounds are too wide" in run.stdout
    assert run.returncode == 1
