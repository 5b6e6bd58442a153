"""The sandbox of chat templates: what a template may use, and how much.

A chat template comes with the weights, from whoever made them: a program
in Jinja's language. It gets no more than transformers gives it: blocks
without the white space around them, `break` and `continue`, `tojson` that
spares HTML, `raise_exception`, `strftime_now`, and `generation` blocks.
Jinja's sandbox keeps it from Python's insides and from changing what it
is given.

Its time is bounded: `MOST_STEPS` rounds of loops and calls, seconds at
most. Its memory is not: texts can be joined to longer ones at every step.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import cache

MOST_STEPS = 200_000

# A `generation` block marks what a model learns to write. Here it only
# keeps its variables to itself, as a `with` block does.
GENERATION = re.compile(r"(\{%[-+]?\s*(?:end)?)generation(\s*[-+]?%\})")


class Refused(Exception):
    """What a template raises by `raise_exception`."""


class TooLong(Exception):
    """A template takes more than `MOST_STEPS`."""


class Steps:
    """How many rounds of loops and calls a template has taken."""

    def __init__(self):
        self.taken = 0

    def count(self) -> None:
        """One more. Raises TooLong after the last that is allowed."""
        self.taken += 1
        if self.taken > MOST_STEPS:
            raise TooLong

    def of_loop(self, items: Iterable) -> Iterator:
        """The same items, each counted."""
        for item in items:
            self.count()
            yield item

    def of_calls(self, call: Callable) -> Callable:
        """The same sandbox's way to call things, each call counted."""
        from jinja2.runtime import LoopContext

        def counted(context, function, *args, **kwargs):
            self.count()
            if isinstance(function, LoopContext) and args:  # of a tree
                args = (self.of_loop(args[0]), *args[1:])
            return call(context, function, *args, **kwargs)

        return counted


def sandboxed(source: str, steps: Steps):
    """A template in its sandbox, a `jinja2.Template` that counts `steps`.

    Raises jinja2.TemplateError for a text that is no template.
    """
    from jinja2 import nodes

    sandbox = new_sandbox(steps)
    tree = sandbox.parse(GENERATION.sub(r"\1with\2", source))
    for loop in tree.find_all(nodes.For):
        loop.iter = nodes.Filter(
            loop.iter, "counted", [], [], None, None
        ).set_lineno(loop.lineno)
    return sandbox.from_string(tree)


def new_sandbox(steps: Steps):
    """Jinja's sandbox with a template's tools, which counts the steps."""
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    sandbox = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    sandbox.filters |= {"tojson": to_json, "counted": steps.of_loop}
    sandbox.globals |= {
        "raise_exception": raise_exception,
        "strftime_now": strftime_now,
        "dict": new_dict,
        "namespace": public_namespace(),
    }
    sandbox.call = steps.of_calls(sandbox.call)
    return sandbox


@cache
def public_namespace() -> type:
    """The class of a template's variables, none named like Python's own."""
    from jinja2.exceptions import SecurityError
    from jinja2.utils import Namespace

    def check_public(name) -> None:
        if isinstance(name, str) and name.startswith("_"):
            raise SecurityError(f"a variable named {name!r}")

    class PublicNamespace(Namespace):
        def __init__(*args, **kwargs):
            self, *rest = args  # a variable may be called `self`
            for name in dict(*rest, **kwargs):
                check_public(name)
            Namespace.__init__(self, *rest, **kwargs)

        def __setitem__(self, name, value) -> None:
            check_public(name)
            super().__setitem__(name, value)

    return PublicNamespace


def new_dict(*args, **kwargs) -> dict:
    """`dict`, without what else can be reached from the class."""
    return dict(*args, **kwargs)


def to_json(
    value, ensure_ascii=False, indent=None, separators=None, sort_keys=False
) -> str:
    """JSON as it is: Jinja's own would spell < and & for HTML."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def raise_exception(message) -> None:
    """How a template refuses a conversation."""
    raise Refused(message)


def strftime_now(pattern: str) -> str:
    """Today's date, which some templates tell the model."""
    return datetime.now().strftime(pattern)
