r"""The exp of an attention kernel: how far it is off, seen from outside.

`rounding.py` allows a library's exp 8 u. A fused kernel may come with a
faster one, chosen by the processor it runs on, and worse. It shows where
one key is ahead and another is t behind it: with the value 1 there, and 0
everywhere else, the output is

$$p = \frac{e^{-t}}{1 + e^{-t}}$$

and moves by (1 - p) of what the two exponentials are off by, relative to
each other. What is the same for both cancels, as it does in any softmax;
so the largest that is seen, between any two keys, is all that a bound has
to know. Scores are exact: with 16 features the scale is 1/4, and its root
1/2. Rounding the distance, and log2 e where it is a factor, may have made
up to 2 t u of what is seen, which a bound counts by itself.

A kernel may take keys by whole vectors with one exp, and what is left of
them with another: so the two keys stand at either end, and among few keys
and many.
"""

from math import ceil

import numpy as np

from .rounding import FUNCTION_ROUNDINGS, Rounding

FEATURES = 16
KEYS = (2, 8, 17, 64, 65)
FAR_BEHIND = 400.0  # in scores: e^-400 is 0 in float32
FURTHEST = 16.0
DISTANCES = 1500


def exp_roundings(kernel, dtype="float32") -> int:
    """How many u the bound of a kernel's softmax must allow its exp.

    `kernel(query, key, value)` takes (batch, tokens, features) arrays.
    Never less than a library's.
    """
    return max(FUNCTION_ROUNDINGS, ceil(measured_exp_error(kernel, dtype)))


def measured_exp_error(kernel, dtype="float32") -> float:
    """The largest relative error of exp that shows, in units of u."""
    distances = np.linspace(0, FURTHEST, DISTANCES).astype(dtype)
    return max(
        error_between(kernel, distances, keys, ahead, behind)
        for keys in KEYS
        for ahead, behind in ((0, keys - 1), (keys - 1, 0), (0, 1), (1, 0))
    )


def error_between(kernel, distances, keys, ahead, behind) -> float:
    """The largest that shows between two of the keys."""
    arrays = two_keys(distances, keys, ahead, behind)
    output = kernel(*arrays)[:, 0, 0].astype(np.float64)
    distance = distances.astype(np.float64)
    share = 1 / (1 + np.exp(distance))
    unit = Rounding.of(distances.dtype).u
    off = np.abs(output / share - 1) / (1 - share) / unit
    return float((off - 2 * distance).max())


def two_keys(distances, keys, ahead, behind):
    """One query each: `behind`, whose value is 1, is so far behind."""
    dtype = distances.dtype
    query = np.zeros((len(distances), 1, FEATURES), dtype)
    query[..., 0] = 4
    key = np.zeros((len(distances), keys, FEATURES), dtype)
    key[..., 0] = -FAR_BEHIND
    key[:, ahead, 0] = 0
    key[:, behind, 0] = -distances
    value = np.zeros((len(distances), keys, FEATURES), dtype)
    value[:, behind, 0] = 1
    return query, key, value
