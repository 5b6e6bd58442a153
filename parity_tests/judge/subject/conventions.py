"""Conventions of an attention function: detected, not judged.

Each test changes one input and looks which outputs it moves. That works
for wrong implementations, too: what a mask does is seen from which values
reach which queries, not from the numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from math import inf, nan

import numpy as np

from .cases import MASKS, Range
from .protocol import Broken, Conventions, Subject
from .signature import Arguments, is_for_torch, to_array, to_tensor

QUERIES, KEYS, D_HEAD, D_VALUE = 5, 7, 4, 6  # and batches of 2 and 3
BATCHES = {0: (), 1: (2,), 2: (2, 3)}

# In what form a mask is passed on; ours is True where one may attend.
MASK_FORMS = {
    "True may attend": lambda mask, dtype: mask,
    "True is masked": lambda mask, dtype: ~mask,
    "added": lambda mask, dtype: np.where(mask, 0, -inf).astype(dtype),
}
ADDED, HIDING, NO_NUMBERS = "are added", "only mask, at -inf", "not taken"
LAST, FIRST = "the last queries", "the first queries"


@dataclass(frozen=True)
class Declared:
    """Conventions that the user declares, and that are not detected."""

    arrays: str | None = None
    mask: str | None = None
    alignment: str | None = None
    fully_masked_row: str | None = None


NOTHING_DECLARED = Declared()


def subject_of(
    function: Callable,
    name: str,
    declared: Declared = NOTHING_DECLARED,
) -> Subject:
    """The function as a subject, its conventions detected.

    Raises ValueError for a signature that is not that of attention, and
    Broken for a function that fails on plain inputs.
    """
    arguments = Arguments.of(function)
    kinds = ["torch", "numpy"] if is_for_torch(function) else ["numpy"]
    problems = []
    for kind in [declared.arrays] if declared.arrays else kinds:
        caller = Caller(function, arguments, kind)
        try:
            limits = limits_of(caller)
        except Broken as error:
            problems.append(f"with {kind} arrays it {error}")
            continue
        return with_conventions(caller, name, limits, declared)
    raise Broken("; ".join(problems))


@dataclass(frozen=True)
class Caller:
    """Call an unknown function, of arrays or of tensors, with arrays."""

    function: Callable
    arguments: Arguments
    kind: str

    def __call__(self, query, key, value, mask, causal=False, scale=None):
        """`mask` is in the function's own form, or None."""
        tensors = zip(
            self.arguments.tensors, (query, key, value), strict=True
        )
        keywords = {name: self.converted(array) for name, array in tensors}
        if mask is None and self.arguments.mask_is_needed:
            mask = np.ones((query.shape[-2], key.shape[-2]), bool)
        if mask is not None:
            keywords[self.arguments.mask] = self.converted(mask)
        if causal:
            keywords[self.arguments.causal] = True
        if scale is not None:
            keywords[self.arguments.scale] = scale
        return to_array(self.function(**keywords, **self.arguments.fixed))

    def converted(self, array: np.ndarray):
        return to_tensor(array) if self.kind == "torch" else array

    def gradients(self, upstream, query, key, value, mask):
        """By autograd, of query, key and value."""
        import torch

        tensors = [
            to_tensor(array.copy()).requires_grad_()
            for array in (query, key, value)
        ]
        keywords = dict(zip(self.arguments.tensors, tensors, strict=True))
        if mask is not None:
            keywords[self.arguments.mask] = to_tensor(mask)
        context = self.function(**keywords, **self.arguments.fixed)
        context = context[0] if isinstance(context, tuple) else context
        gradients = torch.autograd.grad(
            context,
            tensors,
            to_tensor(upstream),
            materialize_grads=True,
        )
        return [gradient.numpy() for gradient in gradients]


def random_arrays(
    batch=(), queries=QUERIES, keys=KEYS, d_value=D_VALUE, dtype="float64"
):
    """Query, key and value of normal numbers, the same each time."""
    generator = np.random.default_rng(0)
    shapes = ((queries, D_HEAD), (keys, D_HEAD), (keys, d_value))
    return [
        generator.normal(size=(*batch, *shape)).astype(dtype)
        for shape in shapes
    ]


