"""The verdict on a function for one step, or for a gradient.

    >>> from parity_tests.judge.steps.verdict import judge_step
    >>> judge_step(my_softmax, "my_softmax", "softmax")  # doctest: +SKIP

It is compared with the exact value first; then each property that the
step must have is judged (`all_properties.py`).
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from parity_tests.judge.verdict.loop import (
    EXAMPLES,
    Budget,
    judge_subject,
    judgements,
)
from parity_tests.judge.verdict.report import Finding, Report

from .step import StepSubject


def judge_step(
    function: Callable,
    name: str,
    role: str,
    examples: int = EXAMPLES,
    seed: int = 0,
) -> Report:
    """Judge a function called `name` as the step `role`.

    `function` takes NumPy values by the names that the step gives them.
    The likely cause is sought if a property fails.
    """
    subject = StepSubject(function, role)
    report = judge_subject(subject, Budget(examples, seed))
    return replace(report, name=name)


def step_judgements(
    function: Callable,
    name: str,
    examples: int = EXAMPLES,
    seed: int = 0,
    forward: Callable | None = None,
) -> Iterator[Finding]:
    """Judge each property that the step `name` must have.

    For a gradient, `forward` is the step that it belongs to; without,
    the project's own. `seed` is that of all inputs.
    """
    subject = StepSubject(function, name, forward)
    yield from judgements(subject, Budget(examples, seed))
