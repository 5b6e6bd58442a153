"""Forms: as what arrays are passed on, and in which form a mask is.

Ours is True where a query may attend, and broadcasts to the scores. A
form that cannot say what a mask says is not asked about that mask.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import inf

import numpy as np

from parity_tests.judge.candidate.things import Thing
from parity_tests.judge.candidate.values import HOLDER
from parity_tests.judge.candidate.wire import Record
from parity_tests.judge.verdict.protocol import NotAsked

MEANINGS = {
    "True may attend": lambda mask, dtype: mask,
    "True is masked": lambda mask, dtype: ~mask,
    "1 may attend": lambda mask, dtype: mask.astype(np.int64),
    "1 is masked": lambda mask, dtype: (~mask).astype(np.int64),
    "1.0 may attend": lambda mask, dtype: mask.astype(dtype),
    "1.0 is masked": lambda mask, dtype: (~mask).astype(dtype),
    "added": lambda mask, dtype: np.where(mask, 0, -inf).astype(dtype),
    "added, -1e9": lambda mask, dtype: np.where(mask, 0, -1e9).astype(
        dtype
    ),
}
GROUPS = {
    "attends": ("True may attend", "1 may attend", "1.0 may attend"),
    "hidden": ("True is masked", "1 is masked", "1.0 is masked"),
    "added": ("added", "added, -1e9"),
}
OPPOSITE = dict(zip(GROUPS["attends"], GROUPS["hidden"], strict=True))
OPPOSITE |= {hidden: attends for attends, hidden in OPPOSITE.items()}


@dataclass(frozen=True)
class MaskForm:
    """A form of masks: `meaning` of MEANINGS, `axes` of AXES; one that is
    `held` is the attribute `mask` of an object."""

    meaning: str
    axes: str = "any"
    held: bool = False

    @property
    def opposite(self) -> "MaskForm":
        """The form that says the opposite, if there is one."""
        meaning = OPPOSITE.get(self.meaning, self.meaning)
        return replace(self, meaning=meaning)

    def __str__(self) -> str:
        axes = "" if self.axes == "any" else f", of ({self.axes})"
        held = ", as .mask of an object" if self.held else ""
        return f"{self.meaning}{axes}{held}"

    def passed(self, mask, shape: tuple[int, ...], dtype):
        """The mask as the subject takes it. Raises NotAsked."""
        array = self.array(mask, shape, dtype)
        return Record(HOLDER, False, mask=array) if self.held else array

    def array(self, mask, shape: tuple[int, ...], dtype) -> np.ndarray:
        if "text" in self.axes and len(shape) < 3:
            raise NotAsked(f"its masks are of ({self.axes})")
        own = AXES[self.axes](mask, shape)
        rows = np.broadcast_to(mask, shape)
        if not np.array_equal(rows_of(own, self.axes, shape), rows):
            raise NotAsked(f"its masks are of ({self.axes})")
        if self.axes == LENGTHS:
            return own
        return MEANINGS[self.meaning](own, dtype)


def passed_masks(
    forms: dict[str, MaskForm],
    masks: dict[str, np.ndarray],
    required: tuple[str, ...],
    shape: tuple[int, ...],
    dtype,
) -> dict:
    """Each mask in its form; one that is required, and that nobody gave,
    allows everything. Raises NotAsked."""
    open_masks = dict.fromkeys(required, np.ones(shape[-2:], bool))
    masks = open_masks | masks
    return {
        name: form.passed(masks[name], shape, dtype)
        for name, form in forms.items()
        if name in masks
    }


LENGTHS = "lengths of texts"
TEXTS_LAST = "query, key, text"
KEY = "key"  # of a text without a batch
# Masks of the windows of an image, where each text is one: image by image,
# or all those of a window at once.
IN_TURN, AT_ONCE = "window, query, key", "window of all texts, query, key"
AS_LENGTHS = "True may attend"  # counted from the first token on


def first_rows(mask, shape, keep: tuple[int, ...]) -> np.ndarray:
    """The mask with only some of its axes, and of the others the first."""
    rows = np.broadcast_to(mask, shape)
    axes = [axis % rows.ndim for axis in keep]
    at = tuple(
        slice(None) if axis in axes else 0 for axis in range(rows.ndim)
    )
    return np.ascontiguousarray(rows[at])


def with_an_axis(mask, shape) -> np.ndarray:
    return first_rows(mask, shape, (0, -2, -1))[:, None]


AXES = {
    "any": lambda mask, shape: np.array(mask),
    "all axes": lambda mask, shape: np.array(np.broadcast_to(mask, shape)),
    "query, key": lambda mask, shape: first_rows(mask, shape, (-2, -1)),
    "text, 1, query, key": with_an_axis,
    "text, query, key": lambda m, shape: first_rows(m, shape, (0, -2, -1)),
    "text, 1, 1, key": lambda m, shape: with_an_axis(m, shape)[:, :, :1],
    "text, 1, key": lambda m, shape: with_an_axis(m, shape)[:, 0, :1],
    "text, key": lambda m, shape: first_rows(m, shape, (0, -1)),
    KEY: lambda m, shape: first_rows(m, shape, (-1,)),
    TEXTS_LAST: lambda m, shape: np.moveaxis(
        first_rows(m, shape, (0, -2, -1)), 0, -1
    ),
    LENGTHS: lambda m, shape: first_rows(m, shape, (0, -1)).sum(axis=-1),
    IN_TURN: lambda m, shape: first_rows(m, shape, (0, -2, -1))[
        : windows_of(shape)
    ],
    AT_ONCE: lambda m, shape: first_rows(m, shape, (0, -2, -1))[
        :: shape[0] // windows_of(shape)
    ],
}
OF_KEYS = ("text, 1, 1, key", "text, 1, key", "text, key", KEY)


def windows_of(shape: tuple[int, ...]) -> int:
    """How many windows an image has: there are two images, where that can
    be."""
    return shape[0] // 2 if shape[0] % 2 == 0 else shape[0]


def rows_of(own: np.ndarray, axes: str, shape) -> np.ndarray:
    """What such a mask says, broadcast to the shape of the scores."""
    if axes in (IN_TURN, AT_ONCE):
        texts = np.arange(shape[0])
        images = shape[0] // len(own)
        of_each = texts % len(own) if axes == IN_TURN else texts // images
        own = own[of_each]
    if axes == LENGTHS:
        own = np.arange(shape[-1]) < own[:, None]
    if axes in (*OF_KEYS, LENGTHS) and axes != KEY:
        own = own.reshape(len(own), *([1] * (len(shape) - 2)), -1)
    elif "text" in axes:
        if axes == TEXTS_LAST:
            own = np.moveaxis(own, -1, 0)
        batch = [1] * (len(shape) - 3)
        own = own.reshape(len(own), *batch, *own.shape[-2:])
    return np.broadcast_to(own, shape)


def expressible(mask: np.ndarray, axes: str, shape) -> np.ndarray:
    """The nearest mask that such axes can express."""
    return rows_of(AXES[axes](mask, shape), axes, shape)


def axes_to_try(batch_axes: int, name: str, is_lengths: bool) -> list[str]:
    """Axes of a mask, from the likeliest on, for so many batch axes."""
    if is_lengths:
        return [LENGTHS] if batch_axes else []
    free = ["any", "all axes", "query, key"]
    if not batch_axes:
        return [*free, KEY]
    of_keys = ["text, key", "text, 1, 1, key", "text, 1, key"]
    if batch_axes == 1:
        free += ["text, query, key", "text, 1, query, key"]
        of_keys.append(TEXTS_LAST)
    else:
        free += ["text, 1, query, key", "text, query, key"]
    is_padding = "pad" in name.lower()
    return of_keys + free if is_padding else free + of_keys


def libraries_to_try(thing: Thing, declared: str | None) -> tuple[str, ...]:
    """Of which library arrays may have to be, from the likeliest on."""
    if declared:
        return (declared,)
    if thing.library == "jax":
        return ("jax", "numpy")
    return ("torch", "numpy")[:: 1 if thing.library == "torch" else -1]


def is_held(thing: Thing, name: str) -> bool:
    """Whether a mask is an object, of which the attribute `mask` is."""
    own = rf"\b{re.escape(name)}\.mask\b"
    return re.search(own, thing.source + thing.helpers) is not None


def open_forms(
    required: tuple[str, ...],
    lengths: str | None,
    batch_axes: int,
    held: bool = False,
) -> Iterator[dict[str, MaskForm]]:
    """Forms in which required masks may allow everything."""
    if not required:
        yield {}
        return
    axes_of_masks = axes_to_try(batch_axes, required[0], False)
    for axes, meaning in product(axes_of_masks, MEANINGS):
        forms = dict.fromkeys(required, MaskForm(meaning, axes, held))
        if lengths in forms:
            forms[lengths] = MaskForm(AS_LENGTHS, LENGTHS)
        yield forms
