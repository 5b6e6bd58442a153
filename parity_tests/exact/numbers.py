"""Bounded numbers: arrays that carry their error, and moving them."""

from dataclasses import fields, is_dataclass
from types import SimpleNamespace

import numpy as np

from parity_tests.bounds.rounding import (
    Bounded,
    Rounding,
    in_digits,
    is_float_dtype,
    like,
)

FLOAT32 = Rounding.of(np.float32)


def bounded(value, digits: bool = False):
    """Float arrays as `Bounded`, in a dataclass too; all else as it is."""
    if is_dataclass(value):
        return SimpleNamespace(
            **{
                field.name: bounded(getattr(value, field.name), digits)
                for field in fields(value)
            }
        )
    if isinstance(value, list):
        return [bounded(member, digits) for member in value]
    if isinstance(value, tuple):
        members = [bounded(member, digits) for member in value]
        # A named tuple takes its members one by one.
        return getattr(type(value), "_make", tuple)(members)
    if isinstance(value, np.ndarray) and is_float_dtype(value.dtype):
        wide = value.astype(np.float64)
        return Bounded.exactly(value, in_digits(wide) if digits else wide)
    return value


def known_exactly(numbers, a):
    """Numbers without an error, in the precision of `a`."""
    return known_within(numbers, np.zeros(numbers.shape), a)


def known_within(numbers, error, a):
    """Numbers that come with such an error, in the precision of `a`."""
    return Bounded(like(a, numbers), error, a.rounding)


def constant(a, number):
    """One number of the code, rounded to the precision of `a`."""
    error = np.asarray(abs(number) * a.rounding.u)
    return Bounded(like(a, number), error, a.rounding)


def widened(a):
    """Half precision as float32, which holds each of its numbers."""
    return Bounded(a.value, a.error, FLOAT32)


def rounded_as(half, a):
    """One rounding to the precision of `half`: u of a number, and of the
    smallest normal one where it is below that."""
    u, eta = half.rounding.u, half.rounding.eta
    error = a.error + u * np.maximum(a.magnitude, eta)
    return Bounded(a.value, error, half.rounding)


def parameters(**fields):
    """Gradients by the names of the parameters they belong to."""
    return SimpleNamespace(**fields)


def stacked(parts, axis):
    return Bounded(
        np.stack([part.value for part in parts], axis),
        np.stack([part.error for part in parts], axis),
        parts[0].rounding,
    )


def joined(parts):
    return Bounded(
        np.concatenate([part.value for part in parts], -1),
        np.concatenate([part.error for part in parts], -1),
        parts[0].rounding,
    )
