"""Recording: the named locals of every step of a call, by their path."""

import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import Any

RECORDED = ("numpy_ref", "torch_impl")
HOLDERS = ("self", "params")
# A tool, a function that PyTorch brings, a choice that modules make, and
# what goes from process to process.
NO_STEPS = (
    *("checked", "normal_distribution", "variants.qwen2"),
    *("fast.ring_of_ranks", "fast.heads_of_ranks"),
)


@dataclass
class Call:
    """One call of a twin: `multi_head_attention[0]/linear[1]`, say.

    `name` is the function's, the same on both sides; `holder` is the
    module or the dataclass with its parameters, None without; `arguments`
    and `steps` are the other locals, in the order of the source.
    """

    path: str
    name: str
    holder: Any = None
    arguments: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, Any] = field(default_factory=dict)


def record(function, *args, **kwargs) -> tuple[Any, list[Call]]:
    """Record a call: its result, and every call that it was made of.

    Calls stand in the order in which they began. This thread only. Raises
    RuntimeError when another profiler is at work (a debugger's or a
    coverage tool's), and when nothing of RECORDED was called.
    """
    if sys.getprofile() is not None:
        raise RuntimeError("expected no other profiler, got one at work")
    recorder = _Recorder()
    sys.setprofile(recorder.watch)
    try:
        result = function(*args, **kwargs)
    finally:
        sys.setprofile(None)
    if not recorder.calls:
        raise RuntimeError(
            f"expected a call into {' or '.join(RECORDED)}, got none"
        )
    return result, recorder.calls


def snake_case(class_name: str) -> str:
    """Snake case: a class's name as that of its twin, the function.

    >>> snake_case("RMSNorm"), snake_case("SwiGLU")
    ('rms_norm', 'swiglu')
    """
    return re.sub(r"(?<=\w)(?=[A-Z][a-z])", "_", class_name).lower()


class _Recorder:
    def __init__(self):
        self.calls: list[Call] = []
        self.open: list[Call] = []
        self.count = Counter()

    def watch(self, frame, event, _):
        if event not in ("call", "return"):
            return  # of a function in C
        module = frame.f_globals.get("__name__", "")
        if not _is_step(module, frame.f_code.co_name):
            return
        if event == "call":
            self._begin(frame)
        else:
            _keep_locals(self.open.pop(), frame)

    def _begin(self, frame):
        name = _name(frame)
        within = f"{self.open[-1].path}/" if self.open else ""
        index = self.count[within + name]
        self.count[within + name] += 1
        call = Call(f"{within}{name}[{index}]", name)
        _keep_arguments(call, frame)
        self.calls.append(call)
        self.open.append(call)


@cache  # asked at every call while recording
def _is_step(module: str, function: str) -> bool:
    package, _, name = module.partition(".")
    if package not in RECORDED or name in NO_STEPS:
        return False
    # Comprehensions and helpers are part of the step they stand in.
    return not function.startswith(("<", "_"))


def _name(frame) -> str:
    name = frame.f_code.co_name
    if name != "forward":
        return name
    return snake_case(type(frame.f_locals["self"]).__name__)


def _keep_arguments(call: Call, frame):
    """What came in, before a loop carries a name on."""
    call.arguments = dict(frame.f_locals)
    for name in HOLDERS:
        call.holder = call.arguments.pop(name, call.holder)


def _keep_locals(call: Call, frame):
    code = frame.f_code
    inputs = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    call.steps = {
        name: value
        for name, value in frame.f_locals.items()
        if name not in inputs
    }
