"""Mask detection: in which form a function or a layer takes each mask.

Forms are tried, and what is then seen tells which one hides what it
should. What a docstring or an annotation says of a mask goes before that.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from parity_tests.judge.candidate.things import Thing
from parity_tests.judge.verdict.protocol import attempt

from .callers import passed_meaning
from .forms import (
    GROUPS,
    KEY,
    LENGTHS,
    MEANINGS,
    OF_KEYS,
    MaskForm,
    axes_to_try,
    is_held,
)
from .makers import meaning_by_its_maker
from .roles import (
    comments_on,
    is_adjacency,
    stated_axes,
    stated_meaning,
)

DECLARED = {
    "True may attend": "attends",
    "True is masked": "hidden",
    "added": "added",
}
SHARED = ("any", "all axes", "query, key")  # axes of a mask for all texts
PLAIN_NAMES = ("mask", "attn_mask", "attention_mask")


@dataclass(frozen=True)
class MaskFinding:
    """In which form a mask is taken, and how that was found out.

    `form` is None where no form is even accepted. `hides` tells whether
    a trial showed the form to hide what it should, `stated` what is said
    of it.
    """

    name: str
    form: MaskForm | None
    hides: bool
    stated: str | None = None

    def __str__(self) -> str:
        if not self.hides:
            return f"{self.form}, as it seems to be meant"
        if self.form.meaning.startswith("added") and not self.stated:
            return f"{self.form}; ones and zeros would hide nothing"
        return str(self.form)

    @property
    def is_understood(self) -> bool:
        """Whether the subject can be asked with it.

        A plain `mask` that takes booleans and hides nothing is asked all
        the same: it gives wrong answers.
        """
        if self.form is None:
            return False
        if self.hides:
            return True
        name = self.name.lower()
        if self.form.axes == LENGTHS:
            return re.search(r"valid|lens|lengths", name) is not None
        return self.stated is not None or name in PLAIN_NAMES

    @property
    def rank(self) -> tuple[bool, bool]:
        """The order of asking: first what hides, and what is free."""
        of_keys = self.form is not None and self.form.axes not in SHARED
        return not self.hides, of_keys


def forms_told(
    thing: Thing, required: tuple[str, ...]
) -> dict[str, MaskForm] | None:
    """The form of each mask that is required, as it is told; None where
    that of one is not. One mask alone may be said to be of keys only."""
    forms = {}
    for name in required:
        said = said_of(thing, name, None)
        comments = comments_on(thing.source, name)
        axes = stated_axes(f"{thing.docs}\n{comments}", name)
        if said is None and axes == KEY:
            said = "attends"
        if said is None or axes is None:
            return None
        held = is_held(thing, name)
        forms[name] = MaskForm(GROUPS[said][0], axes, held)
    of_a_key = any(form.axes == KEY for form in forms.values())
    return forms if len(forms) > 1 or of_a_key else None


def find_masks(
    thing: Thing,
    roles,
    declared: str | None,
    batch_axes: int,
    shape: tuple[int, int],
    visible: Callable[[str, MaskForm, np.ndarray], np.ndarray],
    widened: Callable[[MaskFinding], MaskFinding],
) -> list[MaskFinding]:
    """What is found of each mask, the first to be asked first.

    `visible(name, form, mask)` tries a form, for scores of this shape and
    so many batch axes, and has NaN where that cannot be told; `widened`
    finds a form for more masks than the one that hides what it should.
    What the file itself passes counts where nothing else tells.
    """
    findings = []
    for name in (*roles.masks, *filter(None, [roles.lengths])):
        said = said_of(thing, name, declared)
        axes = axes_to_try(batch_axes, name, name == roles.lengths)
        comments = comments_on(thing.source, name)
        stated = stated_axes(f"{thing.docs}\n{comments}", name)
        axes.sort(key=lambda each, first=stated: each != first)
        seen = partial(visible, name)
        held = is_held(thing, name)
        find = partial(find_form, name, seen, shape, axes, held=held)
        finding = find(said)
        passed = said or finding.hides or passed_meaning(thing, name)
        if passed in GROUPS and not said:
            finding = find(passed)
        findings.append(widened(finding) if finding.hides else finding)
    return sorted(findings, key=lambda finding: finding.rank)


def said_of(thing: Thing, name: str, declared: str | None) -> str | None:
    """What is said of a mask: by the caller of the judge, the docs, the
    comments, the docs of its maker, or its name."""
    is_bias = "bias" in name.lower()
    # What is said of other masks is not said of a bias.
    docs = "" if is_bias and name not in thing.docs else thing.docs
    said = (
        DECLARED.get(declared)
        or stated_meaning(docs, name)
        or stated_meaning(comments_on(thing.source, name), name)
        or meaning_by_its_maker(thing, name)
    )
    if said:
        return said
    if is_bias:
        return "added"
    if is_held(thing, name):
        return meaning_of_triangle(thing.source + thing.helpers)
    return "attends" if is_adjacency(name) else None  # along an edge


def meaning_of_triangle(source: str) -> str | None:
    """What the triangle means that a file makes of its masks: the future
    is above the diagonal."""
    upper, lower = (f"{name}(" in source for name in ("triu", "tril"))
    if upper == lower:
        return None
    return "hidden" if upper else "attends"


def find_form(
    name: str,
    visible: Callable[[MaskForm, np.ndarray], np.ndarray],
    shape: tuple[int, int],
    axes_tried: list[str],
    said: str | None,
    held: bool = False,
) -> MaskFinding:
    """The form in which a mask hides what it should.

    If none does, it is the first that is accepted and fits what is said
    of the mask; a wrong implementation is asked as it says it wants to be,
    even if all that it then returns is NaN.
    """
    meanings = GROUPS.get(said, tuple(MEANINGS))
    accepted: list[MaskForm] = []
    with_nan: list[MaskForm] = []
    for axes in axes_tried:
        mask = trial_mask(shape, axes)
        for meaning in meanings[:1] if axes == LENGTHS else meanings:
            form = MaskForm(meaning, axes, held)
            seen = attempt(visible, form, mask)
            if seen is None:
                continue
            if shows(seen, mask):
                return MaskFinding(name, form, True, said)
            (with_nan if np.isnan(seen).any() else accepted).append(form)
    forms = accepted + with_nan if said else accepted
    return MaskFinding(name, next(iter(forms), None), False, said)


def trial_mask(shape: tuple[int, int], axes: str) -> np.ndarray:
    """A mask that such axes can express, and that no other one is."""
    queries, keys = shape
    if axes in (*OF_KEYS, LENGTHS):
        key = np.arange(keys)
        visible = key < 3 if axes == LENGTHS else np.isin(key, (0, 2, 3))
        return np.broadcast_to(visible, shape).copy()
    mask = np.eye(queries, keys, dtype=bool)
    mask[..., 0] = True
    return mask


def shows(seen: np.ndarray, mask: np.ndarray) -> bool:
    """Whether just what the mask allows is seen, in every text."""
    return np.array_equal(seen, np.broadcast_to(mask, seen.shape))


def not_understood(findings: list[MaskFinding]) -> dict[str, str]:
    """What a report says of a mask that the subject is not asked with."""
    names = [each.name for each in findings if not each.is_understood]
    says = "was not understood; --mask may say what it means"
    return {"its mask": f"{names[-1]} {says}"} if names else {}
