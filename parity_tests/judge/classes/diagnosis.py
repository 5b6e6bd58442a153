"""Why a class is wrong: compared with layers whose parts are wrong."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from parity_tests.judge.attention.diagnosis import alike
from parity_tests.judge.mutants.class_parts import WRONG, layer_of_heads
from parity_tests.judge.subject.protocol import Broken
from parity_tests.judge.subject.weights import readings

from .student_class import asked_of

SEEDS = (11, 12)


def cause_of_class(homework, plain_case: Callable) -> str | None:
    """The one known mistake that gives what the class gives, or None."""
    cases = [
        plain_case(homework, seed, tokens)
        for seed in SEEDS
        for tokens in (5, 3)
    ]
    try:
        modules = [homework.module(case) for case in cases]
        pairs = list(zip(modules, cases, strict=True))
        came = [asked_of(module, case.x) for module, case in pairs]
        again = [asked_of(module, case.x) for module, case in pairs]
    except Broken as error:
        changed = "changed the tokens" in str(error)
        return "it changes what it was given" if changed else None
    if not all(map(alike, came, again)):
        return "the answer is left to chance: dropout at evaluation"
    matching = [
        names
        for reading in range(len(readings(modules[0], homework.heads)))
        for names in matching_in(
            replace(homework, reading=reading), cases, came
        )
    ]
    if len(matching) != 1 or len(matching[0]) != 1:
        return None
    return matching[0][0]


def matching_in(homework, cases: list, came: list) -> list[list[str]]:
    """The mistakes that give what came, with one reading of the weights."""
    asked = [
        (homework.weights(case), case.x, homework.causal) for case in cases
    ]
    if gives(layer_of_heads, asked, came):
        return []
    known = groups(possible(homework.heads), asked)
    return [names for names in known if gives(WRONG[names[0]], asked, came)]


def possible(heads: int) -> dict[str, Callable]:
    """The mistakes that a class can make: no mask, perhaps no heads."""
    return {
        name: mistake
        for name, mistake in WRONG.items()
        if "another mask" not in name
        and (heads > 1 or not ("heads" in name or "d_model" in name))
    }


def groups(wrong: dict[str, Callable], asked: list) -> list[list[str]]:
    """Mistakes that no question here can tell apart, together."""
    found: list[tuple[list[str], list]] = []
    for name, mistake in wrong.items():
        answers = answers_of(mistake, asked)
        if answers is None:
            continue
        for names, others in found:
            if all(map(alike, answers, others)):
                names.append(name)
                break
        else:
            found.append(([name], answers))
    return [names for names, _ in found]


def answers_of(mistake: Callable, asked: list) -> list | None:
    """What a mistake gives, None where it needs other shapes."""
    try:
        with np.errstate(all="ignore"):
            return [np.asarray(mistake(*one)) for one in asked]
    except (ValueError, TypeError):
        return None


def gives(mistake: Callable, asked: list, came: list) -> bool:
    """Whether a mistake gives all that came."""
    answers = answers_of(mistake, asked)
    return answers is not None and all(
        a.shape == b.shape and alike(a, b)
        for a, b in zip(answers, came, strict=True)
    )
