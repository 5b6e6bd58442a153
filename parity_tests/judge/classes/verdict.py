"""A verdict on a class: its weights in the reference, and what must hold.

>>> from parity_tests.judge.classes.verdict import judge_class
>>> report = judge_class(MultiHeadAttention)       # doctest: +SKIP
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import inf

import numpy as np
import torch

from parity_tests.judge.attention.verdict import (
    EXAMPLES,
    SHRUNK,
    Finding,
    Report,
    one_by_one,
)
from parity_tests.judge.subject.protocol import Broken, Conventions
from parity_tests.judge.subject.weights import named_layers, readings
from parity_tests.twins.comparing import within

from .diagnosis import cause_of_class
from .properties import (
    MASK_FORMS,
    Homework,
    HomeworkCase,
    equals_the_reference,
    homework_cases,
    properties_of,
    some_mask,
)
from .student_class import (
    CONTEXT,
    D_OUT,
    SIZES,
    asked_of,
    heads_tried,
    made,
    made_from,
    mask_name,
    sizes_of_the_file,
    takes_heads,
    width_in,
)

ROLES = ("self_attention", "causal_attention", "multi_head_attention")


def role_of(kind: Callable) -> str | None:
    """Which kind of attention a class or a function is, by its name."""
    name = kind.__name__.lower().replace("_", "")
    if name == "head":
        return role_of_head(kind)
    if "attention" not in name and "attn" not in name:
        return None
    if "multihead" in name or takes_heads(kind):
        return "multi_head_attention"
    return "causal_attention" if "causal" in name else "self_attention"


def role_of_head(kind: type) -> str | None:
    """What nanoGPT's `Head` is, by its layers and its triangle."""
    try:
        module = made(kind, 0, torch.float32)
    except (Broken, ValueError):
        return None
    if not {"query", "key", "value"} <= {*dict(named_layers(module))}:
        return None
    causal = {"tril", "mask"} & {*dict(module.named_buffers())}
    return "causal_attention" if causal else "self_attention"


def is_causal(kind: type, role: str) -> bool:
    """Whether it is meant to be: by its name, or it is given a length."""
    return (
        role == "causal_attention"
        or "causal" in kind.__name__.lower()
        or bool(made_from(kind) & {*SIZES[CONTEXT]})
    )


def judge_class(
    kind: type,
    role: str | None = None,
    examples: int = EXAMPLES,
    chance: int = 0,
    deadline: float = inf,
) -> Report:
    """A class of attention; else as `judge`.

    Raises ValueError for a class of another kind, and for one that wants
    what is not known, or whose weights have other names.
    """
    name, role = kind.__name__, role or role_of(kind)
    if role not in ROLES:
        raise ValueError(
            f"expected {name} to be one of {', '.join(ROLES)}, got {role}"
        )
    try:
        homework = known(Homework(kind, is_causal(kind, role)))
    except Broken as error:
        return Report(name, role, trouble=str(error))
    findings = tuple(
        judgements(homework, examples, chance, deadline=deadline)
    )
    limits = replace(Conventions().limits, batch_axes=homework.batch_axes)
    conventions = Conventions(
        getattr(kind, "arrays", "torch"),
        homework.mask or "none",
        "always" if homework.causal else "none",
        limits=limits,
        weights=homework.weights(plain_case(homework, 0)).layout,
    )
    report = Report(name, role, findings, conventions)
    if report.failed:
        return replace(report, cause=cause_of_class(homework, plain_case))
    return report


def judgements(
    homework: Homework,
    examples: int,
    chance: int,
    shrunk: int = SHRUNK,
    deadline: float = inf,
) -> Iterator[Finding]:
    """Every property on as many inputs."""
    return one_by_one(
        properties_of(homework),
        homework,
        homework_cases(homework),
        (examples, chance, shrunk, deadline),
    )


def plain_case(homework: Homework, seed: int, tokens: int = 5):
    """A case of ordinary numbers."""
    axes = homework.batch_axes[-1]
    shape = ((2,) * axes) + (tokens, width_in(homework.kind))
    x = np.random.default_rng(seed).normal(size=shape)
    return HomeworkCase(x, seed)


def known(homework: Homework) -> Homework:
    """Which shapes it takes, and which reading of its weights fits.

    Where none fits, the first is kept. Raises Broken and ValueError for a
    class that cannot be made or asked.
    """
    width, problem, axes = width_in(homework.kind), None, []
    for one in (0, 1):
        trial = replace(homework, batch_axes=(one,))
        try:
            case = plain_case(trial, 0)
            if trial.of(case).shape[:-1] == case.x.shape[:-1]:
                axes.append(one)
        except Broken as error:
            if problem is None or "changed" not in str(problem):
                problem = error
    if not axes:
        problem = problem or Broken("returned other tokens than were given")
        raise no_answer(homework.kind, width, problem)
    homework = replace(homework, batch_axes=tuple(axes))
    case = plain_case(homework, 1)
    module = homework.module(case)
    # What is not said to be causal may be so all the same.
    trials = [
        replace(homework, causal=causal, heads=heads, reading=place)
        for causal in ((True,) if homework.causal else (False, True))
        for heads in heads_tried(homework.kind, module)
        for place, weights in enumerate(readings(module, heads))
        if weights.width_in == width
    ]
    fitting = (one for one in trials if fits(one, case))
    homework = next(fitting, trials[0])
    return replace(homework, mask=mask_form(homework, case))


def no_answer(kind: type, width: int, problem: Broken) -> Exception:
    """It is broken; or not judged, where sizes of its file may not fit."""
    sizes = sizes_of_the_file(kind)
    if not sizes:
        return problem
    listed = ", ".join(f"{name} = {size}" for name, size in sizes.items())
    return ValueError(
        f"expected sizes that fit tokens of {width} features in and "
        f"{D_OUT} features out, got {listed} from the file: it {problem}"
    )


def mask_form(homework: Homework, case: HomeworkCase) -> str | None:
    """How it takes a mask, which is the same here for all texts.

    The first form with which it answers, where none is right; None where
    it answers none.
    """
    if mask_name(homework.kind) is None or case.x.ndim == 2:
        return None
    mask = some_mask(case)
    mask[:] = mask[0]
    answering = []
    for form in MASK_FORMS:
        trial = replace(homework, mask=form)
        try:
            got = asked_of(
                trial.module(case), case.x, MASK_FORMS[form](mask)
            )
        except Broken:
            continue
        answering.append(form)
        exact = trial.expected(case, mask)
        if within("", got, exact.value, exact.error).holds:
            return form
    return next(iter(answering), None)


def fits(homework: Homework, case: HomeworkCase) -> bool:
    try:
        comparisons = list(equals_the_reference(homework, case))
    except Exception:  # shapes of another reading
        return False
    return all(comparison.holds for comparison in comparisons)
