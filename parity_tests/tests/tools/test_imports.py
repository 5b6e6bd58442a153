"""Who may import whom, held in a fresh process."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import bert_viz
import numpy_ref
import torch_impl
from parity_tests.judge import candidate

# What a package may import besides the standard library and itself.
ALLOWED = {
    numpy_ref: {"numpy", "jaxtyping"},
    torch_impl: {"torch", "jaxtyping"},
    bert_viz: {"numpy", "jaxtyping", "numpy_ref", "matplotlib"},
    candidate: {"numpy"},
}
# Extras, imported by few files and only when they are needed.
LAZY = {
    "host.py": {"torch"},
    "magics.py": {"IPython"},
    "values.py": {"torch", "jax"},
    "wire.py": {"ml_dtypes"},
    "checkpoints/gguf_files.py": {"gguf"},
    "checkpoints/model_folders.py": {"huggingface_hub"},
    "checkpoints/tensors.py": {"safetensors"},
    "fast/threads.py": {"threadpoolctl"},
    "tokenizers/chat_sandbox.py": {"jinja2"},
    "tokenizers/chat_template.py": {"jinja2"},
    "tokenizers/library_tokenizer.py": {"tokenizers"},
    "training/checkpoint.py": {"safetensors"},
}
NOT_FOR_READERS = ("hypothesis", "pytest", "mpmath", "beartype")


def files(package) -> list[Path]:
    return sorted(Path(package.__path__[0]).rglob("*.py"))


def within(path: Path, package) -> str:
    return path.relative_to(package.__path__[0]).as_posix()


def modules(package) -> list[str]:
    """Every module of a package, by its dotted name."""
    return [
        f"{package.__name__}/{within(path, package)}".removesuffix(".py")
        .removesuffix("/__init__")
        .replace("/", ".")
        for path in files(package)
    ]


def imported(path: Path) -> set[str]:
    """The packages that a file names in its imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("package", ALLOWED, ids=lambda p: p.__name__)
def test_each_side_imports_only_what_it_stands_on(package):
    for path in files(package):
        lazy = LAZY.get(within(path, package), set())
        foreign = imported(path) - sys.stdlib_module_names - lazy
        assert foreign <= ALLOWED[package] | {package.__name__}, path.name


def loaded_by(statement: str) -> set[str]:
    """The packages that a fresh process has loaded after `statement`."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in run.stdout.split()}


def test_the_reference_runs_without_pytorch():
    loaded = loaded_by(f"import {', '.join(modules(numpy_ref))}")
    assert "numpy" in loaded
    unwanted = {"torch", "scipy", "torch_impl", *NOT_FOR_READERS}
    assert not loaded & unwanted.union(*LAZY.values())


@pytest.mark.slow
def test_the_twin_runs_without_the_reference():
    loaded = loaded_by(f"import {', '.join(modules(torch_impl))}")
    assert "torch" in loaded
    assert "numpy_ref" not in loaded


def test_a_judged_file_is_run_without_the_judge():
    loaded = loaded_by(f"import {', '.join(modules(candidate))}")
    assert "numpy" in loaded
    unwanted = {"torch", "IPython", "numpy_ref", "torch_impl", "study"}
    assert not loaded & unwanted.union(NOT_FOR_READERS)


@pytest.mark.slow
def test_attention_is_read_without_pytorch_or_matplotlib():
    loaded = loaded_by("from bert_viz import attend; attend('a b')")
    assert {"bert_viz", "safetensors"} <= loaded
    assert not loaded & {"torch", "transformers", "matplotlib", "scipy"}


@pytest.mark.slow
def test_the_walk_needs_none_of_the_test_tools():
    loaded = loaded_by(
        "from study.command import main\n"
        "try: main(['--text', 'a b', '--json'])\n"
        "except SystemExit as stop: assert stop.code == 0"
    )
    assert {"numpy_ref", "torch_impl", "parity_tests"} <= loaded
    assert not loaded & {*NOT_FOR_READERS}


@pytest.mark.parametrize(
    ("package", "names"),
    [
        ("bert_viz", "attend show plot_heads metric_table heads_of"),
        ("parity_tests.judge", "judge"),
        ("numpy_ref.attention", "scaled_dot_product_attention softmax"),
    ],
)
def test_public_names_come_from_their_package(package, names):
    module = importlib.import_module(package)
    for name in names.split():
        assert callable(getattr(module, name)), name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        module.nothing  # noqa: B018


def test_a_package_loads_what_is_heavy_only_for_a_name_that_needs_it():
    loaded = loaded_by("import bert_viz, numpy_ref, parity_tests.judge")
    heavy = {"torch", "matplotlib", "transformers", "safetensors"}
    assert not loaded & heavy.union(NOT_FOR_READERS)


def test_help_needs_no_pytorch():
    loaded = loaded_by(
        "from study.command import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as stop: assert stop.code == 0"
    )
    assert "torch" not in loaded


@pytest.mark.parametrize(
    "module", [name for package in ALLOWED for name in modules(package)]
)
def test_what_a_docstring_shows_is_what_comes_out(module):
    import doctest

    failed, _ = doctest.testmod(importlib.import_module(module))
    assert failed == 0
