"""The notebooks run, no number in prose is typed, every name exists.

`pytest -m slow` runs them, from a fresh kernel, also on the sample text.
"""

import ast
import importlib
import re
import sys
import time
from fractions import Fraction
from importlib.util import find_spec

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from bert_viz.measures.metrics import METRICS
from numpy_ref import attention, example, files, multi_head, self_attention
from numpy_ref.tokenizers.bpe_training import train_bpe
from parity_tests.twins import replaying
from parity_tests.twins.finding import find_twins
from study.notebooks import command as notebooks_command
from study.notebooks import questions
from study.notebooks import tools as notebook_tools
from study.notebooks.answers import judged, judged_attention, judged_step
from study.notebooks.command import build, hash_of, notebook_names
from study.notebooks.references import REFERENCES, cited_in
from torch_impl.windows import WindowDataset

from .test_bert_questions import ANSWERS as ABOUT_BERT
from .test_llama_questions import ANSWERS as ABOUT_LLAMA
from .test_variants_questions import ANSWERS as ABOUT_VARIANTS

NOTEBOOKS = notebook_names()

# What may have a digit in prose or in what a cell says, and why.
MAY_HAVE_DIGITS = {
    "GPT-2": "a name",
    "SmolLM2": "a name",
    "DeepSeek-V2": "a name",
    "2017 to today": "from the year of a paper on",
    "$L (w - 1)$": "an equation",
    "1/√d": "the scale",
    "√2/4": "an error that is proven, computed beside it",
    **dict.fromkeys(REFERENCES, "a work, with its year"),
    **dict.fromkeys(example.TOKENS, "a token of the example"),
}
SAYING = {"say", "finish", "draw_weights"}
NUMBERED = re.compile(r"^## (\d+)\. (.+)$", re.MULTILINE)
IN_BACKTICKS = re.compile(r"`([^`]+)`")
# Names that prose may use although no cell and no step has them.
KNOWN = {"re.split", "Dataset", "DataLoader", "None", "a", "aa", "b", "aab"}


@pytest.fixture(params=NOTEBOOKS)
def notebook(request):
    return build(request.param)


def prose_of(notebook) -> list[str]:
    return [c.source for c in notebook.cells if c.cell_type == "markdown"]


def code_of(notebook) -> list[str]:
    return [c.source for c in notebook.cells if c.cell_type == "code"]


def tagged(notebook, tag: str) -> list:
    cells = notebook.cells
    return [cell for cell in cells if tag in cell.metadata.get("tags", [])]


# --- what is written ------------------------------------------------------


def typed_numbers(text: str) -> list[str]:
    """The words of a text that contain a digit without a reason."""
    text = " ".join(NUMBERED.sub(r"\2", text).split())
    for allowed in sorted(MAY_HAVE_DIGITS, key=len, reverse=True):
        text = text.replace(allowed, "")
    return [word for word in text.split() if re.search(r"\d", word)]


def said_in(source: str) -> list[str]:
    """The constant parts of what a cell says, without what it computes."""
    calls = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") in SAYING
    ]
    return [
        part.value
        for call in calls
        for part in constants_of(call)
        if isinstance(part.value, str)
    ]


def constants_of(node) -> list[ast.Constant]:
    """The constants in a call, but for those of a format or an index."""
    if isinstance(node, ast.Constant):
        return [node]
    inner = node.values if isinstance(node, ast.JoinedStr) else []
    if isinstance(node, ast.Call):
        inner = [*node.args, *(word.value for word in node.keywords)]
    if isinstance(node, ast.BinOp):
        inner = [node.left, node.right]
    return [part for one in inner for part in constants_of(one)]


def test_no_number_in_prose_was_typed(notebook):
    for text in prose_of(notebook):
        assert typed_numbers(text) == [], text


def test_no_number_that_a_cell_says_was_typed(notebook):
    for source in code_of(notebook):
        for text in said_in(source):
            assert typed_numbers(text) == [], source


@pytest.mark.parametrize(
    "text",
    ["It has 4,690 tokens.", "(Vaswani et al. 2018)", "GPT-3", "½ 2"],
)
def test_a_typed_number_is_seen(text):
    assert typed_numbers(text)
    assert said_in(f"say(f'{text} {{x:,}}')")


