"""Rows: the steps of two functions, each beside its namesake."""

from dataclasses import dataclass

from .aligning import aligned
from .functions import Function, Statement
from .tokens import words_of


@dataclass(frozen=True)
class Row:
    """A step: its statement on either side, or on one only."""

    name: str
    left: Statement | None
    right: Statement | None

    @property
    def is_same(self) -> bool:
        """Whether both are the same line, whatever the comments say."""
        if self.left is None or self.right is None:
            return False
        return words_of(self.left.code) == words_of(self.right.code)


def rows_of(left: Function, right: Function) -> list[Row]:
    """The steps of both, in order; what one side lacks is None there."""
    names = [[s.name for s in side.statements] for side in (left, right)]
    pairs = aligned(*names)
    rows = []
    for ours, theirs in pairs:
        here = None if ours is None else left.statements[ours]
        there = None if theirs is None else right.statements[theirs]
        rows.append(Row((here or there).name, here, there))
    return rows
