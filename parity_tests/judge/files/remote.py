"""Remote: a host in a process of its own, spoken to over two pipes.

It has the methods of `candidate/host.py`'s `Host`, and what comes back is
only data. The judge's side trusts nothing of it: each answer is limited in
time and in size, and once the process is lost, it stays lost.
"""

import json
import os
import signal
import site
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from secrets import randbits, token_hex

from parity_tests.judge.candidate.things import Thing, thing_from
from parity_tests.judge.candidate.wire import (
    Broken,
    Closed,
    Silent,
    receive,
    send,
)
from parity_tests.judge.verdict.protocol import Lost, TimedOut

from .script import Call

WORKER = "parity_tests.judge.candidate.worker"
MARKER = "ATTENTION_TWICE_JUDGES"  # in the environment of the worker
PER_CALL = 20.0  # seconds for one answer
ENDING = 4.0  # seconds in which the supervisor tidies up
MOMENT = 0.5  # seconds in which what it left running is looked for
MOST_REMARKS, LONGEST = 20, 300
COMPILED_FAST = "--xla_backend_optimization_level=0"
ROOT = Path(__file__).resolve().parents[3]
OWN_ROOMS = ("numpy_ref", "torch_impl", "parity_tests", "study")


@dataclass(frozen=True)
class Limits:
    """What a file may use: seconds in all, and gigabytes of memory."""

    seconds: float = inf
    gigabytes: float = 4.0
    device: str = ""  # such as "cuda", where memory is not limited


@dataclass(frozen=True)
class Interpreter:
    """Which Python runs a file, and the environment variables it sees."""

    python: str = sys.executable
    variables: dict[str, str] = field(default_factory=dict)


