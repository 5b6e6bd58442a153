"""How somebody's attention wants to be asked: found out, not judged.

Each probe changes one thing and looks which outputs it moves. That works
for wrong implementations, too: what a mask does is seen from which values
reach which queries, and not from the numbers.
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

# What may be handed over for a mask that is True where one may attend.
MASK_FORMS = {
    "True may attend": lambda mask, dtype: mask,
    "True is hidden": lambda mask, dtype: ~mask,
    "added": lambda mask, dtype: np.where(mask, 0, -inf).astype(dtype),
}
ADDED, HIDING, NO_NUMBERS = "are added", "only hide, at -inf", "not taken"
LAST, FIRST = "the last queries", "the first queries"


@dataclass(frozen=True)
class Told:
    """What need not be found out, because somebody said it."""

    arrays: str | None = None
    mask: str | None = None
    alignment: str | None = None
    blocked_row: str | None = None


NOTHING_TOLD = Told()


def subject_of(
    function: Callable, name: str, told: Told = NOTHING_TOLD
) -> Subject:
    """The function as a subject, its conventions found out.

    Raises ValueError for a signature that is no attention's, and Broken
    for a function that gives no answer to a plain question.
    """
    arguments = Arguments.of(function)
    kinds = ["torch", "numpy"] if is_for_torch(function) else ["numpy"]
    problems = []
    for kind in [told.arrays] if told.arrays else kinds:
        asking = Asking(function, arguments, kind)
        try:
            limits = limits_of(asking)
        except Broken as error:
            problems.append(f"with {kind} arrays it {error}")
            continue
        return probed(asking, name, limits, told)
    raise Broken("; ".join(problems))


@dataclass(frozen=True)
class Asking:
    """A stranger's function, called with NumPy arrays."""

    function: Callable
    arguments: Arguments
    kind: str

    def __call__(self, query, key, value, mask, causal=False, scale=None):
        """`mask` in the function's own form; None for no mask."""
        tensors = zip(
            self.arguments.tensors, (query, key, value), strict=True
        )
        given = {name: self.converted(array) for name, array in tensors}
        if mask is None and self.arguments.mask_is_needed:
            mask = np.ones((query.shape[-2], key.shape[-2]), bool)
        if mask is not None:
            given[self.arguments.mask] = self.converted(mask)
        if causal:
            given[self.arguments.causal] = True
        if scale is not None:
            given[self.arguments.scale] = scale
        return to_array(self.function(**given, **self.arguments.fixed))

    def converted(self, array: np.ndarray):
        return to_tensor(array) if self.kind == "torch" else array

    def gradients(self, upstream, query, key, value, mask):
        """By autograd, of query, key and value."""
        import torch

        tensors = [
            to_tensor(array.copy()).requires_grad_()
            for array in (query, key, value)
        ]
        given = dict(zip(self.arguments.tensors, tensors, strict=True))
        if mask is not None:
            given[self.arguments.mask] = to_tensor(mask)
        context = self.function(**given, **self.arguments.fixed)
        context = context[0] if isinstance(context, tuple) else context
        found = torch.autograd.grad(
            context,
            tensors,
            to_tensor(upstream),
            materialize_grads=True,
        )
        return [gradient.numpy() for gradient in found]


def question(
    batch=(), queries=QUERIES, keys=KEYS, d_value=D_VALUE, dtype="float64"
):
    """Plain numbers to ask with, different in each place."""
    generator = np.random.default_rng(0)
    shapes = ((queries, D_HEAD), (keys, D_HEAD), (keys, d_value))
    return [
        generator.normal(size=(*batch, *shape)).astype(dtype)
        for shape in shapes
    ]


def asked(limits: Range, axes: int | None = None, dtype=None):
    """A question that is within the limits."""
    return question(
        BATCHES[limits.batch_axes[0] if axes is None else axes],
        KEYS if limits.square else QUERIES,
        KEYS,
        D_HEAD if limits.one_width else D_VALUE,
        dtype or limits.dtypes[-1],
    )


