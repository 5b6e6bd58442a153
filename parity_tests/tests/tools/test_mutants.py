"""The mutation runner is tested itself."""

from pathlib import Path

import pytest

from parity_tests.tests import mutants
from parity_tests.tests.mutants import (
    TESTS,
    all_mutants,
    changes,
    functions_by_file,
    replace_line,
    verdict,
)


def test_killed_means_that_a_failure_names_the_step():
    output = "E   AssertionError: softmax[0]/total differs"
    assert verdict("softmax[0]/total", False, output) == "killed"
    assert verdict("softmax[0]/shifted", False, output) == (
        "survived: the tests fail, but do not name softmax[0]/shifted"
    )
    assert verdict("softmax[0]/total", True, output) == (
        "survived: the tests pass"
    )


def test_a_step_in_the_summary_is_not_named():
    summary = "NumPy and PyTorch: worst share 9 at softmax[0]/total"
    assert verdict("softmax[0]/total", False, summary).startswith(
        "survived"
    )


def test_the_tests_of_a_function_are_run_with_its_mutant_and_without():
    first = {"step": "softmax[0]/total"}
    second = {"step": "gelu_backward[0]/d_x", "tests": "other.py"}
    assert mutants.tests_for(first) == [
        *(TESTS, "-k"),
        "(softmax) and not where_their_input_stands",
    ]
    assert functions_by_file([first, second, first]) == {
        TESTS: {"softmax"},
        "other.py": {"gelu"},
    }


def test_a_line_that_does_not_occur_once_is_refused(tmp_path):
    path = tmp_path / "file.py"
    path.write_text("a = 1\nb = 2\nb = 2\n", encoding="utf-8")
    replace_line(path, "a = 1", "a = 3")
    assert path.read_text(encoding="utf-8") == "a = 3\nb = 2\nb = 2\n"
    for line in ("a = 1", "b = 2"):
        with pytest.raises(ValueError, match=r"once in file\.py, got"):
            replace_line(path, line, "c")


def test_each_mutant_can_be_made_in_the_code_as_it_is():
    folder = Path(__file__).parents[3]
    for mutant in all_mutants():
        for path, (old, new) in changes(mutant).items():
            lines = (folder / path).read_text(encoding="utf-8").split("\n")
            assert lines.count(old) == 1, mutant["name"]
            assert new != old
