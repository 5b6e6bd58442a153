"""`twice train` and `twice generate`: training, resuming, generating."""

import errno
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from transformers import GPT2Config, GPT2LMHeadModel

from numpy_ref.training.checkpoint import header_of, load_training
from study.train import run as training_run
from study.train.lock import locked
from study.train.stop import Stop

TEXT = "low lower lowest newer newest wider, and the low was wide. " * 9
TINY = (
    *("--layers", 1, "--d-model", 8, "--heads", 2, "--context-length", 8),
    *("--batch-size", 2, "--vocabulary", 270, "--steps", 6),
    *("--save-every", 2, "--sample-every", 3),
)


@pytest.fixture
def story(tmp_path):
    path = tmp_path / "story.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a whole training, and what was printed."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "story.txt").write_text(TEXT)
    run = subprocess.run(
        [
            *(sys.executable, "-m", "study", "train"),
            *("--file", folder / "story.txt", "--out", folder / "model"),
            *map(str, TINY),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return folder / "model", run.stdout


@pytest.fixture
def trained(finished, tmp_path):
    """A copy of that, free to change."""
    out = shutil.copytree(finished[0], tmp_path / "model")
    return out, finished[1]


def contents(folder: Path) -> dict[str, object]:
    """What the files of a folder hold: each tensor's bytes, each text."""
    files = {}
    for path in sorted(folder.iterdir()):
        if path.suffix != ".safetensors":
            files[path.name] = path.read_bytes()
            continue
        # A header's lines have no order.
        files[path.name] = (
            header_of(path),
            {
                name: (str(array.dtype), array.shape, array.tobytes())
                for name, array in load_file(path).items()
            },
        )
    return files


def test_training_prints_model_text_and_progress(trained):
    _, said = trained
    lines = said.splitlines()
    assert re.match(
        r"A GPT-2 of 3,\d{3} parameters \(layers 1, .*\) le", said
    )
    assert "learns story.txt" in said
    assert "starting from random weights." in lines
    steps = [line for line in lines if line.startswith("step")]
    assert [line.split()[1] for line in steps] == ["2", "4", "6"]
    samples = [line for line in lines if line.startswith("    ")]
    assert len(samples) == 2
    assert lines[-1].startswith("Done. Next: twice generate --model")


def interrupted(steps):
    """A `train` that the user stops after that many steps."""

    def stopped(*arguments):
        for state, metrics in training_run_train(*arguments):
            if metrics.step > steps:
                raise KeyboardInterrupt
            yield state, metrics

    return stopped


training_run_train = training_run.train


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5])
def test_interrupted_anywhere_it_ends_as_if_it_had_not_been(
    twice, story, trained, tmp_path, monkeypatch, steps
):
    whole, _ = trained
    again = ("train", "--file", story, "--out", tmp_path / "again", *TINY)
    monkeypatch.setattr(training_run, "train", interrupted(steps))
    code, said, _ = twice(*again)
    assert code == 130
    assert (
        f"holds the checkpoint of step {steps // 2 * 2}: the same" in said
    )
    monkeypatch.undo()
    code, said, _ = twice(*again)
    assert code == 0
    assert f"resuming from step {steps // 2 * 2}." in said
    assert contents(whole) == contents(tmp_path / "again")


def test_a_finished_training_takes_no_further_step(twice, story, trained):
    out, _ = trained
    before = load_training(out).state.step
    code, said, _ = twice("train", "--file", story, "--out", out)
    assert code == 0
    assert "resuming from step 6." in said
    assert load_training(out).state.step == before


def signalled(after, number, times=1):
    """A `train` after whose step so many signals come."""

    def stopped(*arguments):
        for state, metrics in training_run_train(*arguments):
            if metrics.step == after:
                for _ in range(times):
                    signal.raise_signal(number)
            yield state, metrics

    return stopped