def test_what_may_have_digits_is_let_pass():
    assert not typed_numbers(
        "## 12. GPT-2 (Vaswani et\nal. 2017), x2, 1/√d"
    )
    assert said_in("say(f'it is {x:.2f}')") == ["it is "]


def test_sections_are_numbered_from_1_on(notebook):
    numbers = [
        int(number)
        for text in prose_of(notebook)
        for number, _ in NUMBERED.findall(text)
    ]
    assert numbers == [*range(1, len(numbers) + 1)]
    assert len(numbers) > 5


def test_each_section_ends_with_a_question_and_its_check(notebook):
    sections, tags = [], []
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and NUMBERED.search(cell.source):
            tags = []
            sections.append((cell.source.split("\n")[0], tags))
        tags += cell.metadata.get("tags", [])
        if cell.cell_type == "markdown" and "**Question.**" in cell.source:
            tags.append("prose")
    for heading, tags in sections:
        tags = [tag for tag in tags if tag != "repair"]
        assert tags, heading
        rounds = len(tags) // 3
        assert tags == ["prose", "question", "solution"] * rounds, heading


def test_question_and_solution_ask_the_same(notebook):
    cells = tagged(notebook, "question"), tagged(notebook, "solution")
    for question, solution in zip(*cells, strict=True):
        asks = re.findall(r"check\(\s*(\w+\.\w+),", question.source)
        solves = re.findall(r"solve\(\s*(\w+\.\w+),", solution.source)
        assert asks == solves, f"{question.source}\n{solution.source}"
        assert solution.metadata["jupyter"]["source_hidden"]
        # Jupyter shows the first line of a folded cell.
        assert solution.source.startswith("# An answer, folded away.\n")


def identifiers(notebook, of_all_steps: bool = True) -> set[str]:
    """All that the cells name, and each step of the project."""
    steps = {twin.name for twin in find_twins()} | KNOWN
    names = steps if of_all_steps else set()
    for source in code_of(notebook):
        for node in ast.walk(ast.parse(source)):
            names |= {
                getattr(node, attribute, None)
                for attribute in ("id", "attr", "arg", "name")
            }
    return names


def is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_what_prose_names_exists(notebook):
    known = identifiers(notebook)
    for text in prose_of(notebook):
        for name in IN_BACKTICKS.findall(text):
            if name in known or not re.fullmatch(r"[\w.]+", name):
                continue
            first, *rest = name.split(".")
            if first in known and {*rest} <= known:
                continue
            if is_module(name):
                continue
            pytest.fail(f"`{name}` does not exist: {text}")


def test_all_that_is_imported_exists(notebook):
    for source in code_of(notebook):
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.ImportFrom):
                continue
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name) or is_module(
                    f"{node.module}.{alias.name}"
                ), f"{node.module} has no {alias.name}"


def test_there_is_no_second_copy_of_a_step(notebook):
    steps = {twin.name for twin in find_twins()}
    for source in code_of(notebook):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                assert node.name not in steps, source


def test_every_cited_work_is_in_the_references(notebook):
    for text in prose_of(notebook):
        assert {*cited_in(text)} <= REFERENCES.keys()
    named = identifiers(notebook, of_all_steps=False)
    for twin in find_twins():
        if twin.name in named:
            cited = {*cited_in(twin.reference.__doc__)}
            assert cited <= REFERENCES.keys(), twin.name


def test_every_work_that_a_metric_cites_is_in_the_references():
    cited = {work for metric in METRICS for work in cited_in(metric.source)}
    assert cited <= REFERENCES.keys()
    assert "Clark et al. 2019" in cited


# --- what runs ------------------------------------------------------------


def executed(notebook, folder):
    """The notebook, run from a fresh kernel that can reach no network."""
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=300,
        resources={"metadata": {"path": str(folder)}},
    )
    start = time.monotonic()
    client.execute()
    return notebook, time.monotonic() - start