def limits_of(asking: Asking) -> Range:
    """Which shapes and precisions it answers. Raises Broken when none.

    Float64 alone is not taken for an answer: float32 is what is used.
    """
    subject = Subject("", asking)
    problem = None
    for dtypes in (("float32", "float64"), ("float32",)):
        for square, one_width in product((False, True), repeat=2):
            limits = Range((0,), dtypes, MASKS, square, one_width)
            axes = []
            for one in BATCHES:
                try:
                    for dtype in dtypes:
                        subject(*asked(limits, one, dtype), None)
                    axes.append(one)
                except Broken as error:
                    problem = problem or error
            if axes:
                return replace(limits, batch_axes=tuple(axes))
    raise problem


def widens(asking: Asking, limits: Range) -> bool:
    """Whether float64 comes of float32."""
    context = asking(*asked(limits, dtype="float32"), None)
    return context.dtype == np.float64


def influence(ask: Callable, limits: Range, mask=None) -> np.ndarray:
    """Which query's output moves when which key's value does."""
    query, key, value = asked(limits)
    before = ask(query, key, value, mask)
    moved = []
    for place in range(key.shape[-2]):
        other = value.copy()
        other[..., place, :] += 1
        after = ask(query, key, other, mask)
        differs = ~(
            (before == after) | (np.isnan(before) & np.isnan(after))
        )
        moved.append(differs.any(axis=-1))
    return np.stack(moved, axis=-1)


def probed(asking: Asking, name: str, limits: Range, told: Told) -> Subject:
    """The subject with its conventions, one probe after the other."""
    arguments = asking.arguments
    form = told.mask or mask_form(asking, limits)
    ask = in_form(asking, form)
    causal = "none"
    if arguments.causal:
        causal = f"the argument {arguments.causal}"
    elif form == "none" and always_causal(asking, limits):
        causal, limits = "always", replace(limits, masks=("causal",))
    if causal == "always":
        limits = replace(limits, square=True)
    elif form == "none":
        limits = replace(limits, masks=("open",))
    own = in_form(asking, form, causal=True) if arguments.causal else None
    conventions = Conventions(
        asking.kind,
        "always asked for" if arguments.mask_is_needed else form,
        causal,
        told.alignment or (alignment(own, limits) if own else "not asked"),
        limits=limits,
    )
    if "float32" in limits.dtypes and widens(asking, limits):
        wider = "comes back as float64; np.sqrt of an int does that"
        conventions = replace(conventions, float32=wider)
    if form != "none":
        conventions = replace(
            conventions,
            mask_of_numbers=mask_of_numbers(asking, limits),
            blocked_row=told.blocked_row or blocked_row(ask, limits),
            nan_in_masked_key=behind_the_mask(ask, limits, "key"),
            nan_in_masked_value=behind_the_mask(ask, limits, "value"),
        )
        if own:
            conventions = replace(
                conventions, causal_and_mask=together(own, limits)
            )
        if conventions.blocked_row != "zeros":
            # What it does then is its own affair, and reported.
            some = tuple(kind for kind in MASKS if kind != "blocked")
            limits = replace(limits, masks=some)
            conventions = replace(conventions, limits=limits)
    backward = None
    if asking.kind == "torch":
        backward = gradients_in_form(asking, form)
    scaled = in_form_scaled(asking, form) if arguments.scale else None
    numbers = conventions.mask_of_numbers in (ADDED, HIDING)
    biased = asking if numbers else None
    return Subject(name, ask, own, backward, scaled, biased, conventions)


def encoded(form: str, mask, dtype):
    """A mask in a function's own form; none where it takes none."""
    if form == "none" or mask is None:
        return None
    return MASK_FORMS[form](mask, dtype)


def in_form(asking: Asking, form: str, causal: bool = False) -> Callable:
    """The function for masks that are True where one may attend."""

    def ask(query, key, value, mask):
        given = encoded(form, mask, query.dtype)
        return asking(query, key, value, given, causal)

    return ask


def in_form_scaled(asking: Asking, form: str) -> Callable:
    def scaled(query, key, value, mask, scale):
        given = encoded(form, mask, query.dtype)
        return asking(query, key, value, given, scale=scale)

    return scaled


def gradients_in_form(asking: Asking, form: str) -> Callable:
    def backward(upstream, query, key, value, mask):
        given = encoded(form, mask, query.dtype)
        return asking.gradients(upstream, query, key, value, given)

    return backward