@pytest.fixture
def heeding():
    """What is run in the background ignores Ctrl-C; here it is heeded."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("step", "number", "expected"),
    [(1, signal.SIGINT, 130), (3, signal.SIGTERM, 143)],
)
def test_the_first_signal_saves_the_step_at_hand(
    twice,
    story,
    trained,
    tmp_path,
    monkeypatch,
    heeding,
    step,
    number,
    expected,
):
    whole, _ = trained
    again = ("train", "--file", story, "--out", tmp_path / "again", *TINY)
    monkeypatch.setattr(training_run, "train", signalled(step, number))
    code, said, _ = twice(*again, "--save-every", 99)
    assert code == expected
    assert f"holds the checkpoint of step {step}: the same" in said
    monkeypatch.undo()
    assert twice(*again)[0] == 0
    assert contents(whole) == contents(tmp_path / "again")


def test_a_signal_after_the_save_stops_the_next_step(
    twice, story, tmp_path, monkeypatch
):
    out = tmp_path / "model"
    sample = training_run.sample

    def sample_and_signal(training, *rest):
        signal.raise_signal(signal.SIGTERM)
        return sample(training, *rest)

    monkeypatch.setattr(training_run, "sample", sample_and_signal)
    options = (*TINY, "--save-every", 99)
    code, said, _ = twice("train", "--file", story, "--out", out, *options)
    assert code == 143
    assert "holds the checkpoint of step 4: the same" in said
    assert load_training(out).state.step == 4


def test_the_second_signal_ends_at_once_and_keeps_the_last_checkpoint(
    twice, story, tmp_path, monkeypatch, heeding
):
    out = tmp_path / "model"
    twice_signalled = signalled(3, signal.SIGINT, times=2)
    monkeypatch.setattr(training_run, "train", twice_signalled)
    code, said, _ = twice("train", "--file", story, "--out", out, *TINY)
    assert code == 130
    assert "holds the checkpoint of step 2: the same" in said
    assert load_training(out).state.step == 2


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Stop() as stop:
            signal.raise_signal(signal.SIGINT)
        assert not stop.signal
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_stopped_by_a_key_it_ends_as_if_it_had_not_been(
    story, tmp_path, number, expected
):
    # What was started in the background would ignore the key.
    heeding = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = "from study.command import main; main()"

    def start(out):
        return subprocess.Popen(
            [
                *(sys.executable, "-u", "-c"),
                f"import signal; {heeding}; {command}",
                *("train", "--file", story, "--out", out),
                *map(str, TINY),
                *("--steps", "300", "--save-every", "1000"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    whole, out = tmp_path / "whole", tmp_path / "model"
    assert start(whole).wait(timeout=60) == 0
    process = start(out)
    while "starting" not in process.stdout.readline():
        assert process.poll() is None
    time.sleep(0.05)
    process.send_signal(number)
    said, err = process.communicate(timeout=20)
    assert process.returncode == expected
    assert "Traceback" not in err
    step = load_training(out).state.step
    assert 0 < step < 300
    assert f"holds the checkpoint of step {step}: the same command" in said
    assert start(out).wait(timeout=60) == 0
    assert contents(whole) == contents(out)


def test_a_folder_is_trained_by_one_process_at_a_time(
    twice, story, trained
):
    out, _ = trained
    before = contents(out)
    with locked(out):
        code, said, err = twice("train", "--file", story, "--out", out)
    assert (code, said) == (2, "")
    assert f"at a time in {out}, got another at work there" in err
    assert err.count("\n") == 1
    assert contents(out) == before
    assert twice("train", "--file", story, "--out", out)[0] == 0


def test_the_lock_ends_with_a_process_that_is_killed(tmp_path):
    code = (
        "import os, sys; from pathlib import Path\n"
        "from study.train.lock import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(ValueError, match="another at work"):
            locked(tmp_path).__enter__()
        process.kill()
    with locked(tmp_path):
        pass


def test_without_a_connection_file_is_named(twice, monkeypatch, tmp_path):
    monkeypatch.setenv("ATTENTION_TWICE_DATA", str(tmp_path))
    monkeypatch.setattr(socket, "getaddrinfo", no_connection)
    code, _, err = twice("train", "--out", tmp_path / "model")
    assert code == 2
    assert "or take a text of your own (--file)" in err
    assert err.count("\n") == 1


def no_connection(*_, **__):
    raise socket.gaierror("no connection")


def test_the_checkpoint_that_cannot_be_written_leaves_the_last(
    twice, story, tmp_path, monkeypatch
):
    out, write = tmp_path / "model", Path.write_bytes

    def full(path, data):
        if path.name.startswith("training-4"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    code, _, err = twice("train", "--file", story, "--out", out, *TINY)
    assert code == 2
    assert err.endswith(
        f"expected to write the checkpoint of step 4 into {out}, got No "
        "space left on device; that of step 2 is still there\n"
    )
    assert load_training(out).state.step == 2


def test_a_place_that_is_no_folder_is_named_before_training(twice, story):
    out = story / "model"  # below a file
    code, said, err = twice("train", "--file", story, "--out", out, *TINY)
    assert (code, said) == (2, "")
    assert f"expected to write a model into {out}, got Not a dir" in err


def test_a_rate_that_diverges_is_reported_with_the_step(
    twice, story, tmp_path
):
    code, said, err = twice(
        *("train", "--file", story, "--out", tmp_path / "model", *TINY),
        *("--rate", "1e30"),
    )
    assert code == 2
    assert re.search(r"at step \d, .*training has diverged", err)
    assert "nan" not in said


WRONG = {
    "no layers": (["--layers", 0], "--layers to be at least 1, got 0"),
    "no steps": (["--steps", 0], "--steps to be at least 1, got 0"),
    "heads": (["--heads", 3], "--heads to divide --d-model 8, got 3"),
    "a rate": (["--rate", 0], "--rate to be greater than 0, got 0.0"),
    "dropout": (["--dropout", 1], "to be at least 0 and below 1, got 1.0"),
    "saving": (["--save-every", 0], "--save-every to be at least 1, got 0"),
    "a vocabulary": (
        ["--vocabulary", 99],
        "vocabulary_size to be at least 257, got 99",
    ),
    "a long context": (
        ["--context-length", 900],
        "for a context length of 900, to be at least 901, got",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_options_end_with_one_clear_line(
    twice, story, tmp_path, wrong
):
    options, message = WRONG[wrong]
    out = tmp_path / "model"
    code, said, err = twice(
        "train", "--file", story, "--out", out, *TINY, *options
    )
    assert (code, said) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not out.exists()


def test_a_training_is_not_resumed_with_another_text_or_size(
    twice, story, trained, tmp_path
):
    out, _ = trained
    code, _, err = twice(
        "train", "--file", story, "--out", out, "--layers", 2
    )
    assert code == 2
    assert "expected --layers 1, as when" in err
    other = tmp_path / "other.txt"
    other.write_text(TEXT[1:])
    code, _, err = twice("train", "--file", other, "--out", out)
    assert code == 2
    assert "was trained on, story.txt, got other.txt, which differs" in err


def test_an_empty_text_is_refused(twice, tmp_path):
    (tmp_path / "empty.txt").write_text(" \n")
    code, _, err = twice("train", "--file", tmp_path / "empty.txt")
    assert code == 2
    assert "expected a text in" in err


def test_a_trained_model_generates_and_its_weights_are_named(
    twice, trained
):
    out, _ = trained
    again = ("generate", "--model", out, "--prompt", "low")
    code, said, err = twice(*again)
    assert code == 0
    assert said.startswith("low")
    assert len(said) > len("low\n")
    assert err == (
        f"Weights: the folder {out}; GPT-2, 3,112 parameters, trained by "
        "`twice train` for 6 of 6 steps on story.txt alone.\n"
    )
    assert twice(*again)[1] == said
    others = {twice(*again, "--seed", seed)[1] for seed in range(1, 6)}
    assert len(others) > 1
    safe = (*again, "--temperature", 0, "--seed")
    assert twice(*safe, 1)[1] == twice(*safe, 2)[1]


def test_random_weights_are_reported_as_random(
    twice, story, tmp_path, monkeypatch
):
    monkeypatch.setattr(training_run, "train", interrupted(0))
    twice("train", "--file", story, "--out", tmp_path / "m", *TINY)
    _, _, err = twice(
        "generate", "--model", tmp_path / "m", "--prompt", "a"
    )
    assert err.endswith("random: not trained yet.\n")


def test_of_another_models_weights_nothing_is_claimed(twice, tmp_path):
    small = {"n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16}
    GPT2LMHeadModel(GPT2Config(**small)).save_pretrained(tmp_path)
    code, said, err = twice(
        "generate", "--model", tmp_path, "--prompt", "Hi", "--length", 3
    )
    assert code == 0
    assert said.startswith("Hi")
    assert err.endswith(
        "parameters, taken as they are.\nTokens: the folder has no "
        "tokenizer, so the tokens are those of OpenAI's GPT-2.\n"
    )
    assert "trained" not in err


NOT_GENERATED = {
    "no model": (
        ["--prompt", "a"],
        "expected --model: smollm2, a folder from `twice",
    ),
    "no prompt": (["--model", "m"], "--prompt with a text, got None"),
    "an empty prompt": (
        ["--model", "m", "--prompt", ""],
        "expected --prompt with a text, got ''",
    ),
    "another name": (
        ["--model", "no/such", "--prompt", "a"],
        "expected a folder, the name of a packaged model",
    ),
    "temperature": (
        ["--model", "m", "--prompt", "a", "--temperature", -1],
        "--temperature to be finite and at least 0, got -1.0",
    ),
    "top p": (
        ["--model", "m", "--prompt", "a", "--top-p", 0],
        "--top-p to be above 0 and at most 1, got 0.0",
    ),
    "top k": (
        ["--model", "m", "--prompt", "a", "--top-k", 0],
        "--top-k to be at least 1, got 0",
    ),
}


@pytest.mark.parametrize("wrong", NOT_GENERATED)
def test_wrong_options_of_generate_are_refused(twice, wrong):
    options, message = NOT_GENERATED[wrong]
    code, said, err = twice("generate", *options)
    assert (code, said) == (2, "")
    assert message in err


def test_more_than_the_positions_is_refused(twice, trained):
    out, _ = trained
    model = ("generate", "--model", out, "--prompt")
    code, said, err = twice(*model, "low", "--length", 8)
    assert (code, said) == (2, "")
    assert re.search(r"to fit 8 positions, got \d \+ 8", err)
    code, said, err = twice(*model, TEXT)
    assert (code, said) == (2, "")
    assert re.search(r"to fit 8 positions, got \d+ \+ 1", err)


def test_options_of_the_walk_do_not_stand_before_a_command(twice):
    code, _, err = twice("--text", "a b", "generate")
    assert code == 2
    assert "expected --text without generate, got both" in err


def test_help_names_both_commands(twice):
    _, out, _ = twice("--help")
    assert "train" in out
    assert "generate" in out
    assert "--save-every" in twice("train", "--help", columns=100)[1]