PROXIES = ("http_proxy", "https_proxy", "all_proxy")
# Every request goes to a closed port.
WITHOUT_NETWORK = {
    **dict.fromkeys(PROXIES, "http://127.0.0.1:9"),
    **dict.fromkeys(map(str.upper, PROXIES), "http://127.0.0.1:9"),
    "no_proxy": "",
    "HF_HUB_OFFLINE": "1",
}


@pytest.fixture
def offline(monkeypatch):
    for name, value in WITHOUT_NETWORK.items():
        monkeypatch.setenv(name, value)


def outputs(cell) -> str:
    """What a cell says, as text."""
    return "\n".join(
        output.get("text") or output["data"].get("text/markdown", "")
        for output in cell.outputs
    )


def expect_good(notebook) -> None:
    """No warning; each answer is right, and each mistake is found."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", output.text
    for cell in tagged(notebook, "question"):
        wrong = "repair" in cell.metadata["tags"]
        assert outputs(cell)[0] == ("✗" if wrong else "○"), cell.source
    for cell in tagged(notebook, "solution"):
        assert outputs(cell).endswith("passes the same check."), cell.source


@pytest.mark.slow
def test_they_run_from_a_fresh_kernel_without_network(offline, tmp_path):
    for name in NOTEBOOKS:
        notebook, seconds = executed(build(name), tmp_path)
        expect_good(notebook)
        print(f"{name}: {seconds:.0f} s")


@pytest.mark.slow
def test_they_run_on_the_sample_text_and_say_so(
    offline, tmp_path, monkeypatch
):
    monkeypatch.setenv("ATTENTION_TWICE_DATA", str(tmp_path / "nothing"))
    reading = [
        name
        for name in NOTEBOOKS
        if "the_text" in identifiers(build(name), of_all_steps=False)
    ]
    assert reading
    for name in reading:
        notebook, _ = executed(build(name), tmp_path)
        expect_good(notebook)
        assert "the sample text" in "\n".join(
            outputs(cell)
            for cell in notebook.cells[:5]
            if "outputs" in cell
        )


# --- what the cells call --------------------------------------------------


@pytest.fixture
def said(monkeypatch) -> list[str]:
    """All that is displayed, as text."""
    displayed = []
    monkeypatch.setattr(
        notebook_tools, "display", lambda part: displayed.append(part.data)
    )
    return displayed


ROW = np.log(2) * np.array([[0.0, 1.0, 2.0]])
SEVENTHS = [(Fraction(1, 7), Fraction(2, 7), Fraction(4, 7))]


def test_both_sides_are_run_and_reported_to_agree(said):
    weights = notebook_tools.both(attention.softmax, scores=ROW)
    np.testing.assert_allclose(7 * weights, [[1, 2, 4]])
    (sentence,) = said
    assert "✓ softmax: NumPy and PyTorch" in sentence
    assert "5 named steps" in sentence


BROKEN = """
def softmax(scores):
    maximum = scores.max(axis=-1, keepdims=True)
    shifted = scores - maximum
    exponentials = np.exp(1.001 * shifted)
    total = exponentials.sum(axis=-1, keepdims=True)
    weights = exponentials / total
    return weights
"""


def test_a_side_that_differs_is_not_reported_to_agree(said, monkeypatch):
    side = {"np": np, "__name__": "numpy_ref.attention"}
    exec(BROKEN, side)
    monkeypatch.setitem(replaying.references(), "softmax", side["softmax"])
    with pytest.raises(AssertionError, match="exponentials differs"):
        notebook_tools.both(attention.softmax, scores=ROW)
    assert not said


def test_a_value_that_is_wrong_by_hand_is_caught(said):
    notebook_tools.by_hand(
        attention.softmax, SEVENTHS, rows=("x2",), scores=ROW
    )
    assert "| x2 | 1/7 | 2/7 | 4/7 | 0.1429 | 0.2857 | 0.5714 |" in said[0]
    wrong = [(Fraction(1, 7), Fraction(2, 7), Fraction(3, 7))]
    with pytest.raises(AssertionError, match="softmax differs"):
        notebook_tools.by_hand(
            attention.softmax, wrong, rows=("x2",), scores=ROW
        )


def test_a_source_is_shown_without_docstring_and_errors(said):
    notebook_tools.show(multi_head.split_heads)
    about, sources = said
    assert about.startswith("**split_heads**, in multi_head.py. ")
    assert "Raises" not in about
    assert "x.shape" in sources
    assert "separate.swapaxes(-3, -2)" in sources
    assert "separate.transpose(-3, -2)" in sources
    assert '"""' not in sources
    assert "@checked" not in sources


