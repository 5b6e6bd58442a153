"""A file or a notebook is run, whatever it is, and costs only itself."""

import asyncio
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from textwrap import dedent
from types import ModuleType

import pytest

from parity_tests.judge.candidate import magics
from parity_tests.judge.candidate.source import (
    Unreadable,
    own_things,
    run,
)

OUTSIDE = "'return' outside function (subject.py, line 1)"
ATTEND = "def attend(query):\n    return query\n"


@pytest.fixture(autouse=True)
def _imports_are_restored(monkeypatch):
    """Each file is run as if it were the first."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def ran(tmp_path):
    """Write a file, and others beside it; run the first."""

    def write_and_run(text, name="subject.py", seconds=20.0, **others):
        files = {name: text} | {
            f"{other.replace('__slash__', '/')}.py": content
            for other, content in others.items()
        }
        for file, content in files.items():
            path = tmp_path / file
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text(dedent(content))
        return run(tmp_path / name, seconds)

    return write_and_run


@pytest.fixture
def notebook(tmp_path):
    """Write a notebook with cells of these sources; run it."""

    def write_and_run(*sources):
        cells = [
            {"cell_type": "code", "source": dedent(each)}
            if isinstance(each, str)
            else each
            for each in sources
        ]
        path = tmp_path / "subject.ipynb"
        path.write_text(json.dumps({"cells": cells}))
        return run(path)

    return write_and_run


# --- statement by statement ----------------------------------------------


def test_an_error_costs_only_its_statement(ran):
    source = ran(
        """\
        import math
        text = open("no such file").read()
        size = len(text)


        def attend(query):
            return math.sqrt(query)
        """
    )
    assert list(own_things(source)) == ["attend"]
    assert source.module.attend(4) == 2
    assert source.notes == [
        "line 2: FileNotFoundError: [Errno 2] No such file or directory: "
        "'no such file'; `text` is not defined",
        "line 3: NameError: name 'text' is not defined; `size` is not "
        "defined",
    ]


@pytest.mark.parametrize(
    ("statement", "note"),
    [
        ("raise SystemExit(3)", "line 1: SystemExit: 3"),
        ("raise KeyboardInterrupt", "line 1: KeyboardInterrupt"),
        ("return 1", f"line 1: SyntaxError: {OUTSIDE}"),
        (
            "a, (b, *c) = 1 / 0, 2",
            "line 1: ZeroDivisionError: division by zero; `a`, `b`, `c` "
            "are not defined",
        ),
        (
            "with open('/dev/null') as file:\n    x = y = [z for z in 1]",
            "line 1: TypeError: 'int' object is not iterable; `x`, `y` are "
            "not defined",
        ),
    ],
)
def test_whatever_is_raised_is_noted(ran, statement, note):
    source = ran(f"{statement}\n{ATTEND}")
    assert source.notes == [note]
    assert list(own_things(source)) == ["attend"]


def test_an_error_whose_text_raises_is_noted(ran):
    source = ran(
        """\
        class Mute(Exception):
            def __str__(self): raise KeyboardInterrupt
            def __bool__(self): raise KeyboardInterrupt
        raise Mute
        """
    )
    assert source.notes == ["line 4: Mute"]


def test_a_long_text_of_an_error_is_cut(ran):
    (note,) = ran("raise ValueError('many\\nlines ' * 1000)").notes
    assert note.startswith("line 1: ValueError: many lines many lines")
    assert len(note) < 400


def test_a_sum_deeper_than_the_stack_costs_only_itself(ran):
    source = ran(f"{ATTEND}x = {'+'.join(['y'] * 900)}\n")
    assert list(own_things(source)) == ["attend"]
    assert len(source.notes) == 1
    assert source.notes[0].endswith("`x` is not defined")


def test_of_an_import_only_what_fails_is_missing(ran):
    source = ran(
        """\
        from math import no_such, sqrt, pi as tau
        import json, no_such_package, string
        """
    )
    assert source.module.sqrt(source.module.tau) > 1
    assert source.module.json is json
    assert source.module.string.digits
    first, second = source.notes
    assert first.startswith("line 1: ImportError: cannot import name")
    assert first.endswith("; `no_such` is not defined")
    assert second == (
        "line 2: ModuleNotFoundError: No module named 'no_such_package'; "
        "`no_such_package` is not defined"
    )


def test_an_import_of_nothing_is_noted_once(ran):
    assert ran("from no_such_package import a, b").notes == [
        "line 1: ModuleNotFoundError: No module named 'no_such_package'; "
        "`a`, `b` are not defined"
    ]


def test_within_try_nothing_is_split(ran):
    source = ran(
        """\
        try:
            from math import no_such, sqrt
        except ImportError:
            no_such = None
        """
    )
    assert source.notes == []
    assert not hasattr(source.module, "sqrt")


def test_features_of_the_future_hold_for_what_follows(ran):
    source = ran(
        f"from __future__ import annotations\nx: NoSuch = 1\n{ATTEND}"
        "def f(x: NoSuch): pass\n"
    )
    assert source.notes == []
    assert source.module.f.__annotations__ == {"x": "NoSuch"}


def test_the_house_has_no_features_of_the_future_for_others(ran):
    (note,) = ran("def f(x: NoSuch): pass").notes
    assert "NoSuch" in note


def test_lines_and_sources_are_those_of_the_file(ran):
    text = (
        f'"""Title"""\n\n{ATTEND}\n"""left out"""\n\nclass A:\n    x = 1\n'
    )
    source = ran(f"{text}\ndef fail():\n    raise ValueError\n")
    module = source.module
    assert module.__doc__ == "Title"
    assert inspect.getsource(module.attend) == ATTEND
    assert inspect.getsource(module.A) == "class A:\n    x = 1\n"
    with pytest.raises(ValueError) as error:  # noqa: PT011
        module.fail()
    last = traceback.extract_tb(error.value.__traceback__)[-1]
    assert (last.lineno, last.line) == (12, "raise ValueError")
    assert last.filename == module.__file__


def test_the_main_guard_is_not_run(ran):
    source = ran(
        """\
        heads = 2
        if __name__ == "__main__":
            d_model, heads = 12, 3
            for step in range(3):
                loss = step
        else:
            ready = True
        if "__main__" == __name__ and heads:
            def main(): pass
        if __name__ != "__main__":
            imported = True
        if __name__ != "__main__" and heads == 3:
            unknown = True
        """
    )
    assert source.module.ready
    assert source.module.imported
    assert source.module.heads == 2
    assert source.notes == [
        "set under the main guard, which is not run: d_model, step, loss",
        "set under the main guard, which is not run: main",
    ]


# --- time ----------------------------------------------------------------


def test_a_statement_that_takes_long_is_interrupted(ran):
    handler = signal.getsignal(signal.SIGALRM)
    start = time.monotonic()
    source = ran(
        f"""\
        import time
        while True:
            try: time.sleep(9)
            except Exception: pass
        model = time.sleep(9)
        {ATTEND.replace(chr(10), chr(10) + " " * 8)}
        """,
        seconds=0.4,
    )
    assert time.monotonic() - start < 2
    assert source.notes == [
        "line 2: interrupted after 0.1 s",
        "line 5: interrupted after 0.1 s; `model` is not defined",
    ]
    assert list(own_things(source)) == ["attend"]
    assert signal.getsignal(signal.SIGALRM) is handler
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_all_together_take_no_longer_than_they_may(ran):
    start = time.monotonic()
    slow = "__import__('time').sleep(9)\n" * 20
    source = ran(f"{slow}{ATTEND}", seconds=0.4)
    assert time.monotonic() - start < 2
    assert len(source.notes) == 20
    assert list(own_things(source)) == ["attend"]


def test_an_import_is_given_all_that_is_left(ran):
    source = ran(
        "try: import slow\nfinally: import slow_too\n",
        seconds=0.8,
        slow="import time\ntime.sleep(0.4)",
        slow_too="import time\ntime.sleep(9)",
    )
    (note,) = source.notes
    assert note.startswith("line 1: interrupted after 0.8 s")
    assert source.module.slow  # bound before the second is interrupted


def test_an_import_that_takes_long_is_tried_once(ran, tmp_path):
    source = ran(
        "from slow import a, b",
        seconds=0.2,
        slow="open(__file__ + '.runs', 'a').write('x')\n"
        "import time\ntime.sleep(9)",
    )
    assert len(source.notes) == 1
    assert (tmp_path / "slow.py.runs").read_text() == "x"


def test_a_definition_is_given_all_that_is_left(ran):
    source = ran(
        f"""\
        import time
        def compiled(function):
            time.sleep(0.3)
            return function
        @compiled
        {ATTEND.replace(chr(10), chr(10) + " " * 8)}
        """,
        seconds=0.8,
    )
    assert source.notes == []


def test_in_another_thread_nothing_is_interrupted(ran):
    sources = []

    def in_thread():
        text = "import time\ntime.sleep(0.1)\nx = 1"
        sources.append(ran(text, seconds=0.1))

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    assert sources[0].notes == []
    assert sources[0].module.x == 1


# --- what is no Python ---------------------------------------------------


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "got subject.py, which is empty"),
        (b"\xef\xbb\xbf \n", "got subject.py, which is empty"),
        (b"x = 1\0", "null bytes: it is binary, or saved as UTF-16"),
        ("x = 1".encode("utf-16"), "save it as UTF-8"),
        (b"# coding: no-such\nx = 1", "save it as UTF-8"),
        (b"x = '\xe9'", "save it as UTF-8"),
        (
            b"x = 1\ny = = 2\n",
            f"expected Python 3.{sys.version_info.minor}, got subject.py, "
            "line 2: SyntaxError: invalid syntax; mend that first",
        ),
        (b"print 'x'\n", "Did you mean print"),
        (b"(" * 500, "SyntaxError: too many nested parentheses"),
    ],
)
def test_what_is_no_python_is_unreadable(tmp_path, content, text):
    path = tmp_path / "subject.py"
    path.write_bytes(content)
    with pytest.raises(Unreadable) as error:
        run(path)
    assert text in str(error.value)


def test_what_is_no_file_is_unreadable_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "loop.py").symlink_to("loop.py")
    (tmp_path / "notes.txt").write_text("x")
    for name, text in {
        ".": "name a file in it",
        "pipe.py": "a pipe or a device",
        "missing.py": "No such file",
        "loop.py": "symbolic links",
        "null\0.py": "null",
        "notes.txt": "expected a Python file or a notebook, got notes.txt",
    }.items():
        with pytest.raises(Unreadable) as error:
            run(tmp_path / name)
        assert text in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfword = '\xc3\xa9'\n",
        b"# -*- coding: latin-1 -*-\nword = '\xe9'\n",
        b"word = '\xc3\xa9'\r\nif word:\r\n    pass\r\n",
    ],
)
def test_encodings_and_line_ends_are_those_of_python(tmp_path, content):
    path = tmp_path / "subject.py"
    path.write_bytes(content)
    source = run(path)
    assert source.module.word == "é"
    assert source.notes == []


# --- notebooks -----------------------------------------------------------


def test_cells_run_one_after_another(notebook):
    source = notebook(
        {"cell_type": "markdown", "source": ["# Title"]},
        "size = 3\n",
        {"cell_type": "code", "source": ["import math\n", "x = 1 / 0"]},
        ATTEND + "class A:\n    x = size\n",
    )
    assert source.notes == [
        "cell 2, line 2: ZeroDivisionError: division by zero; `x` is not "
        "defined"
    ]
    assert source.module.A.x == 3
    assert inspect.getsource(source.module.attend) == ATTEND
    assert inspect.getsource(source.module.A).startswith("class A")


def test_a_broken_cell_costs_only_itself(notebook):
    code = {"cell_type": "code"}
    source = notebook(
        *(None, code | {"source": 5}, code | {"source": ["x", 5]}, code),
        *("x = = 1", "y = '\ud800", ATTEND),
    )
    *odd, first, second = source.notes
    assert odd == [
        f"cell {number}: expected lines of text, got none"
        for number in (1, 2, 3, 4)
    ]
    assert first == "cell 5, line 1: SyntaxError: invalid syntax"
    assert second.startswith("cell 6, line 1: ")
    assert list(own_things(source)) == ["attend"]


def test_old_notebooks_keep_their_cells_in_worksheets(tmp_path):
    path = tmp_path / "subject.ipynb"
    sheet = {"cells": [{"cell_type": "code", "input": [ATTEND]}]}
    path.write_text(json.dumps({"nbformat": 3, "worksheets": [sheet, 5]}))
    assert list(own_things(run(path))) == ["attend"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "which is no JSON"),
        ("[" * 100_000, "which is no JSON"),
        ("[]", "a list of cells"),
        ("{}", "a list of cells"),
        ('{"cells": null}', "a list of cells"),
        ('{"cells": {"a": 1}}', "a list of cells"),
        ('{"cells": [{"cell_type": "markdown"}]}', "with cells of code"),
        ('{"cells": [5]}', "with cells of code"),
        ('{"cells": [{"source": "x ="}]}', "cell 1, line 1: SyntaxError"),
        (
            '{"cells": [{"source": "x ="}, {"source": "y = 1"}]}',
            "defines nothing: cell 1, line 1: SyntaxError",
        ),
    ],
)
def test_what_is_no_notebook_is_unreadable(tmp_path, content, text):
    path = tmp_path / "subject.ipynb"
    path.write_text(content)
    with pytest.raises(Unreadable) as error:
        run(path)
    assert text in str(error.value)


# --- magic ---------------------------------------------------------------

MAGIC = """\

