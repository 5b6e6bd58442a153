"""Standard output, closed or full: no command ends in a traceback."""

import errno
import os
import subprocess
import sys

import pytest

from study.command import app
from study.text.output import OutputError, whole_output

SMALL = ["--layers", 1, "--d-model", 8, "--heads", 1, "--batch-size", 1]
SHORT = ["--steps", 1, "--vocabulary", 260, "--context-length", 8]

# Each command with what makes it short, and where it writes.
COMMANDS = {
    "": ["--example"],
    "study": ["--help"],  # to build the site takes a minute
    "notebooks": [],
    "variance": [],
    "transformer": ["--steps", 1],
    "train": ["--out", "model", *SMALL, *SHORT],
    "generate": ["--model", "model", "--prompt", "I", "--length", 2],
    "chat": ["--help"],  # it would wait for a line
    "ring": ["--ranks", 1],
    "view": ["A cat sat."],
    "check": ["attention.py"],
    "bench": ["--help"],  # it would take minutes
}
FULL_LINE = (
    "twice: expected to write to standard output, "
    "got No space left on device\n"
)


def process(arguments, stdout, folder="."):
    return subprocess.run(
        [sys.executable, "-m", "study", *map(str, arguments)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )


@pytest.fixture
def full():
    with open("/dev/full", "w") as device:
        yield device


@pytest.fixture
def closed():
    """The end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as pipe:
        yield pipe


def test_full_output_ends_in_one_line(full):
    ended = process(["--version"], full)
    assert (ended.returncode, ended.stderr) == (2, FULL_LINE)


def test_closed_output_ends_in_silence(closed):
    ended = process(["--version"], closed)
    assert (ended.returncode, ended.stderr) == (141, "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with what the commands read."""
    folder = tmp_path_factory.mktemp("output")
    file = folder / "attention.py"
    file.write_text(
        "from numpy_ref.attention import scaled_dot_product_attention\n"
    )
    train = ["train", *COMMANDS["train"]]
    assert process(train, subprocess.DEVNULL, folder).returncode == 0
    return folder


def test_every_command_is_tried():
    names = [
        command.callback.__name__ for command in app.registered_commands
    ]
    assert COMMANDS.keys() == {"", *names}


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_ends_in_a_traceback(command, folder, full, closed):
    arguments = [*filter(None, [command]), *COMMANDS[command]]
    ended = process(arguments, full, folder)
    assert ended.returncode == 2
    assert ended.stderr.endswith(FULL_LINE)
    assert "Traceback" not in ended.stderr
    ended = process(arguments, closed, folder)
    assert ended.returncode == 141
    assert "Error" not in ended.stderr


@pytest.mark.slow
def test_output_that_was_never_open_is_no_mistake():
    command = f"{sys.executable} -m study --example >&-"
    ended = subprocess.run(command, shell=True, stderr=subprocess.PIPE)
    assert (ended.returncode, ended.stderr) == (0, b"")


class Broken:
    """A stream that takes text and fails when it is flushed."""

    def __init__(self, error, file):
        self.error, self.file = error, file

    def write(self, text):
        return len(text)

    def flush(self):
        raise self.error

    def fileno(self):
        return self.file.fileno()


def test_an_error_of_another_file_is_not_taken_for_the_outputs(capsys):
    with pytest.raises(BrokenPipeError), whole_output():
        raise BrokenPipeError(errno.EPIPE, "a pipe of its own")


def test_what_shows_at_the_last_flush_is_said_too(monkeypatch, capsys):
    error = OSError(errno.ENOSPC, "No space left on device")
    with open(os.devnull, "w") as nowhere:
        monkeypatch.setattr(sys, "stdout", Broken(error, nowhere))
        with pytest.raises(SystemExit, match="2"), whole_output():
            print("a line")
    assert capsys.readouterr().err == FULL_LINE


def test_the_error_is_no_oserror():
    assert not issubclass(OutputError, OSError)
