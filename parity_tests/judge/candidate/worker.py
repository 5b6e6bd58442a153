"""The worker: a process that runs a judged file, and its supervisor.

    python -P -m parity_tests.judge.candidate.worker '{"in": …, "out": …}'

The first process stays as the supervisor. It becomes a subreaper, so that
whatever the file starts remains below it, and ends all of that when the
worker ends or when its standard input is closed, which is when the judge
is gone. What the file prints goes to the supervisor, which only counts it.
This contains accidents; it is no sandbox.
"""

import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

IS_LINUX = sys.platform.startswith("linux")
GIGABYTE = 2**30
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
REFERENCE = ("numpy_ref", "torch_impl", "parity_tests", "study")
NOT_FOR_SUPERVISORS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
MOST_REMARKS = 6  # as on files that were written
FAILED = 70  # the exit code where the worker itself fails
ENDING = 2  # seconds in which what was left running is ended


def main() -> None:
    request = json.loads(sys.argv[1])
    on_linux(PR_SET_CHILD_SUBREAPER, 1)
    for number in NOT_FOR_SUPERVISORS:
        signal.signal(number, signal.SIG_IGN)
    printed, output = os.pipe()
    worker = os.fork()
    if worker == 0:
        os.close(printed)
        os.setsid()
        on_linux(PR_SET_PDEATHSIG, signal.SIGKILL)
        for number in NOT_FOR_SUPERVISORS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = [request["path"]]  # as `python path` would give it
        sys.orig_argv = [sys.executable, *sys.argv]
        try:
            work(request, output)
        finally:  # nothing that the file has left for its end is run
            os._exit(0 if sys.exc_info()[0] is None else FAILED)
    for descriptor in (request["in"], request["out"], output):
        os.close(descriptor)
    code, size = watch(worker, printed)
    left = end_children()
    print(code, left, size)


def on_linux(option: int, value: int) -> None:
    """prctl, where there is one."""
    if IS_LINUX:
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def watch(worker: int, printed: int) -> tuple[int, int]:
    """Wait for the end of the worker, or of the judge.

    Returns the exit code, and how many bytes were printed.
    """
    size, sources = 0, [0, printed]
    while True:
        ready = select.select(sources, [], [], 0.02)[0]
        if printed in ready:
            data = os.read(printed, 2**16)
            size += len(data)
            if not data:
                sources.remove(printed)
        ended, status = os.waitpid(worker, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), size
        if 0 in ready:  # it is only ever closed
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
                if not IS_LINUX:  # where they do not come to this process
                    os.killpg(worker, signal.SIGKILL)
            sources = [each for each in sources if each != 0]


def end_children() -> int:
    """End all that is left below this process; return how many it was."""
    ended, deadline = set(), time.monotonic() + ENDING
    while time.monotonic() < deadline:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        children = below(os.getpid())
        if not children:
            break
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        ended |= set(children)
        time.sleep(0.002)
    return len(ended)


def below(parent: int) -> list[int]:
    """The processes whose parent this is, where /proc says so."""
    children = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            state = path.read_text(errors="replace").rpartition(")")[2]
            if int(state.split()[1]) == parent:
                children.append(int(path.parent.name))
    return children


# --- the process of the judged file --------------------------------------


def work(request: dict, output: int) -> None:
    """Serve one file: requests come in, answers go out.

    Each answer bears the number of its request, so that nothing written
    into the pipe before it can pass for one.
    """
    silence(output)
    from .host import Host, error_of
    from .wire import Broken, Closed, framed, receive, write_all

    def send(value) -> None:
        write_all(request["out"], framed(value))

    for name in request["imports"]:
        with suppress(Exception):  # the file will see it again
            __import__(name)
    host, own_id = Host(), os.getpid()
    if not request[
        "device"
    ]:  # whose driver takes addresses by the tebibyte
        limit_memory(request["memory"])
    watch_actions(send)
    methods = {
        name: getattr(host, name)
        for name in (
            "load",
            "call",
            "build",
            "assign",
            "forget",
            "parameters",
            "put_on",
        )
    }
    while True:
        try:
            number, method, arguments = receive(request["in"])
        except Closed:
            return
        try:
            answer = framed([number, methods[method](*arguments)])
        except Broken as error:
            answer = framed([number, {"error": too_large(error)}])
        except BaseException as error:  # objects that only look like data
            answer = framed([number, {"error": error_of(error, None)}])
        if os.getpid() != own_id:  # a fork that came back from the file
            os._exit(0)
        write_all(request["out"], [b"".join(answer)])


def too_large(error: Exception) -> dict:
    return {"type": "ValueError", "text": str(error), "line": 0}


def silence(output: int) -> None:
    """What the file prints is only counted, and it reads nothing."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.close(nothing)
    os.close(output)


def limit_memory(gigabytes: float) -> None:
    """Allow so much beyond what is in use, where a limit can be set."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        return
    used = pages * resource.getpagesize()
    most = int(used + gigabytes * GIGABYTE)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def watch_actions(send) -> None:
    """Tell the judge when the file opens the reference, or writes files.

    An audit hook cannot be taken away again, and what it has sent cannot
    be taken back.
    """
    sys.pycache_prefix = None  # compiled code lies beside its source
    own_id, sent = os.getpid(), set()

    def note(event: str, arguments: tuple) -> None:
        if event != "open" or os.getpid() != own_id:
            return
        remark = remark_on(*arguments)
        if remark and remark not in sent and len(sent) < MOST_REMARKS:
            sent.add(remark)
            send(list(remark))

    sys.addaudithook(note)


ROOT = str(Path(__file__).resolve().parents[3])
OWN = os.path.join(ROOT, "parity_tests", "judge", "candidate", "")
ROOMS = tuple(os.path.join(ROOT, name, "") for name in REFERENCE)


def remark_on(path, mode, flags: int) -> tuple[str, str] | None:
    """What opening a file tells: a kind and a text, None if nothing."""
    path = os.fsdecode(path) if isinstance(path, bytes) else path
    if not isinstance(path, str):
        return None
    writes = bool(flags & (os.O_WRONLY | os.O_RDWR))
    if path.endswith((".py", ".pyc")) and not writes:
        path = os.path.realpath(path)
        is_reference = path.startswith(ROOMS) and not path.startswith(OWN)
        return ("reference", "") if is_reference else None
    is_ordinary = not path.startswith("/dev/") and "__pycache__" not in path
    if not writes or not is_ordinary:
        return None
    return "wrote", os.path.abspath(path)


if __name__ == "__main__":
    main()