def arrays_within(limits: Range, axes: int | None = None, dtype=None):
    """Query, key and value within the limits."""
    return random_arrays(
        BATCHES[limits.batch_axes[0] if axes is None else axes],
        KEYS if limits.square else QUERIES,
        KEYS,
        D_HEAD if limits.one_width else D_VALUE,
        dtype or limits.dtypes[-1],
    )


def limits_of(caller: Caller) -> Range:
    """Which shapes and precisions it accepts. Raises Broken if none.

    Float64 alone does not count: float32 is what is used.
    """
    subject = Subject("", caller)
    problem = None
    for dtypes in (("float32", "float64"), ("float32",)):
        for square, one_width in product((False, True), repeat=2):
            limits = Range((0,), dtypes, MASKS, square, one_width)
            axes = []
            for count in BATCHES:
                try:
                    for dtype in dtypes:
                        subject(*arrays_within(limits, count, dtype), None)
                    axes.append(count)
                except Broken as error:
                    problem = problem or error
            if axes:
                return replace(limits, batch_axes=tuple(axes))
    raise problem


def widens(caller: Caller, limits: Range) -> bool:
    """Whether float32 inputs give a float64 output."""
    context = caller(*arrays_within(limits, dtype="float32"), None)
    return context.dtype == np.float64


def influence(attend: Callable, limits: Range, mask=None) -> np.ndarray:
    """Which query's output moves when the value of which key does."""
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


def with_conventions(
    caller: Caller, name: str, limits: Range, declared: Declared
) -> Subject:
    """The subject with its conventions, detected one after the other."""
    arguments = caller.arguments
    form = declared.mask or mask_form(caller, limits)
    attend = in_form(caller, form)
    causal = "none"
    if arguments.causal:
        causal = f"the argument {arguments.causal}"
    elif form == "none" and always_causal(caller, limits):
        causal, limits = "always", replace(limits, masks=("causal",))
    if causal == "always":
        limits = replace(limits, square=True)
    elif form == "none":
        limits = replace(limits, masks=("open",))
    own = in_form(caller, form, causal=True) if arguments.causal else None
    conventions = Conventions(
        caller.kind,
        "required" if arguments.mask_is_needed else form,
        causal,
        declared.alignment
        or (alignment(own, limits) if own else "not tested"),
        limits=limits,
    )
    if "float32" in limits.dtypes and widens(caller, limits):
        wider = "returned as float64, as np.sqrt of an int makes it"
        conventions = replace(conventions, float32=wider)
    if form != "none":
        conventions = replace(
            conventions,
            mask_of_numbers=mask_of_numbers(caller, limits),
            fully_masked_row=declared.fully_masked_row
            or fully_masked_row(attend, limits),
            nan_in_masked_key=behind_the_mask(attend, limits, "key"),
            nan_in_masked_value=behind_the_mask(attend, limits, "value"),
        )
        if own:
            conventions = replace(
                conventions, causal_and_mask=causal_with_mask(own, limits)
            )
        if conventions.fully_masked_row != "zeros":
            # What it does then is a convention, which is reported.
            others = tuple(kind for kind in MASKS if kind != "fully masked")
            limits = replace(limits, masks=others)
            conventions = replace(conventions, limits=limits)
    backward = None
    if caller.kind == "torch":
        backward = gradients_in_form(caller, form)
    scaled = in_form_scaled(caller, form) if arguments.scale else None
    numbers = conventions.mask_of_numbers in (ADDED, HIDING)
    biased = caller if numbers else None
    return Subject(name, attend, own, backward, scaled, biased, conventions)


def encoded(form: str, mask, dtype):
    """A mask in the function's own form; None where it takes no mask."""
    if form == "none" or mask is None:
        return None
    return MASK_FORMS[form](mask, dtype)


def in_form(caller: Caller, form: str, causal: bool = False) -> Callable:
    """The function, for masks that are True where one may attend."""

    def attend(query, key, value, mask):
        own_mask = encoded(form, mask, query.dtype)
        return caller(query, key, value, own_mask, causal)

    return attend


def in_form_scaled(caller: Caller, form: str) -> Callable:
    def scaled(query, key, value, mask, scale):
        own_mask = encoded(form, mask, query.dtype)
        return caller(query, key, value, own_mask, scale=scale)

    return scaled


def gradients_in_form(caller: Caller, form: str) -> Callable:
    def backward(upstream, query, key, value, mask):
        own_mask = encoded(form, mask, query.dtype)
        return caller.gradients(upstream, query, key, value, own_mask)

    return backward