def some_hidden(limits: Range) -> np.ndarray:
    """A mask by which each query sees the first key, and one more."""
    query, key, _ = asked(limits)
    mask = np.eye(query.shape[-2], key.shape[-2], dtype=bool)
    mask[..., 0] = True
    return mask


def mask_of_numbers(asking: Asking, limits: Range) -> str:
    """What it does with a mask of numbers: 0 and -inf, and then others."""
    mask, arrays = some_hidden(limits), asked(limits)
    bias = np.where(mask, 1, 0).astype(arrays[0].dtype)
    try:
        hiding = influence(in_form(asking, "added"), limits, mask)
        seen = influence(asking, limits, bias)
        moves = not np.array_equal(
            asking(*arrays, bias), asking(*arrays, 0 * bias)
        )
    except Exception:  # it takes no numbers, whatever it raised
        return NO_NUMBERS
    if not np.array_equal(hiding, np.broadcast_to(mask, hiding.shape)):
        return NO_NUMBERS
    if not seen.all():  # to it a number is a boolean
        return NO_NUMBERS
    return ADDED if moves else HIDING


def mask_form(asking: Asking, limits: Range) -> str:
    """What a mask must be for it to hide what it should.

    A function that takes booleans and hides nothing with them, either
    way, is taken to mean True for what may be attended.
    """
    if asking.arguments.mask is None:
        return "none"
    mask = some_hidden(limits)
    takes_booleans = False
    for form in MASK_FORMS:
        if form == "added" and takes_booleans:
            break
        try:
            seen = influence(in_form(asking, form), limits, mask)
        except Exception:  # not this form, whatever it raised
            continue
        takes_booleans = True
        if np.array_equal(seen, np.broadcast_to(mask, seen.shape)):
            return form
    return "True may attend"


def always_causal(asking: Asking, limits: Range) -> bool:
    """Whether no query sees a later key, without being asked for it."""
    square = replace(limits, square=True)
    try:
        seen = influence(asking, square)
    except Exception:  # it has no answer for that shape
        return False
    return bool(
        np.array_equal(
            seen, np.broadcast_to(np.tri(KEYS, dtype=bool), seen.shape)
        )
    )


def alignment(own: Callable, limits: Range) -> str:
    """For which of the tokens its causal form takes fewer queries."""
    if limits.square:
        return "not asked"
    try:
        seen = influence(own, limits)
    except Exception:  # it wants as many queries as keys
        return "as many queries as keys"
    for name, past in ((LAST, KEYS - QUERIES), (FIRST, 0)):
        expected = np.tri(QUERIES, KEYS, past, dtype=bool)
        if np.array_equal(seen, np.broadcast_to(expected, seen.shape)):
            return name
    return "neither the first queries nor the last"


def blocked_row(ask: Callable, limits: Range) -> str:
    """What a query gets that may attend to nothing."""
    query, key, value = asked(limits)
    mask = np.ones((query.shape[-2], key.shape[-2]), bool)
    mask[1] = False
    try:
        row = ask(query, key, value, mask)[..., 1, :]
    except Exception as error:  # a policy, too
        return f"raises {type(error).__name__}"
    mean = value.mean(axis=-2)
    if not row.any():
        return "zeros"
    if np.isnan(row).all():
        return "NaN"
    tolerance = 1e-4  # to tell one policy from another, no more
    if np.allclose(row, mean, atol=tolerance, rtol=tolerance):
        return "mean of all values"
    return "something else"


def together(own: Callable, limits: Range) -> str:
    """Whether its causal form takes another mask besides."""
    query, key, value = asked(replace(limits, square=True))
    mask = np.ones((KEYS, KEYS), bool)
    try:
        own(query, key, value, mask)
    except Exception as error:  # it says so
        return f"raises {type(error).__name__}"
    return "both at once"


def behind_the_mask(ask: Callable, limits: Range, which: str) -> str:
    """Whether a NaN in a key or value that is hidden stays there."""
    query, key, value = asked(limits)
    {"key": key, "value": value}[which][..., 1, :] = nan
    mask = np.ones((query.shape[-2], key.shape[-2]), bool)
    mask[:, 1] = False
    try:
        context = ask(query, key, value, mask)
    except Exception as error:  # a policy, too
        return f"raises {type(error).__name__}"
    return "spreads" if np.isnan(context).any() else "is stopped"