def test_a_function_without_a_twin_is_shown_with_the_reason(said):
    notebook_tools.show(train_bpe, WindowDataset)
    assert "NumPy only: text to ids for use, in dicts and lists" in said[1]
    assert "PyTorch only: what DataLoader asks for" in said[3]


def test_an_equation_is_kept_in_one_line(said):
    notebook_tools.show(multi_head.multi_head_attention)
    assert r"W_O^\top + b_O$" in said[0]


def test_of_a_module_the_forward_is_shown(said):
    notebook_tools.show(self_attention.matrix_attention)
    assert "query = x @ self.query" in said[1]


def test_without_the_verdict_it_says_that_it_is_the_sample_text(
    monkeypatch,
):
    from study.text import corpus as texts

    def offline(name):
        raise texts.OfflineError

    monkeypatch.setattr(texts, "read_corpus", offline)
    text, name = notebook_tools.the_text()
    assert text == texts.sample()
    assert "sample text" in name


# --- questions ------------------------------------------------------------

# A question, its arguments, the right answer, a wrong one and its hint.
ANSWERS = {
    "tokens_of": (
        {"text": "it's"},
        (["it", "'", "s"], ["it's"], "at punctuation"),
    ),
    "entries_of": (
        {"text": "a b a"},
        (4, 2, "special tokens have entries"),
    ),
    "there_and_back": (
        {"known": "a cat", "text": "A cat"},
        ("<|unk|> cat", "A cat", "Not every token"),
    ),
    "merged_pieces": (
        {"merges": np.array([[64, 64], [256, 65]]), "word": "aab"},
        (["aab"], ["a", "a", "b"], "lowest rank"),
    ),
    "most_tokens": ({"word": "ë"}, (2, 1, "bytes, not from characters")),
    "pairs_of": ({"tokens": ["a", "b"]}, (1, 2, "last token's target")),
    "how_many_windows": (
        {"tokens": 10, "context_length": 4, "stride": 3},
        (2, 3, "last target"),
    ),
    "how_many_batches": (
        {"windows": 7, "batch_size": 4, "drop_last": False},
        (2, 1, "not full"),
    ),
    "slowest_wave": ({"d_model": 4}, (100, 10000, "last pair")),
    "shape_of_input": (
        {"ids": (2, 3), "d_model": 4},
        ((2, 3, 4), (3, 4), "one window"),
    ),
    "score_in_ln_2": (
        {"query": (1, 2), "key": (3, 1)},
        (5, 5 * 2**0.5, "cancelled the root"),
    ),
    "greatest_weight": (
        {"scores_in_ln_2": [0, 1], "temperature": 0.5},
        (Fraction(4, 5), Fraction(2, 3), "temperature first"),
    ),
    "mean_context": (
        {"values": [(1, 2), (2, 2)]},
        ([1.5, 2], [3, 4], "sum to one"),
    ),
    "parameters_of_self_attention": (
        {"d_model": 2, "d_head": 3},
        (27, 18, "a bias, too"),
    ),
    "own_derivative": (
        {"weight": Fraction(1, 4)},
        (Fraction(3, 16), 0.25, "denominator"),
    ),
    "sum_after_dropout": (
        {
            "weights": [Fraction(1, 4), Fraction(3, 4)],
            "dropout_mask": [True, False],
            "rate": 0.5,
        },
        (0.5, 0.25, "scaled up"),
    ),
    "merged_width": ({"heads": 2, "d_head": 5}, (10, 5, "side by side")),
    "multiplications": ({"heads": 4}, (1, 4, "narrower")),
    "least_odds": ({}, (3, np.log(3), "raise e to it")),
    "previous_token_head": (
        {"weights": np.stack([np.eye(3, k=1), np.eye(3, k=-1)])[None]},
        ((0, 1), (1, 0), "First the layer"),
    ),
    "oldest_idea": (
        {"years": {"heads": 2017, "merges": 1994}},
        ("merges", "heads", "from 2017"),
    ),
}
CODE = {"a_look_up", "a_simple_attention", "a_softmax", "an_attention"}
CODE |= {"a_causal_mask", "heads_that_are_split"}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_right_or_gets_a_hint(name):
    arguments, (right, wrong, hint) = ANSWERS[name]
    question = getattr(questions, name)
    assert question(right, **arguments).right
    verdict = question(wrong, **arguments)
    assert not verdict.right
    assert hint in verdict.text


