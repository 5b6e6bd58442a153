"""The sandbox of chat templates: what a template may use, and how much.

A chat template comes with the weights, from whoever made them: a program
in Jinja's language. It gets no more than transformers gives it: blocks
without the white space around them, `break` and `continue`, `tojson` that
spares HTML, `raise_exception`, `strftime_now`, and `generation` blocks.
Jinja's sandbox keeps it from Python's insides and from changing what it
is given.

Its time is bounded: `MOST_STEPS` rounds of loops and calls, a second or
so. Its memory is not: texts can be joined to longer ones at every step.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from jinja2 import Template, TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import loopcontrols
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

MOST_STEPS = 1_000_000

# A `generation` block marks what a model learns to write. Here it only
# keeps its variables to itself, as a `with` block does.
GENERATION = re.compile(r"(\{%[-+]?\s*(?:end)?)generation(\s*[-+]?%\})")


class Refused(TemplateError):
    """What a template raises by `raise_exception`."""


class TooLong(Exception):
    """A template takes more than `MOST_STEPS`."""


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, with a template's tools, that counts the steps."""

    def __init__(self):
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
        )
        self.steps = 0
        self.filters |= {"tojson": to_json, "counted": self.counted}
        self.globals |= {
            "raise_exception": raise_exception,
            "strftime_now": strftime_now,
            "dict": new_dict,
            "namespace": PublicNamespace,
        }

    def template(self, source: str) -> Template:
        """A template whose loops count. Raises jinja2.TemplateError."""
        tree = self.parse(GENERATION.sub(r"\1with\2", source))
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(
                loop.iter, "counted", [], [], None, None
            ).set_lineno(loop.lineno)
        return self.from_string(tree)

    def count(self) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise TooLong

    def counted(self, items: Iterable) -> Iterator:
        """The same items, each counted as a step."""
        for item in items:
            self.count()
            yield item

    def call(self, context, function: Callable, *args, **kwargs):
        """Call what the template calls, its macros included."""
        self.count()
        if isinstance(function, LoopContext) and args:  # of a tree
            args = (self.counted(args[0]), *args[1:])
        return super().call(context, function, *args, **kwargs)


class PublicNamespace(Namespace):
    """A template's variables, none with a name like Python's own."""

    def __init__(*args, **kwargs):
        self, *rest = args  # a variable may be called `self`
        for name in dict(*rest, **kwargs):
            check_public(name)
        Namespace.__init__(self, *rest, **kwargs)

    def __setitem__(self, name, value) -> None:
        check_public(name)
        super().__setitem__(name, value)


def check_public(name) -> None:
    """Raise SecurityError for a name that begins with an underscore."""
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a variable named {name!r}")


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
