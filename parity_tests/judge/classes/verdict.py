"""The verdict on a class: the reference gets its weights, too.

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
    judge_each,
)
from parity_tests.judge.subject.protocol import Broken, Conventions
from parity_tests.judge.subject.weights import named_layers, readings
from parity_tests.twins.comparing import within

from .diagnosis import cause_of_class
from .properties import (
    MASK_FORMS,
    ClassCase,
    StudentClass,
    class_cases,
    equals_the_reference,
    properties_of,
    some_mask,
)
from .student_class import (
    CONTEXT,
    D_OUT,
    SIZES,
    build_module,
    constructor_arguments,
    heads_tried,
    mask_name,
    output_of,
    sizes_of_the_file,
    takes_heads,
    width_in,
)

ROLES = ("self_attention", "causal_attention", "multi_head_attention")


def role_of(kind: Callable) -> str | None:
    """The role of a class or function by its name: one of ROLES or None."""
    name = kind.__name__.lower().replace("_", "")
    if name == "head":
        return role_of_head(kind)
    if "attention" not in name and "attn" not in name:
        return None
    if "multihead" in name or takes_heads(kind):
        return "multi_head_attention"
    return "causal_attention" if "causal" in name else "self_attention"


def role_of_head(kind: type) -> str | None:
    """The role of nanoGPT's `Head`, by its layers and its triangle."""
    try:
        module = build_module(kind, 0, torch.float32)
    except (Broken, ValueError):
        return None
    if not {"query", "key", "value"} <= {*dict(named_layers(module))}:
        return None
    causal = {"tril", "mask"} & {*dict(module.named_buffers())}
    return "causal_attention" if causal else "self_attention"


def is_causal(kind: type, role: str) -> bool:
    """Whether it should be causal: by its name, or it takes a length."""
    return (
        role == "causal_attention"
        or "causal" in kind.__name__.lower()
        or bool(constructor_arguments(kind) & {*SIZES[CONTEXT]})
    )


def judge_class(
    kind: type,
    role: str | None = None,
    examples: int = EXAMPLES,
    seed: int = 0,
    deadline: float = inf,
) -> Report:
    """Judge a class of attention; the arguments are those of `judge`.

    Raises ValueError for a class of another kind, with unknown arguments,
    or with unknown names of weights.
    """
    name, role = kind.__name__, role or role_of(kind)
    if role not in ROLES:
        raise ValueError(
            f"expected {name} to be one of {', '.join(ROLES)}, got {role}"
        )
    try:
        student = recognised(StudentClass(kind, is_causal(kind, role)))
    except Broken as error:
        return Report(name, role, trouble=str(error))
    findings = tuple(judgements(student, examples, seed, deadline=deadline))
    limits = replace(Conventions().limits, batch_axes=student.batch_axes)
    conventions = Conventions(
        getattr(kind, "arrays", "torch"),
        student.mask or "none",
        "always" if student.causal else "none",
        limits=limits,
        weights=student.weights(plain_case(student, 0)).layout,
    )
    report = Report(name, role, findings, conventions)
    if report.failed:
        return replace(report, cause=cause_of_class(student, plain_case))
    return report


def judgements(
    student: StudentClass,
    examples: int,
    seed: int,
    shrunk: int = SHRUNK,
    deadline: float = inf,
) -> Iterator[Finding]:
    """Judge every property that applies."""
    return judge_each(
        properties_of(student),
        student,
        class_cases(student),
        (examples, seed, shrunk, deadline),
    )


def plain_case(student: StudentClass, seed: int, tokens: int = 5):
    """A case of normal numbers."""
    axes = student.batch_axes[-1]
    shape = ((2,) * axes) + (tokens, width_in(student.kind))
    x = np.random.default_rng(seed).normal(size=shape)
    return ClassCase(x, seed)


def recognised(student: StudentClass) -> StudentClass:
    """The class with the shapes it takes, and the reading that fits.

    Where no reading of its weights fits, the first is kept. Raises Broken
    or ValueError for a class that cannot be built or called.
    """
    width, problem, axes = width_in(student.kind), None, []
    for count in (0, 1):
        trial = replace(student, batch_axes=(count,))
        try:
            case = plain_case(trial, 0)
            if trial.of(case).shape[:-1] == case.x.shape[:-1]:
                axes.append(count)
        except Broken as error:
            if problem is None or "modified" not in str(problem):
                problem = error
    if not axes:
        problem = problem or Broken("returned another number of tokens")
        raise no_output(student.kind, width, problem)
    student = replace(student, batch_axes=tuple(axes))
    case = plain_case(student, 1)
    module = student.module(case)
    # A class may be causal although its name does not say so.
    trials = [
        replace(student, causal=causal, heads=heads, reading=index)
        for causal in ((True,) if student.causal else (False, True))
        for heads in heads_tried(student.kind, module)
        for index, weights in enumerate(readings(module, heads))
        if weights.width_in == width
    ]
    fitting = (trial for trial in trials if fits(trial, case))
    student = next(fitting, trials[0])
    return replace(student, mask=mask_form(student, case))


def no_output(kind: type, width: int, problem: Broken) -> Exception:
    """Broken; or, where sizes in its file may not fit, not judged."""
    sizes = sizes_of_the_file(kind)
    if not sizes:
        return problem
    listed = ", ".join(f"{name} = {size}" for name, size in sizes.items())
    return ValueError(
        f"expected sizes that fit tokens of {width} features in and "
        f"{D_OUT} features out, got {listed} from the file: it {problem}"
    )


def mask_form(student: StudentClass, case: ClassCase) -> str | None:
    """The form of its mask; the mask is the same here for all texts.

    Where none gives the right output, the first that gives any; None
    where none does.
    """
    if mask_name(student.kind) is None or case.x.ndim == 2:
        return None
    mask = some_mask(case)
    mask[:] = mask[0]
    accepted = []
    for form in MASK_FORMS:
        trial = replace(student, mask=form)
        try:
            got = output_of(
                trial.module(case), case.x, MASK_FORMS[form](mask)
            )
        except Broken:
            continue
        accepted.append(form)
        exact = trial.expected(case, mask)
        if within("", got, exact.value, exact.error).holds:
            return form
    return next(iter(accepted), None)


def fits(student: StudentClass, case: ClassCase) -> bool:
    try:
        comparisons = list(equals_the_reference(student, case))
    except Exception:  # shapes of another reading
        return False
    return all(comparison.holds for comparison in comparisons)