def test_each_question_is_tested_or_in_code(notebook):
    cells = tagged(notebook, "question")
    source = "\n".join(cell.source for cell in cells)
    names = {*re.findall(r"questions\.(\w+)", source)}
    tested = ANSWERS.keys() | CODE | ABOUT_BERT.keys()
    tested |= ABOUT_LLAMA.keys() | ABOUT_VARIANTS.keys()
    assert names - {"more_with_more_heads"} <= tested


def test_an_answer_of_the_wrong_type_is_reported():
    assert "Expected a number" in judged("seven", 7).text
    assert "Expected a list of 2" in judged(7, [1, 2]).text
    assert "Expected a list of 2" in judged(np.array(7), [1, 2]).text
    assert "Expected a number" in judged(1j, 7).text
    assert "Expected a string" in judged(7, "seven").text
    assert "Not yet" in judged(8, 7).text
    assert "Expected a function" in judged_step(7, "softmax").text
    assert "Expected a function" in judged_attention(7).text


def test_a_fraction_may_be_answered_in_any_form():
    for answer in (Fraction(1, 7), 1 / 7, np.float64(1) / 7):
        assert judged(answer, Fraction(1, 7)).right
    assert judged(np.array([1, 2]), (1, 2)).right
    assert not judged(0.1428, Fraction(1, 7)).right


def test_what_is_not_answered_yet_is_no_mistake(said):
    def my_softmax(scores): ...

    notebook_tools.check(questions.a_softmax, None)
    notebook_tools.check(questions.a_softmax, my_softmax)
    assert said == ["○ Not answered yet."] * 2


def test_a_solution_that_is_wrong_is_no_solution(said):
    with pytest.raises(AssertionError, match="pairs_of: ✗ Not quite"):
        notebook_tools.solve(questions.pairs_of, 2, tokens=["a", "b"])


def test_the_findings_of_the_judge_are_reported():
    def my_mask(queries, keys, past=0):
        return np.tri(queries, keys, past - 1, dtype=bool)

    verdict = questions.a_causal_mask(my_mask)
    assert not verdict.right
    assert "Fails: Query i is at position past + i" in verdict.text
    case = "With `causal_mask(queries=1, keys=1, past=0)` at"
    assert case in verdict.text


def softmax_of_a_matrix(scores):
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    if scores.ndim > 2:
        raise ValueError("expected a matrix")
    return powers / powers.sum(-1, keepdims=True)


def without_scale(query, key, value):
    powers = np.exp(query @ key.swapaxes(-2, -1))
    return powers / powers.sum(-1, keepdims=True) @ value


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        (lambda: judged_step(np.exp, "softmax"), "Likely cause: the exp"),
        (
            lambda: judged_step(softmax_of_a_matrix, "softmax"),
            "could not be judged: it raised ValueError: expected a matrix",
        ),
        (
            lambda: judged_step(lambda: 1, "softmax"),
            "could not be judged: expected the arguments (scores), got ()",
        ),
        pytest.param(
            lambda: judged_attention(without_scale),
            "Likely cause: the scale is missing",
            marks=pytest.mark.slow,  # all ways to be wrong are tried
        ),
        (
            lambda: judged_attention(lambda query, key, value: 1 / 0),
            "could not be judged: it raised ZeroDivisionError",
        ),
    ],
)
def test_what_is_not_right_gets_a_reason(verdict, text):
    assert not verdict().right
    assert text in verdict().text


# --- the command ----------------------------------------------------------