class Remote:
    """A worker that runs one file, and what it said beside its answers.

    `remarks` are facts for the reader of a verdict; `target` is what was
    last asked, "" while the file is being loaded.
    """

    def __init__(
        self,
        path: Path,
        limits: Limits = Limits(),
        interpreter: Interpreter = Interpreter(),
    ):
        """Start the process. Raises Lost where that is impossible."""
        self.path, self.limits = Path(path), limits
        self.interpreter = interpreter
        self.deadline = time.monotonic() + limits.seconds
        self.lost: Lost | None = None
        self.target = ""
        self.things: dict[str, Thing] = {}
        self.built: dict[str, tuple] = {}  # how each instance was built
        self.weights: dict[str, dict] = {}  # and what it was assigned
        self.owners: dict[str, str] = {}  # the types that hold weights
        self.calls_reference = False
        self.written: list[str] = []
        self.status: tuple | None = None  # once it is closed
        self.token = token_hex(8)
        self.log: list[Call] | None = None  # calls, while it is a list
        self.waiting: int | None = None  # the number of a request,
        self.began = 0.0  # and when it was made
        self.start()

    def start(self) -> None:
        if not hasattr(os, "fork"):
            raise Lost("expected a system with fork, as Linux or macOS")
        their_in, self.requests = os.pipe()
        self.answers, their_out = os.pipe()
        for descriptor in (self.requests, self.answers):
            os.set_blocking(descriptor, False)  # who else may use them?
        request = {
            "path": str(self.path),
            "in": their_in,
            "out": their_out,
            "memory": self.limits.gigabytes,
            "device": self.limits.device not in ("", "cpu", "meta"),
            "imports": ["torch"] if mentions_torch(self.path) else [],
        }
        options = ["-O"] * sys.flags.optimize
        try:
            self.process = subprocess.Popen(
                [
                    *(self.interpreter.python, *options),
                    *("-P", "-m", WORKER),
                    json.dumps(request),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(their_in, their_out),
                env=environment(self.token) | self.interpreter.variables,
                start_new_session=True,
            )
        finally:
            os.close(their_in)
            os.close(their_out)

    # --- as a host -------------------------------------------------------

    def load(self, path: str, seconds: float) -> dict:
        """Run the file; its things are descriptions (`Thing`)."""
        self.begin_loading(path, seconds)
        return self.loaded()

    def begin_loading(self, path: str, seconds: float) -> None:
        """Let the file be run, while something else is done here."""
        self.target = ""
        self.ask("load", [path, seconds], self.deadline)

    def loaded(self) -> dict:
        doing = "running the file"
        answer = self.answer(self.deadline, doing)
        try:
            things = [thing_from(vars(t)) for t in answer.get("things", [])]
            notes = [str(note) for note in answer.get("notes", [])]
        except (AttributeError, KeyError, TypeError) as error:
            lost = Lost(f"its things have no form: {error}, while {doing}")
            raise self.lose(lost) from None
        self.things = {thing.name: thing for thing in things}
        return answer | {"things": things, "notes": notes}

    def call(self, target: str, arguments: dict, how: dict) -> dict:
        answer = self.asked(target, "call", [target, arguments, how])
        if self.log is not None and "value" in answer:
            built = self.built.get(target)
            weights = self.weights.get(target, {})
            call = Call(
                self, target, arguments, how, answer, built, weights
            )
            if "follows" in how and self.log:
                call = replace(call, before=self.log[-1])
            self.log.append(call)
        return answer

    def build(self, name: str, arguments: dict, how: dict) -> dict:
        self.built[how["instance"]] = name, arguments, how
        answer = self.asked(name, "build", [name, arguments, how])
        for label, _, owner in answer.get("parameters", ()):
            self.owners[label] = owner
        return answer

    def assign(self, instance: str, arrays: dict) -> dict:
        self.weights[instance] = arrays
        return self.asked(instance, "assign", [instance, arrays])

    def parameters(self, instance: str) -> dict:
        return self.asked(instance, "parameters", [instance])

    def put_on(self, device: str, library: str) -> dict:
        return self.asked(self.target, "put_on", [device, library])

    def forget(self, instance: str) -> dict:
        self.built.pop(instance, None)
        self.weights.pop(instance, None)
        return self.asked(self.target, "forget", [instance])

    def kind_of(self, target: str) -> str:
        """The class of an instance, the name itself of a function."""
        return self.built[target][0] if target in self.built else target

    # --- requests and answers --------------------------------------------

    def asked(self, target: str, method: str, arguments: list) -> dict:
        """One request and its answer. Raises Lost or TimedOut."""
        self.target = self.kind_of(target)
        deadline = min(self.deadline, time.monotonic() + PER_CALL)
        self.ask(method, arguments, deadline)
        return self.answer(deadline, f"judging {self.target}")

    def ask(self, method: str, arguments: list, deadline: float) -> None:
        if self.lost:
            raise self.lost
        if self.status:
            raise Lost("its process has been ended")
        self.waiting, self.began = randbits(50), time.monotonic()
        # What is not read in time, or not at all, shows in the answer.
        with suppress(Closed, Silent):
            request = [self.waiting, method, arguments]
            send(self.requests, request, deadline)

    def answer(self, deadline: float, doing: str) -> dict:
        """The answer to the last request. Raises Lost or TimedOut."""
        try:
            return self.awaited(deadline)
        except Silent:
            lost = TimedOut(
                f"there was no answer within {self.limit_of(deadline)}, "
                f"while {doing}"
            )
        except Closed:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(1)  # it ends by itself, with its code
            self.close()
            lost = Lost(f"{self.ending()}, while {doing}")
        except (Broken, TypeError, ValueError) as error:
            lost = Lost(
                "what came over the judge's pipe is no answer "
                f"({error}), while {doing}"
            )
        raise self.lose(lost)

    def limit_of(self, deadline: float) -> str:
        """The time that was over, in words: that of one answer, or all
        that the file has; of which the last answer may have had none."""
        if deadline == self.deadline:
            return f"{self.limits.seconds:.0f} seconds in all"
        return f"{deadline - self.began:.0f} seconds"

    def awaited(self, deadline: float) -> dict:
        """The next frame that bears the number of the request."""
        while True:
            number, content = receive(self.answers, deadline)
            if number != self.waiting:
                self.note(number, content)
            elif isinstance(content, dict):
                return content
            else:
                raise Broken("it has no form")

    def note(self, kind, text) -> None:
        """What the worker says beside its answers."""
        if kind == "reference":
            self.calls_reference = True
        elif kind == "wrote" and len(self.written) < MOST_REMARKS:
            self.written.append(str(text)[:LONGEST])
        else:
            raise Broken("a frame that nothing asked for")

    def lose(self, error: Lost) -> Lost:
        self.lost = error
        return error

    # --- the end ---------------------------------------------------------

    def close(self) -> None:
        """End the process and all that it has started."""
        if self.status:
            return
        os.close(self.requests)
        os.close(self.answers)
        self.process.stdin.close()
        try:
            self.process.wait(ENDING)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.status = self.reported() or (None, end_marked(self.token), 0)
        self.process.stdout.close()

    def reported(self) -> tuple[int, int, int] | None:
        """Exit code, processes left and bytes printed, from a supervisor
        that ended by itself; whose output others can write to."""
        if self.process.returncode:
            return None
        try:
            text = self.process.stdout.read1(2**20)
            code, left, printed = map(int, text.split())
        except ValueError:
            return None
        return code, left, printed

    def ending(self) -> str:
        """How the process ended, in words."""
        code, *_ = self.status
        if code is None:
            return "the process and its supervisor were ended"
        if code < 0:
            return f"the process was ended by {signal_name(-code)}"
        return f"the process ended with code {code}"

    @property
    def remarks(self) -> list[str]:
        """Facts beside the verdict; complete once it is closed."""
        texts = []
        _, left, size = self.status or (None, 0, 0)
        if left:
            what = "process" if left == 1 else "processes"
            texts.append(f"{left} {what} left running, now ended")
        if size:
            texts.append(f"its output ({size:,} bytes) is not shown")
        files = [path for path in self.written if os.path.lexists(path)]
        if files:
            texts.append(f"it wrote files: {', '.join(files)}")
        return texts

    @property
    def copies_the_reference(self) -> bool:
        """Whether it calls what it is to be compared with."""
        return self.calls_reference and not is_own(self.path)

    def __enter__(self) -> "Remote":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def is_own(path: Path) -> bool:
    """Whether a file is one of this project."""
    resolved = path.resolve()
    return any(resolved.is_relative_to(ROOT / room) for room in OWN_ROOMS)


def mentions_torch(path: Path) -> bool:
    """Whether PyTorch is to be imported before the file is run."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return b"torch" in file.read(2**20)
    except OSError:
        return False


def environment(token: str) -> dict[str, str]:
    """Ours, with what lets the worker be imported, and a mark of it.

    JAX compiles each operation for each size: here fast, not to be fast.
    """
    variables = {"XLA_FLAGS": COMPILED_FAST} | os.environ | {MARKER: token}
    folders = [*site.getsitepackages(), site.getusersitepackages()]
    if ROOT not in [Path(folder).resolve() for folder in folders]:
        paths = [str(ROOT), *filter(None, [variables.get("PYTHONPATH")])]
        variables["PYTHONPATH"] = os.pathsep.join(paths)
    return variables


def end_marked(token: str) -> int:
    """End the processes that bear the mark, where /proc shows it.

    One that is just being started shows it a moment later.
    """
    mark, ended = f"{MARKER}={token}".encode(), set()
    deadline = time.monotonic() + MOMENT
    while time.monotonic() < deadline:
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError, ValueError):
                if mark in path.read_bytes().split(b"\0"):
                    os.kill(int(path.parent.name), signal.SIGKILL)
                    ended.add(path)
        time.sleep(0.02)
    return len(ended)


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
