"""The bugs of the zoo in other dresses: the same bug, written otherwise.

`dresses(bug)` gives the source of each. Where it can, a dress keeps the
bug's own code and puts something around it; NumPy becomes PyTorch word by
word (`translating`); only for NumPy's multi-head attention the wrong part
is written again (`classes`), and held against the zoo's own.
"""

from parity_tests.tests.judge.street.dresses import (
    classes,
    functions,
    steps,
)
from parity_tests.tests.judge.street.dresses.bugs import (
    BUGS,
    cause_of,
    kind_of,
)

# A dress leaves the cause as it is in the zoo.
EXPECTED_CAUSE: dict[str, str] = {bug: cause_of(bug) for bug in BUGS}

# What a third dress would be, and why there is none.
NO_DRESS: dict[str, str] = {
    "dropout_before_softmax": (
        "it shows in training only, and a class of NumPy does not train"
    ),
}

WRITERS = {
    "class": classes.dresses,
    "attention": functions.dresses,
    "step": steps.dresses,
}


def dresses(bug: str) -> dict[str, str]:
    """The source of each dress, by its name."""
    if bug not in BUGS:
        raise ValueError(f"expected a bug of the zoo, got {bug}")
    return WRITERS[kind_of(bug)](bug)