def test_it_writes_the_notebooks_without_outputs(twice, tmp_path):
    code, out, err = twice("notebooks", tmp_path)
    assert (code, err) == (0, "")
    names = [f"{name}.ipynb" for name in NOTEBOOKS]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for name in names:
        assert str(tmp_path / name) in out
        notebook = nbformat.read(tmp_path / name, as_version=4)
        nbformat.validate(notebook)
        assert not any(cell.get("outputs") for cell in notebook.cells)
        assert notebook.metadata.kernelspec.name == "python3"


def test_one_that_was_changed_is_never_overwritten(twice, tmp_path):
    twice("notebooks", tmp_path)
    path = tmp_path / f"{NOTEBOOKS[0]}.ipynb"
    changed = nbformat.read(path, as_version=4)
    changed.cells[-1].source += "\n# mine"
    nbformat.write(changed, path)
    before = path.read_bytes()
    for other in tmp_path.glob("*.ipynb"):
        if other != path:
            other.unlink()
    code, out, err = twice("notebooks", tmp_path)
    assert (code, out) == (2, "")
    assert f"only unchanged notebooks, got {path}; move it away" in err
    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]  # nothing at all was written


@pytest.mark.slow
def test_running_one_is_not_changing_it(twice, tmp_path):
    twice("notebooks", tmp_path)
    path = tmp_path / f"{NOTEBOOKS[0]}.ipynb"
    ran = nbformat.read(path, as_version=4)
    cell = next(cell for cell in ran.cells if cell.cell_type == "code")
    cell.outputs = [nbformat.v4.new_output("stream", text="ran")]
    cell.execution_count = 1
    ran.cells.append(nbformat.v4.new_code_cell(""))  # as Jupyter does
    nbformat.write(ran, path)
    before = path.read_bytes()
    code, out, _ = twice("notebooks", tmp_path)
    assert code == 0
    assert f"{path}: already there" in out
    assert path.read_bytes() == before  # its outputs are kept


@pytest.mark.slow
def test_one_of_an_older_version_is_replaced(twice, tmp_path):
    path = tmp_path / f"{NOTEBOOKS[0]}.ipynb"
    old = build(NOTEBOOKS[0])
    old.cells = old.cells[:3]
    old.metadata[notebooks_command.MADE_BY] = {"cells": hash_of(old)}
    nbformat.write(old, path)
    assert twice("notebooks", tmp_path)[0] == 0
    replaced = nbformat.read(path, as_version=4)
    assert hash_of(replaced) == hash_of(build(NOTEBOOKS[0]))


@pytest.mark.parametrize("content", ["", "{}", "not a notebook", "[1]"])
def test_a_file_that_is_not_ours_is_left_alone(twice, tmp_path, content):
    path = tmp_path / f"{NOTEBOOKS[0]}.ipynb"
    path.write_text(content)
    code, _, err = twice("notebooks", tmp_path)
    assert code == 2
    assert str(path) in err
    assert path.read_text() == content


def test_a_folder_that_does_not_exist_is_created(twice, tmp_path):
    folder = tmp_path / "course" / "lessons"
    code, _, err = twice("notebooks", folder)
    assert (code, err) == (0, "")
    assert {path.stem for path in folder.iterdir()} == {*NOTEBOOKS}


@pytest.mark.parametrize("below", ["", "lessons"])
def test_a_file_is_no_folder_to_write_into(twice, tmp_path, below):
    (tmp_path / "a.txt").touch()
    folder = tmp_path / "a.txt" / below
    code, out, err = twice("notebooks", folder)
    assert (code, out) == (2, "")
    assert f"a folder to write notebooks into, got {folder}: " in err
    assert [*tmp_path.iterdir()] == [tmp_path / "a.txt"]


def test_a_full_disk_is_reported(twice, tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_whole", full)
    code, out, err = twice("notebooks", tmp_path)
    assert (code, out) == (2, "")
    assert "got No space left on device" in err


def test_without_jupytext_its_extra_is_named(twice, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jupytext", None)
    code, _, err = twice("notebooks", tmp_path)
    assert code == 2
    assert 'pip install "attention-twice[notebooks]"' in err


def test_the_same_notebook_has_the_same_bytes():
    first, second = (nbformat.writes(build(NOTEBOOKS[0])) for _ in range(2))
    assert first == second
