"""Files: written whole, and no part left for ever."""

import os
import subprocess
import sys

from numpy_ref.files import is_running, write_whole


def dead_process() -> int:
    """The id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def test_what_a_killed_process_has_left_goes_with_the_next_writing(
    tmp_path,
):
    dead, path = dead_process(), tmp_path / "plot[1].png"
    left = tmp_path / f"plot[1].png.{dead}.part"
    stays = {
        tmp_path / f"plot[1].png.{os.getppid()}.part": "is being written",
        tmp_path / f"plot1.png.{dead}.part": "is another file's",
        tmp_path / "plot[1].png.first.part": "has another name",
    }
    for part in (left, *stays):
        part.write_bytes(b"half")
    write_whole(path, b"whole")
    assert path.read_bytes() == b"whole"
    assert {*tmp_path.iterdir()} == {path, *stays}


def test_which_processes_are_running():
    assert is_running(os.getpid())
    assert is_running(1)  # somebody else's, perhaps
    assert not is_running(dead_process())
    assert not is_running(10**30)
