"""The table says of each library what its own documentation says."""

import importlib.metadata
import json
import subprocess
import sys

import pytest

from parity_tests.conventions.table import (
    COLUMNS,
    LIBRARIES,
    Library,
    as_markdown,
    table,
    versions,
)

# By hand, from the page that is named; what a page is silent about is
# only probed, and not expected here.
OPERATOR = {  # onnx.ai/onnx/operators/onnx__Attention.html
    "mask": "True may attend",
    "mask_of_numbers": "are added",
    "alignment": "upper left",
    "causal_and_mask": "both hold",
    "fully_masked_row": "zeros",
    "scale": "1/√d_head, or as given",
}
KERAS = {  # keras.io/api/ops/nn, dot_product_attention
    "mask": "True may attend",
    "mask_of_numbers": "not taken",  # "users should pass it to bias"
    "scale": "1/√d_head, or as given",
}
DOCUMENTED = {
    # docs.pytorch.org, torch.nn.functional.scaled_dot_product_attention
    "PyTorch, function": {
        "mask": "True may attend",
        "mask_of_numbers": "are added",
        "alignment": "upper left",
        "fully_masked_row": "zeros",  # since 2.5, pull request 133882
        "scale": "1/√d_head, or as given",
        "grouping": "neighbours share a key head",
    },
    # docs.pytorch.org, torch.nn.MultiheadAttention: attn_mask
    "PyTorch, module": {
        "mask": "True is masked",
        "mask_of_numbers": "are added",
    },
    "Keras on JAX": KERAS,
    "Keras on NumPy": KERAS,
    "Keras on PyTorch": KERAS,
    # docs.jax.dev, jax.nn.dot_product_attention
    "JAX": {
        "mask": "True may attend",
        "mask_of_numbers": "not taken",  # "users should pass it to bias"
        "scale": "1/√d_head, or as given",
    },
    "ONNX, reference": OPERATOR,
    "ONNX Runtime": OPERATOR,
    # The signature and the body of transformers' function: no default of
    # `scaling`, and `attn_weights + attention_mask`.
    "transformers, eager": {
        "mask": "added",
        "scale": "must be given",
        "grouping": "neighbours share a key head",
    },
    # The comments of transformers' function: no `is_causal` where a mask
    # is, or a single query.
    "transformers, sdpa": {
        "mask": "True may attend",
        "alignment": "upper left, but one query sees all",
        "causal_and_mask": "the mask alone holds",
    },
    # ml-explore.github.io/mlx, mlx.core.fast.scaled_dot_product_attention
    "MLX": {
        "mask_of_numbers": "are added",
        "alignment": "lower right",
        "scale": "must be given",
    },
}
NAMES = [library.name for library in LIBRARIES]


@pytest.fixture(scope="module")
def printed() -> dict:
    """What the command prints, which asks all that is installed."""
    run = subprocess.run(
        [sys.executable, "-m", "parity_tests.conventions.table", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)


def row_of(library: Library, printed: dict) -> dict:
    """The row of a library, or a skip: `.ci/run` sees that all have one."""
    if library.name in printed["missing"]:
        pytest.skip(f"needs {' and '.join(library.packages)}")
    (row,) = (r for r in printed["rows"] if r["library"] == library.name)
    return row


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES, ids=NAMES)
def test_a_library_does_what_its_documentation_says(library, printed):
    row = row_of(library, printed)
    documented = DOCUMENTED[library.name]
    probed = {column: row["conventions"][column] for column in documented}
    assert probed == documented
    assert list(row["conventions"]) == list(COLUMNS)


def test_every_library_is_documented():
    assert list(DOCUMENTED) == NAMES


def test_versions_are_those_of_the_python_that_is_asked():
    numpy = importlib.metadata.version("numpy")
    assert versions(["numpy", "no-such-package"]) == {"numpy": numpy}


def test_what_is_not_installed_has_no_row_and_is_named():
    nothing = Library("Nothing", "no_adapter", ("torch", "no-such-package"))
    assert table([nothing]) == ([], ["Nothing"])


def test_a_row_becomes_a_line_of_markdown():
    conventions = dict.fromkeys(COLUMNS, "not tested") | {"mask": "added"}
    row = {
        "library": "Ours",
        "versions": {"a": "1.0", "b": "2"},
        "conventions": conventions,
    }
    head, rule, line, empty, missing = as_markdown(
        [row], ["Theirs", "Another"]
    ).split("\n")
    assert head.startswith("| library | mask | numbers in a mask |")
    assert line.startswith("| Ours (a 1.0, b 2) | added | not tested |")
    assert head.count("|") == rule.count("|") == line.count("|")
    assert (empty, missing) == ("", "Not installed: Theirs; Another.")
    assert "Not installed" not in as_markdown([row])


@pytest.mark.slow
def test_the_command_prints_the_table(printed):
    told = [row["library"] for row in printed["rows"]]
    assert sorted(told + printed["missing"]) == sorted(NAMES)