%matplotlib inline
files = !ls
timing = %timeit -o -n1 1 + 1
%time size = 3
value = %time 2 + 2
text.split?
?text
if True:
    !touch made
    %pip install no-such-package
line = __import__("inspect").currentframe().f_lineno
"""


def test_magic_is_python_and_runs_no_command(
    notebook, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "Popen", pytest.fail)
    monkeypatch.setattr(os, "system", pytest.fail)
    module = notebook(MAGIC, "!ls\nx = 1 / 0\n%%%\n", ATTEND).module
    assert (module.files, module.timing) == ([], None)
    assert (module.size, module.value) == (3, 4)
    assert module.line == 12
    assert not (tmp_path / "made").exists()


def test_shell_commands_are_noted_once(notebook):
    source = notebook(MAGIC, "!pip install x")
    assert source.notes == ["shell commands are not run"]


@pytest.mark.parametrize("name", ["capture", "time", "timeit -n1", "prun"])
def test_a_cell_that_is_timed_or_captured_runs(notebook, name):
    source = notebook(f"\n%%{name}\n%%time\n!ls\nx = 1 / 0\n{ATTEND}")
    assert list(own_things(source)) == ["attend"]
    assert "cell 1, line 5: ZeroDivisionError" in source.notes[-1]


@pytest.mark.parametrize("name", ["bash", "html", "writefile subject.py"])
def test_a_cell_in_another_language_is_left_out(notebook, name):
    source = notebook(f"%%{name}\nx = 1", ATTEND)
    kind = name.split()[0]
    assert source.notes == [f"%%{kind}: such cells are not run"]
    assert not hasattr(source.module, "x")


def test_the_shell_can_be_called_by_name(notebook):
    source = notebook(
        """\
        shell = get_ipython()
        shell.run_cell_magic("time", "", "x = 1")
        shell.run_cell_magic("bash", "", "touch made")
        shell.run_line_magic("run", "other.py")
        y = shell.getoutput("ls", split=True)
        """
    )
    assert (source.module.x, source.module.y) == (1, [])
    assert source.notes == [
        "%%bash: such cells are not run",
        "%run other.py: such files are not run",
        "shell commands are not run",
    ]


def test_without_ipython_the_plain_lines_run(notebook, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", None)
    monkeypatch.setitem(sys.modules, "IPython.core.inputtransformer2", None)
    source = notebook(
        f"%matplotlib inline\n!ls \\\n  -l\n{ATTEND}x = !ls\n",
        "if True:\n    %pip install x\n    y = '''\n%d''' % 3\nmath?\n",
    )
    assert source.notes == [magics.MISSING]
    assert "attention-twice[notebooks]" in magics.MISSING
    assert list(own_things(source)) == ["attend"]


def test_ipython_is_imported_only_for_its_syntax(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from parity_tests.judge.candidate.source import run\n"
        "run(Path(sys.argv[1]))\n"
        "names = {n.split('.')[0] for n in sys.modules}\n"
        "print(names & {'IPython', 'torch', 'numpy_ref', 'hypothesis'})\n"
    )
    path = tmp_path / "subject.ipynb"
    cell = {"cell_type": "code", "source": "%%time\nx = '''\n!ls'''"}
    path.write_text(json.dumps({"cells": [cell]}))
    result = subprocess.run(
        [sys.executable, "-c", code, path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "set()\n"


def test_magic_in_a_script_is_left_out_too(ran):
    source = ran(f"!pip install x\n%matplotlib inline\n{ATTEND}")
    assert source.notes == ["shell commands are not run"]
    assert list(own_things(source)) == ["attend"]


def test_a_script_has_no_shell(ran):
    source = ran("try: get_ipython()\nexcept NameError: is_script = True")
    assert source.module.is_script


def test_await_at_the_top_of_a_cell(notebook):
    source = notebook(
        "import asyncio\nx = await asyncio.sleep(0, 3)\n",
        "async with asyncio.timeout(5) as y: pass\nawait 5\n",
    )
    assert source.module.x == 3
    assert isinstance(source.module.y, asyncio.Timeout)
    (note,) = source.notes
    assert note.startswith("cell 2, line 2: TypeError")


# --- packages and neighbours ---------------------------------------------

MODULES = f"""\
from house import util
from .util import SIZE
from . import util as too
ran = getattr(too, "ran", 0) + 1
too.ran = ran
{ATTEND}"""


def test_a_file_in_a_package_is_run_once_as_its_module(ran):
    source = ran(
        MODULES,
        "house/modules.py",
        house__slash____init__="from .modules import attend",
        house__slash__util="SIZE = 3",
    )
    module = source.module
    assert (module.__name__, module.__package__) == (
        "house.modules",
        "house",
    )
    assert source.notes == []
    assert module.ran == 1
    assert sys.modules["house"].attend is module.attend
    assert sys.modules["house"].modules is module
    assert sys.modules["house.modules"] is module


def test_the_file_of_a_package_itself(ran):
    source = ran(
        "from .modules import attend\nfrom .modules import no_such\n",
        "house/__init__.py",
        house__slash__modules=ATTEND,
    )
    assert source.module.__name__ == "house"
    assert list(own_things(source)) == ["attend"]
    assert len(source.notes) == 1


def test_a_deeper_package_imports_from_above(ran):
    source = ran(
        "from ..util import SIZE\nfrom house.util import SIZE as again",
        "house/room/modules.py",
        house__slash____init__="",
        house__slash__room__slash____init__="",
        house__slash__util="SIZE = 3",
    )
    assert source.notes == []
    assert source.module.__name__ == "house.room.modules"
    assert sys.modules["house.room"].modules is source.module
    assert source.module.SIZE == source.module.again == 3


@pytest.mark.parametrize("first", ["", "from .modules import attend\n"])
def test_a_package_that_fails_leaves_the_file_its_neighbours(ran, first):
    source = ran(
        MODULES,
        "house/modules.py",
        house__slash____init__=f"{first}import no_such_package",
        house__slash__util="SIZE = 3",
    )
    assert source.module.SIZE == 3
    assert list(own_things(source)) == ["attend"]
    assert source.notes == [
        "house/__init__.py: ModuleNotFoundError: No module named "
        "'no_such_package'"
    ]


def test_a_package_that_takes_long_is_interrupted(ran):
    source = ran(
        ATTEND,
        "house/modules.py",
        seconds=0.2,
        house__slash____init__=(
            "from .modules import attend\nimport time\ntime.sleep(9)"
        ),
    )
    assert source.notes == ["house/__init__.py: interrupted after 0.2 s"]
    assert list(own_things(source)) == ["attend"]


def test_relative_imports_without_a_package(ran):
    source = ran(
        "from .util import SIZE\nfrom ..hall.util import SIZE as other",
        "house/modules.py",
        house__slash__util="SIZE = 3",
        hall__slash__util="SIZE = 4",
    )
    assert source.notes == []
    assert (source.module.SIZE, source.module.other) == (3, 4)


def test_a_package_named_as_a_module_of_python(ran):
    source = ran(
        "from .util import SIZE, helper\nimport json",
        "json/modules.py",
        json__slash____init__="from .modules import SIZE",
        json__slash__util="SIZE = 3\ndef helper(): pass",
    )
    assert source.module.SIZE == 3
    assert source.module.json is json
    assert source.module.__name__ == "json_2.modules"
    assert list(own_things(source)) == ["helper"]


def test_a_neighbour_shadows_nothing(ran):
    source = ran(
        "import random\nfrom wave import Error\nfrom util import SIZE",
        random="",
        wave="",
        util="import random\nSIZE = random.randint(3, 3)",
    )
    assert source.module.SIZE == 3
    assert source.notes == [
        f"{name}.py beside it is not used: the standard library has a "
        "module of that name; give it another"
        for name in ("random", "wave")
    ]


def test_a_neighbour_does_not_shadow_a_package(ran):
    (note,) = ran("def f():\n    import numpy.linalg", numpy="x = 1").notes
    assert note.startswith("numpy.py beside it is not used: a package has")


def test_a_module_that_is_not_loaded_yet_keeps_its_name(ran):
    assert "wave" not in sys.modules
    assert ran(ATTEND, "wave.py").module.__name__ == "wave_2"


def test_a_module_without_a_file_keeps_its_name(ran, monkeypatch):
    loaded = ModuleType("loaded")
    monkeypatch.setitem(sys.modules, "loaded", loaded)
    assert ran(ATTEND, "loaded.py").module.__name__ == "loaded_2"
    assert sys.modules["loaded"] is loaded
    assert ran(ATTEND, "__main__.py").module.__name__ == "__main___2"


def test_new_neighbours_are_seen(ran, tmp_path):
    ran("import no_such")
    known = tmp_path.stat().st_mtime_ns
    (tmp_path / "new.py").write_text("")
    os.utime(tmp_path, ns=(known, known))  # as in a coarse clock
    assert ran("import new").notes == []


@pytest.mark.parametrize("name", ["json.py", "wave.py", "numpy.py"])
def test_a_file_of_a_known_name_is_a_module_of_another(ran, name):
    stem = name.removesuffix(".py")
    before = sys.modules.get(stem)
    source = ran(f"import {stem}\n{ATTEND}", name)
    assert source.notes == []
    assert source.module.__name__ == f"{stem}_2"
    assert sys.modules[stem] is getattr(source.module, stem)
    assert before is None or sys.modules[stem] is before
    assert list(own_things(source)) == ["attend"]


def test_a_file_is_registered_under_its_name(ran):
    source = ran(
        "from dataclasses import dataclass\n"
        "@dataclass\nclass Config:\n    size: 'int' = 3\n"
        "import sys\nown = sys.modules[__name__]",
        "my-file.1.py",
    )
    assert source.module.__name__ == "my_file_1"
    assert source.module.own is source.module
    assert source.notes == []


def test_a_file_that_takes_itself_away_is_still_there(ran):
    source = ran(f"import sys\ndel sys.modules[__name__]\n{ATTEND}")
    assert list(own_things(source)) == ["attend"]
    source = ran(f"import sys\nsys.meta_path.clear()\n{ATTEND}", "b.py")
    assert list(own_things(source)) == ["attend"]


def test_folders_come_last_on_the_path(ran, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "from_here.py").write_text("x = 1")
    monkeypatch.chdir(elsewhere)
    before = [*sys.path]
    source = ran(
        "import from_here, util",
        "house/modules.py",
        house__slash____init__="",
        house__slash__util="",
    )
    assert source.notes == []
    own = [tmp_path, tmp_path / "house", elsewhere]
    assert sys.path == [*before, *map(str, own)]


def test_nothing_stays_behind_in_the_import_system(ran):
    before = [*sys.meta_path]
    ran(ATTEND)
    assert sys.meta_path == before


def test_a_package_that_is_none_does_not_stop_the_file(ran):
    source = ran(
        ATTEND,
        "house/modules.py",
        house__slash____init__=(
            "import sys\nsys.modules[__name__] = sys.modules['math']"
        ),
    )
    assert list(own_things(source)) == ["attend"]


# --- what it defines -----------------------------------------------------


def test_own_things_are_functions_and_classes_in_order(ran):
    source = ran(
        f"""\
        from math import sqrt
        from json import JSONDecoder, dumps
        from util import helper, Layer, sqrt as root
        import util
        SIZE = 3
        class Zeroth: pass
        {ATTEND.replace(chr(10), chr(10) + " " * 8)}
        def _hidden(): pass
        first = lambda query: query
        layer = Zeroth()
        globals()[5] = attend
        """,
        util="from math import sqrt\ndef helper(): pass\nclass Layer: pass",
    )
    assert list(own_things(source)) == [
        *("helper", "Layer", "Zeroth", "attend", "first"),
    ]


def test_what_is_imported_from_a_folder_beside_it(ran):
    source = ran(
        "from room.util import helper\nfrom deep.site import site_thing",
        room__slash__util="def helper(): pass",
        deep__slash__site="from json import dumps as site_thing",
    )
    assert list(own_things(source)) == ["helper"]


def test_installed_packages_are_no_neighbours(tmp_path):
    room = tmp_path / "site-packages"
    room.mkdir()
    (room / "subject.py").write_text("from other_package import helper\n")
    (room / "other_package.py").write_text("def helper(): pass\n")
    assert own_things(run(room / "subject.py")) == {}


def test_callables_that_wrap_own_functions(ran):
    source = ran(
        f"""\
        import functools, numpy, math
        class Compiled:
            def __init__(self, function): self.__wrapped__ = function
            def __call__(self, *values): return self.__wrapped__(*values)
        Compiled.__module__ = "elsewhere"
        {ATTEND.replace(chr(10), chr(10) + " " * 8)}
        partial = functools.partial(attend, 1)
        twice = functools.partial(functools.partial(attend, 1))
        cached = functools.lru_cache(attend)
        compiled = Compiled(attend)
        vectorized = numpy.vectorize(attend)
        @functools.wraps(attend)
        def wrapped(query): return attend(query)
        foreign = functools.partial(math.sqrt, 2)
        compiled_foreign = Compiled(math.sqrt)
        circle = Compiled(0)
        circle.__wrapped__ = circle
        """
    )
    assert list(own_things(source)) == [
        *("attend", "partial", "twice", "cached", "compiled"),
        *("vectorized", "wrapped"),
    ]


@pytest.mark.parametrize(
    "error", ["ValueError", "KeyboardInterrupt", "SystemExit"]
)
def test_hostile_globals_cost_only_themselves(ran, error):
    source = ran(
        f"""\
        class Meta(type):
            def __getattribute__(self, name): raise {error}
        class Hostile(metaclass=Meta):
            __slots__ = ()
            def __getattribute__(self, name): raise {error}
            def __call__(self): raise {error}
        class Owned(type):
            @property
            def __module__(self): raise {error}
        class Lost(metaclass=Owned): pass
        hostile = Hostile()
        class Wrapper:
            def __getattr__(self, name): return self
            def __call__(self): raise {error}
        wrapper = Wrapper()
        def attend(query): return query
        """
    )
    assert source.notes == []
    names = list(own_things(source))
    assert names == ["Meta", "Wrapper", "attend"]


def test_a_module_that_is_no_file_is_no_neighbour(ran):
    place = ran("import util", util="").place
    assert place.is_neighbour("util")
    assert not place.is_neighbour("sys")
    assert not place.is_neighbour("no_such_module")