def two_keys_visible(limits: Range) -> np.ndarray:
    """A mask that shows each query the first key, and one more."""
    query, key, _ = arrays_within(limits)
    mask = np.eye(query.shape[-2], key.shape[-2], dtype=bool)
    mask[..., 0] = True
    return mask


def mask_of_numbers(caller: Caller, limits: Range) -> str:
    """What numbers in a mask do: first 0 and -inf, then others."""
    mask, arrays = two_keys_visible(limits), arrays_within(limits)
    bias = np.where(mask, 1, 0).astype(arrays[0].dtype)
    try:
        masking = influence(in_form(caller, "added"), limits, mask)
        visible = influence(caller, limits, bias)
        moves = not np.array_equal(
            caller(*arrays, bias), caller(*arrays, 0 * bias)
        )
    except Exception:  # it takes no numbers, whatever it raises
        return NO_NUMBERS
    if not np.array_equal(masking, np.broadcast_to(mask, masking.shape)):
        return NO_NUMBERS
    if not visible.all():  # it takes numbers for booleans
        return NO_NUMBERS
    return ADDED if moves else HIDING


def mask_form(caller: Caller, limits: Range) -> str:
    """In which form a mask hides what it should.

    If a function takes booleans but neither form hides anything, True is
    taken to mean "may attend".
    """
    if caller.arguments.mask is None:
        return "none"
    mask = two_keys_visible(limits)
    takes_booleans = False
    for form in MASK_FORMS:
        if form == "added" and takes_booleans:
            break
        try:
            visible = influence(in_form(caller, form), limits, mask)
        except Exception:  # not this form, whatever it raises
            continue
        takes_booleans = True
        if np.array_equal(visible, np.broadcast_to(mask, visible.shape)):
            return form
    return "True may attend"


def always_causal(caller: Caller, limits: Range) -> bool:
    """Whether no query sees a later key, although no mask says so."""
    square = replace(limits, square=True)
    try:
        visible = influence(caller, square)
    except Exception:  # it does not take that shape
        return False
    return bool(
        np.array_equal(
            visible,
            np.broadcast_to(np.tri(KEYS, dtype=bool), visible.shape),
        )
    )


def alignment(own: Callable, limits: Range) -> str:
    """With which keys its causal form aligns fewer queries."""
    if limits.square:
        return "not tested"
    try:
        visible = influence(own, limits)
    except Exception:  # it needs as many queries as keys
        return "as many queries as keys"
    for name, past in ((LAST, KEYS - QUERIES), (FIRST, 0)):
        expected = np.tri(QUERIES, KEYS, past, dtype=bool)
        if np.array_equal(
            visible, np.broadcast_to(expected, visible.shape)
        ):
            return name
    return "neither the first queries nor the last"


def fully_masked_row(attend: Callable, limits: Range) -> str:
    """What a fully masked row gets."""
    query, key, value = arrays_within(limits)
    mask = np.ones((query.shape[-2], key.shape[-2]), bool)
    mask[1] = False
    try:
        row = attend(query, key, value, mask)[..., 1, :]
    except Exception as error:  # a convention, too
        return f"raises {type(error).__name__}"
    mean = value.mean(axis=-2)
    if not row.any():
        return "zeros"
    if np.isnan(row).all():
        return "NaN"
    tolerance = 1e-4  # to tell one convention from another, no more
    if np.allclose(row, mean, atol=tolerance, rtol=tolerance):
        return "the mean of all values"
    return "something else"


def causal_with_mask(own: Callable, limits: Range) -> str:
    """Whether its causal form takes another mask as well."""
    query, key, value = arrays_within(replace(limits, square=True))
    mask = np.ones((KEYS, KEYS), bool)
    try:
        own(query, key, value, mask)
    except Exception as error:  # a convention, too
        return f"raises {type(error).__name__}"
    return "both at once"


def behind_the_mask(attend: Callable, limits: Range, which: str) -> str:
    """Whether a NaN in a masked key or value stays there."""
    query, key, value = arrays_within(limits)
    {"key": key, "value": value}[which][..., 1, :] = nan
    mask = np.ones((query.shape[-2], key.shape[-2]), bool)
    mask[:, 1] = False
    try:
        context = attend(query, key, value, mask)
    except Exception as error:  # a convention, too
        return f"raises {type(error).__name__}"
    return "spreads" if np.isnan(context).any() else "is stopped"
