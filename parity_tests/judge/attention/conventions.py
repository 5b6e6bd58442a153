"""Conventions of an attention function: detected, not judged.

Each test changes one input and looks which outputs it moves. That works
for wrong implementations, too: what a mask does is seen from which values
reach which queries, not from the numbers. What a docstring or an
annotation says of a mask goes before what a trial shows.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import partial
from math import inf, nan

import numpy as np

from parity_tests.bounds.half_precision import Profile
from parity_tests.judge.subject.cases import MASKS, Range
from parity_tests.judge.subject.forms import LENGTHS, OF_KEYS, MaskForm
from parity_tests.judge.subject.masks import (
    MaskFinding,
    find_masks,
    shows,
    trial_mask,
)
from parity_tests.judge.subject.variants import Variant
from parity_tests.judge.verdict.diagnosis import alike
from parity_tests.judge.verdict.protocol import (
    FAILED_TRIAL,
    Raised,
    attempt,
)

from .calling import (
    BATCHES,
    D_HEAD,
    DIVISOR,
    FACTOR,
    KEYS,
    QUERIES,
    TOKENS_LAST,
    Caller,
    arrays_within,
    differs,
    tokens_within,
)

ADDED, HIDING, NO_NUMBERS = "are added", "only mask, at -inf", "not taken"
LAST, FIRST = "the last queries", "the first queries"
NOT_TESTED = "not tested"
BY_AUTOGRAD = "by autograd"
NOT_DIFFERENTIATED = {
    "numpy": "NumPy has none",
    "jax": "those of JAX are not asked",
}
NO_GRADIENTS = "none: it computes without a graph, as under no_grad"
WHERE_NO_MASK = "where no mask is passed"
INSIDE_FLOAT32 = "in float32 also for float64 inputs, by design or not"
REFUSED = "it raised an error for float64 inputs"


@dataclass(frozen=True)
class Declared:
    """Conventions that the user declares, and that are not detected.

    `is_meant`: it is attention, whatever its numbers are. `variant`: what
    it does beside plain attention. `profile`: where a kernel of 16 bits
    rounds. `device`: where its inputs are put.
    """

    arrays: str | None = None
    mask: str | None = None
    alignment: str | None = None
    fully_masked_row: str | None = None
    is_meant: bool = False
    variant: Variant | None = None
    profile: Profile | None = None
    device: str = ""


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
    scale: str = NOT_TESTED
    exp: str = NOT_TESTED
    roundings: str = NOT_TESTED
    backward: str = NOT_TESTED
    limits: Range = field(default_factory=Range)

    def plain(self) -> dict[str, object]:
        """What was detected, for a report."""
        detected = {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if each.name != "limits"
        }
        detected["batch_axes"] = list(self.limits.batch_axes)
        narrow = self.limits.narrow
        detected["dtypes"] = (
            [narrow] if narrow else list(self.limits.dtypes)
        )
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
        moved.append(differs(before, after).any(axis=-1))
    return np.stack(moved, axis=-1)


# --- masks ---------------------------------------------------------------


def masks_of(
    caller: Caller, limits: Range, declared: Declared
) -> list[MaskFinding]:
    """The forms of its masks, the first to be asked first."""

    def visible(name: str, form: MaskForm, mask) -> np.ndarray:
        return influence(with_form(caller, name, form), limits, mask)

    return find_masks(
        caller.thing,
        caller.calling.roles,
        declared.mask,
        limits.batch_axes[-1],
        tokens_within(limits),
        visible,
        partial(widened, caller, limits),
    )


def widened(
    caller: Caller, limits: Range, finding: MaskFinding
) -> MaskFinding:
    """The form for a mask that differs from text to text and from head
    to head, where that is taken as well."""
    axes, form = limits.batch_axes[-1], finding.form
    if not axes or form.axes not in ("any", "all axes"):
        return finding
    shape = (*BATCHES[axes], *tokens_within(limits))
    mask = np.broadcast_to(trial_mask(shape[-2:], "any"), shape).copy()
    mask[-1, ..., 1] = True
    attend = with_form(caller, finding.name, form)
    if attempt(influence, attend, limits, mask) is None:
        return replace(finding, form=replace(form, axes="query, key"))
    return finding


def axes_where_it_hides(
    caller: Caller, limits: Range, finding: MaskFinding
) -> tuple[int, ...]:
    """The numbers of batch axes with which this form of a mask works."""
    if not finding.hides:
        return limits.batch_axes
    mask = trial_mask(tokens_within(limits), finding.form.axes)
    attend = with_form(caller, finding.name, finding.form)
    working = []
    for count in limits.batch_axes:
        fewer = replace(limits, batch_axes=(count,))
        seen = attempt(influence, attend, fewer, mask)
        if seen is not None and shows(seen, mask):
            working.append(count)
    return tuple(working) or limits.batch_axes


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
    mask = trial_mask(tokens_within(limits), "any")
    bias = mask.astype(arrays[0].dtype)
    with_numbers = raw_mask(caller, name)
    try:
        masking = influence(added, limits, mask)
        visible = influence(with_numbers, limits, bias)
        moves = not np.array_equal(
            with_numbers(*arrays, bias), with_numbers(*arrays, 0 * bias)
        )
    except FAILED_TRIAL:
        return NO_NUMBERS  # whatever it raises
    # Where not all is visible, it takes numbers for booleans.
    if not shows(masking, mask) or not visible.all():
        return NO_NUMBERS
    return ADDED if moves else HIDING


def raw_mask(caller: Caller, name: str) -> Attend:
    """The function, for a mask that is passed as it is."""

    def attend(query, key, value, bias):
        named = caller.arguments(query, key, value) | {name: bias}
        returned = caller.answer(named)["value"]
        return checked(caller.output(returned, query))

    return attend


# --- causal --------------------------------------------------------------


def always_causal(attend: Attend, limits: Range) -> bool:
    """Whether no query sees a later key, although no mask says so."""
    visible = attempt(influence, attend, replace(limits, square=True))
    return visible is not None and shows(visible, np.tri(KEYS, dtype=bool))


def alignment(own: Attend, limits: Range) -> str:
    """With which keys its causal form aligns fewer queries."""
    if limits.square:
        return NOT_TESTED
    visible = attempt(influence, own, limits)
    if visible is None:
        return "as many queries as keys"
    for name, past in ((LAST, KEYS - QUERIES), (FIRST, 0)):
        if shows(visible, np.tri(QUERIES, KEYS, past, dtype=bool)):
            return name
    return "neither the first queries nor the last"


def causal_with_mask(own: Attend, limits: Range) -> str:
    """Whether its causal form takes another mask as well."""
    arrays = arrays_within(replace(limits, square=True))
    both = outcome(own, *arrays, np.ones((KEYS, KEYS), bool))
    return both if isinstance(both, str) else "both at once"


# --- what else a mask may do ---------------------------------------------


def outcome(attend: Attend, *arrays) -> np.ndarray | str:
    """The output of a trial; where there is none, why: that it raises is
    a convention, too."""
    try:
        return attend(*arrays)
    except Raised as error:
        return f"raises {error.error['type']}"
    except FAILED_TRIAL:
        return NOT_TESTED


def fully_masked_row(attend: Attend, limits: Range) -> str:
    """What a fully masked row gets."""
    query, key, value = arrays_within(limits)
    mask = np.ones(tokens_within(limits), bool)
    mask[1] = False
    context = outcome(attend, query, key, value, mask)
    if isinstance(context, str):
        return context
    row, mean = context[..., 1, :], value.mean(axis=-2)
    if not row.any():
        return "zeros"
    if np.isnan(row).all():
        return "NaN"
    # To tell one convention from another, no more.
    tolerance = 5e-2 if limits.narrow else 1e-4
    if np.allclose(row, mean, atol=tolerance, rtol=tolerance):
        return "the mean of all values"
    return "something else"


def behind_the_mask(attend: Attend, limits: Range, which: str) -> str:
    """Whether a NaN in a masked key or value stays there."""
    query, key, value = arrays_within(limits)
    {"key": key, "value": value}[which][..., 1, :] = nan
    mask = np.ones(tokens_within(limits), bool)
    mask[:, 1] = False
    context = outcome(attend, query, key, value, mask)
    if isinstance(context, str):
        return context
    return "spreads" if np.isnan(context).any() else "is stopped"


# --- numbers -------------------------------------------------------------


def widens(caller: Caller, limits: Range) -> bool:
    """Whether float32 inputs give a float64 output."""
    context = caller(*arrays_within(limits, dtype="float32"))
    return getattr(context, "dtype", None) == np.float64


def plain_attention(query, key, value, mask=True) -> np.ndarray:
    """Attention, in a line of NumPy, for trials only."""
    scores = query @ key.swapaxes(-2, -1) / np.sqrt(query.shape[-1])
    scores = np.where(mask, scores, -inf)
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True) @ value


def float32_inside(
    caller: Caller, limits: Range, right: Attend = plain_attention
) -> bool:
    """Whether float64 inputs give an output of float32, or one that is
    right to its digits, and to no more."""
    arrays = arrays_within(limits, dtype="float64")
    output = attempt(caller, *arrays)
    if not isinstance(output, np.ndarray):
        return False
    if output.dtype == np.float32:
        return True
    apart = np.abs(output - right(*arrays)).max(initial=0)
    return bool(1e-12 < apart < 2e-6)


def scale_to_pass(caller: Caller, limits: Range) -> str | None:
    """What its scale is to be passed as, where else it has none: a factor
    of the scores, or what they are divided by."""
    if caller.calling.roles.scale is None:
        return None
    query, key, value = arrays_within(limits)
    root = float(np.sqrt(query.shape[-1]))
    unscaled = plain_attention(root * query, key, value)
    if not gives(unscaled, caller, query, key, value):
        return None
    right = plain_attention(query, key, value)
    for scale, number in ((FACTOR, 1 / root), (DIVISOR, root)):
        if gives(right, caller, query, key, value, scale=number):
            return scale
    return None


def gives(expected: np.ndarray, caller: Caller, *arrays, **options) -> bool:
    output = attempt(caller, *arrays, **options)
    if not isinstance(output, np.ndarray):
        return False
    if caller.calling.narrow:
        wide = output.astype(np.float64)
        return output.shape == expected.shape and np.allclose(
            wide, expected, 5e-2, 5e-2, equal_nan=True
        )
    return alike(output, expected)


def takes_fewer_key_heads(caller: Caller, limits: Range) -> bool:
    """Whether it takes four heads of queries beside two of keys."""
    if 2 not in limits.batch_axes:
        return False
    generator = np.random.default_rng(0)
    query = generator.normal(size=(2, 4, KEYS, D_HEAD))
    key, value = generator.normal(size=(2, 2, 2, KEYS, D_HEAD))
    dtype = limits.dtypes[-1]
    arrays = (a.astype(dtype) for a in (query, key, value))
    return getattr(attempt(caller, *arrays), "shape", None) == query.shape


def kinds_of_masks(form: MaskForm | None, is_causal: bool) -> tuple:
    """The kinds of mask, of MASKS, that a form can express."""
    if is_causal:
        return ("causal",)
    if form is None:
        return ("open",)
    if form.axes in (*OF_KEYS, LENGTHS):
        return ("open", "padding")
    return MASKS
