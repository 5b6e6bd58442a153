"""Statements: a file is run one top-level statement at a time.

An error in one is kept as a note, and the next one runs: a script that
does not find its data still defines its classes.
"""

import __future__

import ast
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from inspect import CO_COROUTINE

FUTURE = sum(  # each feature has a bit of its own
    getattr(__future__, name).compiler_flag
    for name in __future__.all_feature_names
)
IMPORTS = ast.Import, ast.ImportFrom
DEFINITIONS = ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef
SCOPES = (
    *(*DEFINITIONS, ast.Lambda, ast.ListComp, ast.SetComp),
    *(ast.DictComp, ast.GeneratorExp),
)
UNDER_THE_GUARD = "set under the main guard, which is not run"
LONGEST = 300  # characters of an error's text
AGAIN = 1.0  # seconds until a statement that went on is interrupted again


class TooLong(BaseException):
    """A statement takes too long; no `except Exception` stops this."""


class StatementRunner:
    """Runs the statements of one file, and notes what fails.

    `flags` are the compiler's: those of `from __future__` add to them. A
    statement is given a quarter of `seconds`, and all together so many;
    an import or a definition is given what is left: half a library is
    worse than none, and a decorator may import one. When all is spent,
    each still has a moment; most definitions take no more.
    """

    def __init__(
        self,
        path: str,
        seconds: float,
        note: Callable[[str], None],
        flags: int = 0,
    ):
        self.path = path
        self.note = note
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds
        self.flags = flags

    def run(self, statement: ast.stmt, namespace: dict, where: str) -> None:
        """Run a statement; of an import that fails, each part by itself."""
        for part, error in self.failures(statement, namespace):
            missing = missing_names([part], namespace)
            are = "is" if len(missing) == 1 else "are"
            names = ", ".join(f"`{name}`" for name in missing)
            end = f"; {names} {are} not defined" if missing else ""
            self.note(f"{where}: {spelled(error)}{end}")
        if is_main_guard(statement):
            missing = missing_names(statement.body, namespace)
            if missing:
                self.note(f"{UNDER_THE_GUARD}: {', '.join(missing)}")

    def failures(
        self, statement: ast.stmt, namespace: dict
    ) -> list[tuple[ast.stmt, BaseException]]:
        """What failed: the statement, or some parts of an import."""
        error = self.error_of(statement, namespace)
        if error is None:
            return []
        parts = parts_of(statement)
        if len(parts) == 1 or isinstance(error, TooLong):
            return [(statement, error)]
        errors = [(p, self.error_of(p, namespace)) for p in parts]
        failed = [(p, e) for p, e in errors if e is not None]
        return [(statement, error)] if len(failed) == len(parts) else failed

    def error_of(
        self, statement: ast.stmt, namespace: dict
    ) -> BaseException | None:
        """Run a statement; return what it raised, whatever that is."""
        tree = ast.Module([statement], type_ignores=[])
        limit = self.limit_of(statement)
        try:
            code = compile(
                tree, self.path, "exec", self.flags, dont_inherit=True
            )
            self.flags |= code.co_flags & FUTURE
            with time_limit(limit):
                result = eval(code, namespace)
                if code.co_flags & CO_COROUTINE:
                    import asyncio

                    asyncio.run(result)
        except BaseException as error:
            return error
        return None

    def limit_of(self, statement: ast.stmt) -> float:
        left = max(self.deadline - time.monotonic(), self.seconds / 100)
        nodes = nodes_of_scope(statement)
        defining = *IMPORTS, *DEFINITIONS
        if any(isinstance(node, defining) for node in nodes):
            return max(left, self.seconds / 4)
        return min(left, self.seconds / 4)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TooLong when the time is over, where there are such signals.

    Only a main thread has them. A limit around this one goes on after it.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not hasattr(signal, "setitimer"):
        yield
        return

    def interrupt(*_):
        raise TooLong(f"interrupted after {round(seconds, 1):g} s")

    handler = signal.signal(signal.SIGALRM, interrupt)
    outer = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler or signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, *outer)


def parts_of(statement: ast.stmt) -> list[ast.stmt]:
    """An import of several names as several imports of one name each."""
    if not isinstance(statement, IMPORTS):
        return [statement]
    parts = []
    for alias in statement.names:
        part = copy(statement)
        part.names = [alias]
        parts.append(part)
    return parts


def missing_names(statements: list[ast.stmt], namespace: dict) -> list[str]:
    """The names that statements bind, and that are not defined."""
    names = [name for each in statements for name in bound_names(each)]
    return [name for name in dict.fromkeys(names) if name not in namespace]


def bound_names(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement binds."""
    for node in nodes_of_scope(statement):
        if isinstance(node, SCOPES) and hasattr(node, "name"):
            yield node.name
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        if isinstance(node, ast.alias) and node.name != "*":
            yield node.asname or node.name.split(".")[0]


def nodes_of_scope(statement: ast.stmt) -> Iterator[ast.AST]:
    """The nodes of a statement, without what is in an inner scope."""
    nodes = [statement]
    while nodes:  # no recursion, which a long sum would exhaust
        node = nodes.pop(0)
        yield node
        if not isinstance(node, SCOPES):
            nodes += ast.iter_child_nodes(node)


def is_main_guard(statement: ast.stmt) -> bool:
    """`if __name__ == "__main__":`, and more conditions with it."""
    return isinstance(statement, ast.If) and any(
        isinstance(node, ast.Compare)
        and isinstance(node.ops[0], ast.Eq)
        and {"__name__", "__main__"}
        == {
            getattr(side, "id", getattr(side, "value", None))
            for side in (node.left, node.comparators[0])
        }
        for node in ast.walk(statement.test)
    )


def spelled(error: BaseException) -> str:
    """The type and the text of an error, which may itself raise."""
    kind = safely(getattr, type(error), "__name__", default="an error")
    if isinstance(error, TooLong):
        return str(error)
    text = safely(str, error, default="")
    text = " ".join(str.split(text))[:LONGEST]
    return f"{kind}: {text}" if text else f"{kind}"


def safely(function: Callable, *values, default=None):
    """A call that raises nothing: what is raised is the file's doing."""
    try:
        return function(*values)
    except BaseException:
        return default
