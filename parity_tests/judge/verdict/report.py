"""The report: what was asked of a subject, and what came of it."""

from dataclasses import dataclass, field
from textwrap import indent

import numpy as np

from parity_tests.twins.comparing import Comparison

HOLDS, FAILS, RAISED = "holds", "fails", "raised"
NOT_JUDGED, NO_TIME = "not judged", "no time"


@dataclass(frozen=True)
class Failure:
    """The smallest input for which a property fails, and how it fails.

    `script` shows it without this project, "" where there is none.
    """

    case: object
    comparison: Comparison | None
    trouble: str
    script: str = ""

    def __str__(self) -> str:
        """How it fails, and the input for which it does."""
        return f"{self.difference}\n{self.input}"

    @property
    def input(self) -> str:
        """The input as Python, its arrays one after the other."""
        arrays = getattr(self.case, "arrays", None)
        if arrays is None:
            return str(self.case)
        return "\n".join(assigned(*pair) for pair in arrays.items())

    @property
    def difference(self) -> str:
        """What was returned, and what should have been."""
        compared = self.comparison
        if compared is None:
            return self.trouble
        got, expected = (
            side[compared.at] if compared.at else side
            for side in (compared.ours, compared.theirs)
        )
        return (
            f"{compared.path} at {list(compared.at)}: got {got}, expected "
            f"{expected}; rounding explains a difference of at most "
            f"{compared.bound_there:.3g}"
        )


@dataclass(frozen=True)
class Finding:
    """The verdict on one property.

    `verdict` is "holds"; "fails" for a wrong answer; "raised" where some
    inputs raised an error, which is no answer; "not judged" where nothing
    was compared; or "no time". `unchecked` of the `compared` values had a
    bound too wide to check anything; `share` is the worst error as a
    share of its bound.
    """

    name: str
    claim: str
    verdict: str
    examples: int = 0
    compared: int = 0
    unchecked: int = 0
    share: float = 0.0
    failure: Failure | None = None
    trouble: str = ""

    @property
    def reason(self) -> str:
        """Why there is no verdict, where there is none."""
        reasons = {
            RAISED: f"it {self.trouble}",
            NO_TIME: "there was no time for it",
            NOT_JUDGED: "no input could be put to it",
        }
        return reasons.get(self.verdict, "")


@dataclass(frozen=True)
class Report:
    """The verdict on one function, class or step.

    `cause` is the likely one, None where all holds or it is unknown; then
    `known` says what the failures have in common, and `doubt` why they may
    prove no mistake. `trouble` says why nothing more could be judged;
    `not_asked` what was not asked, and why; `remarks` are facts that a
    reader of the verdict should know.
    """

    name: str
    kind: str
    findings: tuple[Finding, ...] = ()
    conventions: dict[str, object] = field(default_factory=dict)
    cause: str | None = None
    known: str | None = None
    doubt: str | None = None
    trouble: str | None = None
    not_asked: dict[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def of(self, verdict: str) -> list[Finding]:
        return [f for f in self.findings if f.verdict == verdict]

    @property
    def failed(self) -> list[Finding]:
        return self.of(FAILS)

    @property
    def verdict(self) -> str:
        """holds, holds where asked, rejected, or not judged."""
        if self.failed and not self.doubt:
            return "rejected"
        if self.doubt or self.trouble or not self.of(HOLDS):
            return "not judged"
        partly = self.of(RAISED) or self.of(NO_TIME)
        misses = [what for what in self.not_asked if what in ESSENTIAL]
        return "holds where asked" if partly or misses else "holds"

    @property
    def holds(self) -> bool:
        """False also where nothing was judged: silence is no proof."""
        return self.verdict in ("holds", "holds where asked")

    def __bool__(self) -> bool:
        return self.holds

    def __str__(self) -> str:
        """The verdict, and what it rests on, in a few lines."""
        lines = [f"{self.name}, as {self.kind}: {self.verdict}"]
        for why in filter(None, (self.trouble, self.doubt)):
            lines.append(f"  {why}")
        if self.failed:
            lines.append(f"  likely cause: {self.cause or 'unknown'}")
        if self.known:
            lines.append(f"  {self.known}")
        for finding in self.failed:
            lines.append(f"  FAILS {finding.name}: {finding.claim}")
            if finding is self.failed[0]:
                lines.append(indent(str(finding.failure), "    "))
        for finding in [*self.of(RAISED), *self.of(NO_TIME)]:
            lines.append(f"  not judged: {finding.name} ({finding.reason})")
        for what, why in self.not_asked.items():
            lines.append(f"  not asked: {what} ({why})")
        return "\n".join(lines)

    __repr__ = __str__


# What a reader would take "holds" to speak of.
ESSENTIAL = (
    "its window",
    "its mask",
    "its causal mask",
    "its cache",
    "its layout",
)
ESSENTIAL += ("its bias of distances", "properties of plain attention")
ESSENTIAL += ("its backward", "its rotary embedding", "what it raised on")

MOST_SHOWN = 60  # entries of an array; of a larger one only its corners


def assigned(name: str, array: np.ndarray) -> str:
    """An array as Python: `name = np.array(…)`."""
    start = f"{name} = np.array("
    with np.printoptions(
        threshold=MOST_SHOWN, edgeitems=1, floatmode="unique"
    ):
        numbers = np.array2string(array, separator=", ", prefix=start)
    end = "" if array.size <= MOST_SHOWN else f"  # of shape {array.shape}"
    return f"{start}{numbers}, dtype={array.dtype.name!r}){end}"
