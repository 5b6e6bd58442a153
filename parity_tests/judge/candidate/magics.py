"""Magics: IPython's own syntax in a cell, as plain Python.

IPython itself turns it into Python that calls `get_ipython()`; `Shell`
answers there, and never runs a command.
"""

import ast
import re
from collections.abc import Callable

RUN_THEIR_CELL = ("capture", "time", "timeit", "prun", "memit")
COMMANDS = ("sx", "system", "pip", "conda", "mamba", "uv")
MISSING = (
    "IPython is missing, so lines of magic are left out: "
    'pip install "attention-twice[notebooks]"'
)
NOT_RUN = "shell commands are not run"

CELL_MAGIC = re.compile(r"\s*%%(\w+)[^\n]*")
LINE_MAGIC = re.compile(
    r"""(?x) (?P<indent>\s*)
    (?: %\w | [!?] | \w[\w.,\s]* = \s* [%!] \s* \w  # %magic, !command
    | [\w.\[\]]+ \?{1,2} \s* $ )  # help?
    """
)


def python_of(text: str, note: Callable[[str], None]) -> str:
    """A cell as plain Python, line for line; what is left out is noted."""
    text = body_of(text, note)
    if is_python(text):
        return text
    try:
        from IPython.core.inputtransformer2 import TransformerManager

        first = len(text) - len(text.lstrip())
        blank_lines = "\n" * text[:first].count("\n")
        return blank_lines + TransformerManager().transform_cell(text)
    except ImportError:
        plain = without_magic(text)
        if plain != text:
            note(MISSING)
        return plain
    except Exception:  # what is no syntax of IPython's, either
        return text


def is_python(text: str) -> bool:
    return error_line(text) is None


def error_line(text: str) -> int | None:
    """The line that is no Python, 0 where that is unknown; else None."""
    try:
        ast.parse(text)
    except SyntaxError as error:
        return error.lineno or 0
    except (ValueError, RecursionError, MemoryError):
        return 0
    return None


def body_of(text: str, note: Callable[[str], None]) -> str:
    """A cell without its cell magic; empty where that is another language.

    `%%capture` may stand above `%%time`.
    """
    while magic := CELL_MAGIC.match(text):
        if magic[1] not in RUN_THEIR_CELL:
            note(f"%%{magic[1]}: such cells are not run")
            return ""
        blank_lines = "\n" * magic[0].count("\n")
        text = blank_lines + text[magic.end() :]
    return text


def without_magic(text: str) -> str:
    """A cell whose lines of magic are replaced by `pass`.

    Only where Python stumbles: within a string such lines are text.
    """
    lines = text.split("\n")
    while number := error_line("\n".join(lines)):
        magic = LINE_MAGIC.match(lines[number - 1])
        if not magic:
            break
        last = number - 1
        while lines[last].endswith("\\") and last + 1 < len(lines):
            last += 1
        rest = [""] * (last - number + 1)
        lines[number - 1 : last + 1] = [f"{magic['indent']}pass", *rest]
    return "\n".join(lines)


class Shell:
    """Stands in for IPython's shell, for the calls that it makes of magic.

    What times or captures code runs that code; all else does nothing.
    """

    def __init__(self, namespace: dict, note: Callable[[str], None]):
        self.namespace = namespace
        self.note = note

    def run_line_magic(self, name: str, line: str, *_, **__):
        if name == "time":
            return self.run_code(line)
        if name in COMMANDS:
            return self.system(line)
        if name == "run":
            self.note(f"%run {line}: such files are not run")
        return None

    def run_cell_magic(self, name: str, line: str, cell: str) -> None:
        self.run_code(python_of(f"%%{name} {line}\n{cell}", self.note))

    def run_code(self, code: str):
        """The value of an expression; None for statements."""
        try:
            compiled = compile(code.strip(), "<magic>", "eval")
        except SyntaxError:
            compiled = compile(code, "<magic>", "exec")
        return eval(compiled, self.namespace)

    def system(self, command: str) -> None:
        self.note(NOT_RUN)

    def getoutput(self, command: str, *_, **__) -> list[str]:
        self.note(NOT_RUN)
        return []

    def show_usage(self) -> None:
        """Help, which nobody would read here."""
