"""`twice transformer`: the toy, its command, its files."""

import json
import sys
import time

import numpy as np
import pytest

from bert_viz import from_arrays
from bert_viz.page.packing import unpack
from numpy_ref.parameters import from_state_dict, state_dict
from numpy_ref.training.transformer import initial_transformer
from numpy_ref.variants.transformer import Transformer, transformer
from study.toy import run as toy_run
from study.toy.run import (
    CONFIG,
    Toy,
    answers,
    count_right,
    held_out,
    train_toy,
    up_to_the_end,
)
from study.toy.showing import cross_attention_of, table_of
from study.toy.tasks import (
    BEGIN,
    END,
    FIRST,
    TASKS,
    TOKENS,
    draw_sources,
    pairs_of,
)

PNG = b"\x89PNG\r\n\x1a\n"
SMALL = ("--steps", 2, "--length", 6)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def few(monkeypatch):
    """Few sequences that are held out, for what does not count them."""
    monkeypatch.setattr(toy_run, "HELD_OUT", 20)


def after(steps, toy, **options):
    """The last state of a training, and what came before it."""
    return [*train_toy(toy, steps, **options)]


# --- the task, and what is learned ---------------------------------------


def test_each_task_is_what_its_name_says():
    source = (FIRST + 3, FIRST + 1, FIRST + 3, FIRST)
    assert TASKS["copy"](source) == source
    assert TASKS["reverse"](source) == (FIRST, *source[2::-1])
    assert TASKS["sort"](source) == (FIRST, FIRST + 1, FIRST + 3, FIRST + 3)


def test_a_decoder_reads_what_it_was_asked_for_one_place_before():
    pairs = pairs_of([(5, 4, 3), (9, 8)], TASKS["sort"])
    assert pairs.source_mask.tolist() == [[True] * 3, [True, True, False]]
    np.testing.assert_array_equal(
        pairs.target_ids[0, 1:], pairs.targets[0, :-1]
    )
    assert pairs.targets.tolist() == [[3, 4, 5, END], [8, 9, END, 0]]


def test_sources_have_half_the_length_to_all_of_it():
    sources = draw_sources(np.random.default_rng(0), 300, 8)
    assert {len(source) for source in sources} == {4, 5, 6, 7, 8}
    assert {digit for source in sources for digit in source} == {
        *range(FIRST, FIRST + 10)
    }


@pytest.mark.parametrize("length", [6, 8])
def test_nothing_that_is_held_out_is_trained_on(length, monkeypatch):
    toy = Toy("copy", length)
    monkeypatch.setattr(
        toy_run, "transformer_step", lambda state, *_: (state, None)
    )
    known = set(held_out(toy))
    seen = {
        tuple(row[row > 0].tolist())
        for _, _, pairs in after(100, toy)
        for row in pairs.source_ids
    }
    assert len(known) > 400
    assert len(seen) > 3000
    assert not known & seen


def test_the_loss_falls():
    losses = [m.loss for _, m, _ in after(25, Toy("reverse", 6))]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.3


def test_the_seed_decides_everything():
    first, again, other = (
        after(1, Toy("copy", 6, seed))[-1] for seed in (1, 1, 2)
    )
    assert first[1] == again[1]
    assert first[1].loss != other[1].loss
    tables, batches = (
        [part(run) for run in (first, other)]
        for part in (
            lambda run: run[0].params.embedding.token.weight,
            lambda run: run[2].source_ids[:, :3],
        )
    )
    assert abs(tables[0] - tables[1]).mean() > 0.05
    assert (batches[0] != batches[1]).mean() > 0.5
    assert held_out(Toy("copy", 6, 1)) != held_out(Toy("copy", 6, 2))


def test_an_answer_ends_with_its_end():
    assert up_to_the_end((5, 4, END, 9, END)) == (5, 4)
    assert up_to_the_end((5, 4, 9)) == (5, 4, 9)


def test_an_answer_is_right_only_as_a_whole(monkeypatch):
    toy = Toy("reverse", 8)
    right = [source[::-1] for source in held_out(toy)]
    for change, missing in (
        (lambda answer: answer, 0),
        (lambda answer: answer[:-1], 1),
        (lambda answer: (*answer, FIRST), 1),
        (lambda answer: (answer[0] % 12 + 1, *answer[1:]), 1),
    ):
        given = [change(right[0]), *right[1:]]
        monkeypatch.setattr(toy_run, "answers", lambda *_, g=given: g)
        assert count_right(toy, None) == len(right) - missing


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_each_task_is_learned_in_less_than_a_minute(twice, task):
    began = time.process_time()
    code, out, err = twice("transformer", "--task", task)
    assert (code, err) == (0, "")
    assert time.process_time() - began < 60
    (line,) = [line for line in out.splitlines() if " are right" in line]
    assert int(line.split()[0]) >= 0.99 * 500, line


# --- the command ---------------------------------------------------------


