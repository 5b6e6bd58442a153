"""Caches: which arguments have to do with earlier keys and values.

A cache is handed in as one argument, or as two, and comes back beside the
output; or a layer keeps it itself, and a switch or a position says so.
"""

import re
from dataclasses import dataclass

from parity_tests.judge.candidate.things import Parameter

CACHE = re.compile(r"(?:^|_)past|cache|incremental")
POSITION = re.compile(
    r"(start|cur(rent)?|input|cache)_?(pos(ition)?|idx|index)|"
    r"((past|cache)_?(len(gth)?)|(pos(ition)?_|seq_|cache_|past_)?offset)"
)
COUNT = re.compile(r"pos|step|time|len|num|idx|index|start|offset|^[a-z]$")
SWITCH = re.compile(r"(return|output|with)_(present|past|cache|kv)")
ONE_AT_A_TIME = re.compile(
    r"(one|1|single) (new )?token at a time|token[- ]by[- ]token|"
    r"(takes|with|for|of) (only )?(one|a single) (new )?token\b"
)


@dataclass(frozen=True)
class CacheRoles:
    """The arguments of a call that have to do with a cache.

    `holders` take what was kept of earlier tokens; `switches` say that it
    is wanted; `position` takes how many tokens there were before.
    """

    holders: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    position: str | None = None

    def __bool__(self) -> bool:
        return bool(self.names)

    @property
    def at_rest(self) -> dict[str, object]:
        """What they get where no cache is wanted; holders their default."""
        named: dict[str, object] = dict.fromkeys(self.switches, False)
        return named | ({self.position: 0} if self.position else {})

    def left_alone_in(self, source: str) -> dict[str, str]:
        """What is said of them where no cache was asked. A position is
        that in a cache where the source speaks of one."""
        for name in (*self.holders, *self.switches):
            return {"its cache": f"{name} was left at its default"}
        named = f"its argument {self.position}"
        what = "its cache" if CACHE.search(source.lower()) else named
        return {what: f"{self.position} was always 0"}

    @property
    def names(self) -> tuple[str, ...]:
        position = (self.position,) if self.position else ()
        return (*self.holders, *self.switches, *position)


def cache_roles(parameters: tuple[Parameter, ...]) -> CacheRoles:
    """Roles by name and default; a cache that must be passed is the
    caller's own, and has none."""
    named = [each for each in parameters if each.is_named]
    placing = [e for e in named if POSITION.fullmatch(e.name.lower())]
    positions = [each.name for each in placing if is_number(each)]
    others = [each for each in named if each not in placing]
    return CacheRoles(
        tuple(each.name for each in others if is_holder(each)),
        tuple(each.name for each in others if is_switch(each)),
        next(iter(positions), None),
    )


def is_number(parameter: Parameter) -> bool:
    """Whether it may be a number, and is no array or None."""
    is_array = "Tensor" in parameter.annotation
    default = parameter.default
    return not is_array and (parameter.required or type(default) is int)


def is_switch(parameter: Parameter) -> bool:
    name = parameter.name.lower()
    known = CACHE.search(name) or SWITCH.fullmatch(name)
    return bool(known) and isinstance(parameter.default, bool)


def is_holder(parameter: Parameter) -> bool:
    is_open = not parameter.required and parameter.default is None
    return is_open and CACHE.search(parameter.name.lower()) is not None


def takes_one_token(docs: str) -> bool:
    """Whether it is said to take one new token at a time."""
    return ONE_AT_A_TIME.search(docs.lower()) is not None


def may_count(name: str) -> bool:
    """Whether an argument may say how many tokens there were before."""
    return COUNT.search(name.lower()) is not None
