"""Conventions of an attention function: detected, not judged.

Each test changes one input and looks which outputs it moves. That works
for wrong implementations, too: what a mask does is seen from which values
reach which queries, not from the numbers. What a docstring or an
annotation says of a mask goes before what a trial shows.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from math import inf, nan

import numpy as np

from parity_tests.judge.candidate.things import Thing
from parity_tests.judge.subject.cases import MASKS, Range
from parity_tests.judge.subject.forms import (
    GROUPS,
    LENGTHS,
    MEANINGS,
    OF_KEYS,
    MaskForm,
    axes_to_try,
)
from parity_tests.judge.subject.roles import stated_axes, stated_meaning
from parity_tests.judge.verdict.protocol import Broken, NotAsked, Raised

from .calling import (
    BATCHES,
    D_HEAD,
    KEYS,
    QUERIES,
    TOKENS_LAST,
    Caller,
    arrays_within,
    as_array,
    part_at,
)

ADDED, HIDING, NO_NUMBERS = "are added", "only mask, at -inf", "not taken"
LAST, FIRST = "the last queries", "the first queries"
NOT_TESTED = "not tested"
FAILED_TRIAL = (Raised, Broken, NotAsked, TypeError, ValueError)
INSIDE_FLOAT32 = "in float32 also for float64 inputs, by design or not"


@dataclass(frozen=True)
class Declared:
    """Conventions that the user declares, and that are not detected."""

    arrays: str | None = None
    mask: str | None = None
    alignment: str | None = None
    fully_masked_row: str | None = None


NOTHING_DECLARED = Declared()


@dataclass(frozen=True)
class Conventions:
    """Conventions: how an implementation is called, and what it does.

    They are reported, and are never failures.
    """

    arrays: str = "numpy"
    layout: str = TOKENS_LAST
    mask: str = "none"
    causal: str = "none"
    alignment: str = NOT_TESTED
    causal_and_mask: str = NOT_TESTED
    mask_of_numbers: str = NOT_TESTED
    fully_masked_row: str = NOT_TESTED
    nan_in_masked_key: str = NOT_TESTED
    nan_in_masked_value: str = NOT_TESTED
    weights: str = NOT_TESTED
    float32: str = NOT_TESTED
    float64: str = NOT_TESTED
    fewer_key_heads: str = NOT_TESTED
    gradients: str = NOT_TESTED
    limits: Range = field(default_factory=Range)

    def plain(self) -> dict[str, object]:
        """What was detected, for a report."""
        detected = {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if each.name != "limits"
        }
        detected["batch_axes"] = list(self.limits.batch_axes)
        detected["dtypes"] = list(self.limits.dtypes)
        detected["as_many_queries_as_keys"] = self.limits.square
        detected["values_as_wide_as_keys"] = self.limits.one_width
        if self.layout == TOKENS_LAST:
            del detected["layout"]
        return {n: v for n, v in detected.items() if v != NOT_TESTED}


Attend = Callable[..., np.ndarray]


def influence(attend: Attend, limits: Range, mask=None) -> np.ndarray:
    """Which query's output moves when the value of which key does.

    The mask is the same for all texts; what is returned has the axes of
    all texts.
    """
    query, key, value = arrays_within(limits)
    before = attend(query, key, value, mask)
    moved = []
    for index in range(key.shape[-2]):
        other = value.copy()
        other[..., index, :] += 1
        after = attend(query, key, other, mask)
        differs = ~(
            (before == after) | (np.isnan(before) & np.isnan(after))
        )
        moved.append(differs.any(axis=-1))
    return np.stack(moved, axis=-1)


# --- masks ---------------------------------------------------------------


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


def mask_finding(
    caller: Caller, limits: Range, name: str, declared: str | None = None
) -> MaskFinding:
    """The form in which a function takes one of its masks."""

    def visible(form: MaskForm, mask) -> np.ndarray:
        return influence(with_form(caller, name, form), limits, mask)

    said = declared or stated_of(caller.thing, name)
    is_lengths = name == caller.calling.roles.lengths
    query, key, _ = arrays_within(limits)
    shape = query.shape[-2], key.shape[-2]
    axes = axes_to_try(limits.batch_axes[-1], name, is_lengths)
    first = stated_axes(caller.thing.docs, name)
    axes = sorted(axes, key=lambda each: each != first)
    finding = find_form(name, visible, shape, axes, said)
    if finding.hides and finding.form.axes in ("any", "all axes"):
        wider = widened(caller, limits, name, finding.form)
        return replace(finding, form=wider)
    return finding


def find_form(
    name: str,
    visible: Callable[[MaskForm, np.ndarray], np.ndarray],
    shape: tuple[int, int],
    axes_tried: list[str],
    said: str | None,
) -> MaskFinding:
    """The form in which a mask hides what it should.

    `visible(form, mask)` tries one. If none hides what it should, it is
    the first that is accepted and fits what is said of the mask; a wrong
    implementation is asked as it says it wants to be.
    """
    meanings = GROUPS.get(said, tuple(MEANINGS))
    accepted: list[MaskForm] = []
    for axes in axes_tried:
        mask = trial_mask(shape, axes)
        for meaning in meanings[:1] if axes == LENGTHS else meanings:
            form = MaskForm(meaning, axes)
            try:
                seen = visible(form, mask)
            except FAILED_TRIAL:
                continue
            if np.array_equal(seen, np.broadcast_to(mask, seen.shape)):
                return MaskFinding(name, form, True, said)
            accepted.append(form)
    first = accepted[0] if accepted else None
    return MaskFinding(name, first, False, said)


def stated_of(thing: Thing, name: str) -> str | None:
    """What docstrings and annotations say of a mask."""
    said = stated_meaning(thing.docs, name)
    if said is None and "bias" in name.lower():
        return "added"
    return said


def widened(
    caller: Caller, limits: Range, name: str, form: MaskForm
) -> MaskForm:
    """The form for a mask that differs from text to text and from head
    to head, where that is taken as well."""
    axes = limits.batch_axes[-1]
    if not axes:
        return form
    shape = (*BATCHES[axes], KEYS if limits.square else QUERIES, KEYS)
    mask = np.broadcast_to(trial_mask(shape[-2:], "any"), shape).copy()
    mask[-1, ..., 1] = True
    try:
        influence(with_form(caller, name, form), limits, mask)
    except FAILED_TRIAL:
        return replace(form, axes="query, key")
    return form


def axes_where_it_hides(
    caller: Caller, limits: Range, finding: MaskFinding
) -> tuple[int, ...]:
    """The numbers of batch axes with which this form of a mask works."""
    if not finding.hides:
        return limits.batch_axes
    working = []
    for count in limits.batch_axes:
        fewer = replace(limits, batch_axes=(count,))
        query, key, _ = arrays_within(fewer)
        mask = trial_mask(
            (query.shape[-2], key.shape[-2]), finding.form.axes
        )
        attend = with_form(caller, finding.name, finding.form)
        try:
            seen = influence(attend, fewer, mask)
        except FAILED_TRIAL:
            continue
        if np.array_equal(seen, np.broadcast_to(mask, seen.shape)):
            working.append(count)
    return tuple(working) or limits.batch_axes


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


def with_form(caller: Caller, name: str, form: MaskForm) -> Attend:
    """The function for one mask, in that form."""
    changed = caller.changed(forms=caller.calling.forms | {name: form})

    def attend(query, key, value, mask, **options):
        masks = {} if mask is None else {name: mask}
        output = changed(query, key, value, masks, **options)
        return checked(output, (*query.shape[:-1], value.shape[-1]))

    return attend


def checked(output, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """The output of a trial. Raises TypeError for one that is none."""
    if not isinstance(output, np.ndarray):
        raise TypeError(f"expected an array, got {type(output).__name__}")
    if shape is not None and output.shape != shape:
        raise TypeError(f"expected shape {shape}, got {output.shape}")
    return output


def mask_of_numbers(caller: Caller, limits: Range, name: str) -> str:
    """What numbers in a mask do: first 0 and -inf, then others."""
    added = with_form(caller, name, MaskForm("added"))
    arrays = arrays_within(limits)
    shape = arrays[0].shape[-2], arrays[1].shape[-2]
    mask = trial_mask(shape, "any")
    bias = np.where(mask, 1, 0).astype(arrays[0].dtype)
    with_numbers = raw_mask(caller, name)
    try:
        masking = influence(added, limits, mask)
        visible = influence(with_numbers, limits, bias)
        moves = not np.array_equal(
            with_numbers(*arrays, bias), with_numbers(*arrays, 0 * bias)
        )
    except FAILED_TRIAL:
        return NO_NUMBERS  # whatever it raises
    if not np.array_equal(masking, np.broadcast_to(mask, masking.shape)):
        return NO_NUMBERS
    if not visible.all():  # it takes numbers for booleans
        return NO_NUMBERS
    return ADDED if moves else HIDING


def raw_mask(caller: Caller, name: str) -> Attend:
    """The function, for a mask that is passed as it is."""

    def attend(query, key, value, bias):
        named = caller.arguments(query, key, value) | {name: bias}
        value_returned = caller.answer(named)["value"]
        heads = query.shape[1] if query.ndim == 4 else 1
        output = as_array(part_at(value_returned, caller.calling.result))
        return checked(caller.calling.arranged_back(output, heads))

    return attend


# --- causal --------------------------------------------------------------


def always_causal(attend: Attend, limits: Range) -> bool:
    """Whether no query sees a later key, although no mask says so."""
    square = replace(limits, square=True)
    try:
        visible = influence(attend, square)
    except FAILED_TRIAL:  # it does not take that shape
        return False
    triangle = np.tri(KEYS, dtype=bool)
    return bool(
        np.array_equal(visible, np.broadcast_to(triangle, visible.shape))
    )


def alignment(own: Attend, limits: Range) -> str:
    """With which keys its causal form aligns fewer queries."""
    if limits.square:
        return NOT_TESTED
    try:
        visible = influence(own, limits)
    except FAILED_TRIAL:
        return "as many queries as keys"
    for name, past in ((LAST, KEYS - QUERIES), (FIRST, 0)):
        expected = np.tri(QUERIES, KEYS, past, dtype=bool)
        if np.array_equal(
            visible, np.broadcast_to(expected, visible.shape)
        ):
            return name
    return "neither the first queries nor the last"


def causal_with_mask(own: Attend, limits: Range) -> str:
    """Whether its causal form takes another mask as well."""
    query, key, value = arrays_within(replace(limits, square=True))
    mask = np.ones((KEYS, KEYS), bool)
    try:
        own(query, key, value, mask)
    except Raised as error:  # a convention, too
        return f"raises {error.error['type']}"
    except FAILED_TRIAL:
        return NOT_TESTED
    return "both at once"


# --- what else a mask may do ---------------------------------------------


def fully_masked_row(attend: Attend, limits: Range) -> str:
    """What a fully masked row gets."""
    query, key, value = arrays_within(limits)
    mask = np.ones((query.shape[-2], key.shape[-2]), bool)
    mask[1] = False
    try:
        row = attend(query, key, value, mask)[..., 1, :]
    except Raised as error:  # a convention, too
        return f"raises {error.error['type']}"
    except FAILED_TRIAL:
        return NOT_TESTED
    mean = value.mean(axis=-2)
    if not row.any():
        return "zeros"
    if np.isnan(row).all():
        return "NaN"
    tolerance = 1e-4  # to tell one convention from another, no more
    if np.allclose(row, mean, atol=tolerance, rtol=tolerance):
        return "the mean of all values"
    return "something else"


def behind_the_mask(attend: Attend, limits: Range, which: str) -> str:
    """Whether a NaN in a masked key or value stays there."""
    query, key, value = arrays_within(limits)
    {"key": key, "value": value}[which][..., 1, :] = nan
    mask = np.ones((query.shape[-2], key.shape[-2]), bool)
    mask[:, 1] = False
    try:
        context = attend(query, key, value, mask)
    except Raised as error:  # a convention, too
        return f"raises {error.error['type']}"
    except FAILED_TRIAL:
        return NOT_TESTED
    return "spreads" if np.isnan(context).any() else "is stopped"


# --- numbers -------------------------------------------------------------


def widens(caller: Caller, limits: Range) -> bool:
    """Whether float32 inputs give a float64 output."""
    context = caller(*arrays_within(limits, dtype="float32"))
    return getattr(context, "dtype", None) == np.float64


def float32_inside(caller: Caller, limits: Range) -> bool:
    """Whether float64 inputs give an output that is right to the digits
    of float32, and to no more."""
    arrays = arrays_within(limits, dtype="float64")
    try:
        output = checked(caller(*arrays))
    except FAILED_TRIAL:
        return False
    apart = np.abs(output - plain_attention(*arrays)).max(initial=0)
    return bool(1e-12 < apart < 2e-6)


def plain_attention(query, key, value, mask=True) -> np.ndarray:
    """Attention, in a line of NumPy, for trials only."""
    scores = query @ key.swapaxes(-2, -1) / np.sqrt(query.shape[-1])
    scores = np.where(mask, scores, -inf)
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True) @ value


def takes_fewer_key_heads(caller: Caller, limits: Range) -> bool:
    """Whether it takes four heads of queries beside two of keys."""
    if 2 not in limits.batch_axes:
        return False
    generator = np.random.default_rng(0)
    query = generator.normal(size=(2, 4, KEYS, D_HEAD))
    key, value = generator.normal(size=(2, 2, 2, KEYS, D_HEAD))
    dtype = limits.dtypes[-1]
    try:
        output = caller(*(a.astype(dtype) for a in (query, key, value)))
    except FAILED_TRIAL:
        return False
    return getattr(output, "shape", None) == query.shape


def kinds_of_masks(form: MaskForm | None, is_causal: bool) -> tuple:
    """The kinds of mask, of MASKS, that a form can express."""
    if is_causal:
        return ("causal",)
    if form is None:
        return ("open",)
    if form.axes in (*OF_KEYS, LENGTHS):
        return ("open", "padding")
    return MASKS