def test_it_prints_losses_an_answer_and_where_it_looks(twice, few, here):
    code, out, err = twice("transformer", *SMALL, "--task", "sort")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("step     2   loss ")
    assert "of 20 sequences that it was never trained on" in lines[1]
    assert lines[3].startswith("sort: ")
    assert lines[4].startswith("answer: ")
    assert max(map(len, lines)) <= 80
    assert not [*here.iterdir()]


def test_the_picture_and_the_data_are_written(twice, few, here):
    code, out, err = twice(
        *("transformer", *SMALL),
        *("--picture", "looks.png", "--data", "looks.json"),
    )
    assert (code, err) == (0, "")
    assert out.splitlines()[-3:] == ["looks.png", "", "looks.json"]
    assert {path.name for path in here.iterdir()} == {
        *("looks.png", "looks.json")
    }
    assert (here / "looks.png").read_bytes().startswith(PNG)
    data = json.loads((here / "looks.json").read_text())
    (text,) = data["texts"]
    source = out.split("reverse: ")[1].splitlines()[0].split()
    assert text["key_tokens"] == source
    weights = unpack(text["weights"])
    assert weights.shape == (
        *(data["layers"], data["heads"]),
        *(len(text["tokens"]), len(source)),
    )
    room = len(source) * text["weights"]["error"] + 1e-6
    assert abs(weights.sum(axis=-1) - 1).max() <= room


def random_model():
    """A model with large weights, of a seed that writes this and that."""
    rng = np.random.default_rng(6)
    arrays = state_dict(initial_transformer(CONFIG, rng, "float64"))
    drawn = {
        name: rng.normal(size=array.shape) if array.ndim == 2 else array
        for name, array in arrays.items()
    }
    return from_state_dict(Transformer, drawn)


def test_each_row_is_how_its_token_was_written():
    source = held_out(Toy("reverse", 6))[0]
    params = random_model()
    attention = cross_attention_of(params, source, 6, "a test")
    (answer,) = answers(params, [source], 6)
    written = [TOKENS.index(token) for token in attention.tokens]
    assert len(set(written)) > 2
    assert (*written[: len(answer)],) == answer
    assert written[len(answer) :] in ([], [END])
    assert attention.key_tokens == tuple(TOKENS[index] for index in source)
    for row, index in enumerate(written):
        read = np.array([[BEGIN, *written[:row]]])
        _, layers, logits = transformer(
            *(np.array([source]), read, np.ones((1, len(source)), bool)),
            *(params, CONFIG.heads, CONFIG.epsilon),
        )
        assert logits[0, -1].argmax() == index
        weights = layers[-1].cross_attention.weights[0, :, -1]
        assert abs(attention.weights[-1, :, row] - weights).max() < 1e-12


def test_the_table_has_the_mean_of_the_heads_in_percent():
    scores = np.random.default_rng(0).normal(size=(2, 3, 2, 4))
    powers = np.exp(2 * scores)
    attention = from_arrays(
        ["7", "[END]"],
        powers / powers.sum(axis=-1, keepdims=True),
        key_tokens=["1", "2", "3", "4"],
    )
    head, *rows = table_of(attention)
    assert head.split() == ["1", "2", "3", "4"]
    assert [row.split()[0] for row in rows] == ["7", "[END]"]
    last = attention.weights[1]
    expected = (last[0] + last[1] + last[2]) / 3
    for row, weights in zip(rows, expected, strict=True):
        printed = [int(cell) for cell in row.split()[1:]]
        assert abs(printed - 100 * weights).max() <= 0.5 + 1e-9


WRONG = {
    "no step": (("--steps", 0), "expected --steps to be at least 1, got 0"),
    "a seed below 0": (
        ("--seed", -1),
        "expected --seed to be at least 0, got -1",
    ),
    "too short": (
        ("--length", 5),
        "expected --length from 6 to 32, got 5",
    ),
    "too long": (
        ("--length", 33),
        "expected --length from 6 to 32, got 33",
    ),
    "a picture of no kind": (
        ("--picture", "a.txt"),
        "expected --picture to end with .png, .svg or .pdf, got a.txt",
    ),
    "a folder that is not there": (
        ("--data", "nowhere/a.json"),
        "expected a folder to write a.json into, got nowhere, which does "
        "not exist",
    ),
    "data of another kind": (
        ("--data", "a.png"),
        "expected --data to end with .json, got a.png",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_options_end_in_one_line_before_any_step(twice, here, case):
    options, message = WRONG[case]
    code, out, err = twice("transformer", *options)
    assert (code, out, err) == (2, "", f"twice: {message}\n")
    assert not [*here.iterdir()]


def test_a_picture_needs_matplotlib_before_any_step(twice, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = twice("transformer", "--picture", "a.png")
    assert (code, out) == (2, "")
    assert "expected matplotlib to be installed, got none" in err


def test_a_disk_that_takes_nothing_leaves_no_half_file(
    twice, few, here, monkeypatch
):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    code, _, err = twice("transformer", *SMALL, "--picture", "a.png")
    assert code == 2
    assert (
        err == "twice: expected to write a.png, got No space left on "
        "device\n"
    )
    assert not [*here.iterdir()]
