"""Packing arrays into text for a page: few bytes, and a stated error.

Weights are quantised to 8 bits: 0 to 1 in 255 steps, rounded, so that
each is off by at most 1/510. What must be exact is float32, stored by byte
planes: all first bytes, then all second ones, because the same byte of
neighbouring numbers is often alike. Both are compressed (zlib) and encoded
in base64.
"""

import zlib
from base64 import b64decode, b64encode
from typing import TypedDict

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

STEPS = 255
ERROR = 1 / (2 * STEPS)  # half a step
LEVEL = 4  # of zlib: the default, 6, takes three times as long for 1/8


class Packed(TypedDict):
    """A packed array of `kind` "steps" or "float32".

    `error` is the largest by which a number is off.
    """

    kind: str
    shape: list[int]
    error: float
    data: str


def pack_weights(weights: Float[Array, "*axes"]) -> Packed:
    """Weights from 0 to 1 in 8 bits each.

    Raises ValueError for numbers outside that range.
    """
    if not ((weights >= 0) & (weights <= 1 + 1e-3)).all():
        raise ValueError(
            f"expected weights from 0 to 1, got {weights.min():.6g} to "
            f"{weights.max():.6g}"
        )
    steps = np.rint(np.minimum(weights, 1) * STEPS).astype(np.uint8)
    return packed("steps", weights.shape, ERROR, steps.tobytes())


def pack_floats(numbers: Float[Array, "*axes"]) -> Packed:
    """Numbers as float32, exact where they are float32."""
    exact = np.ascontiguousarray(numbers, dtype="<f4")
    error = float(abs(exact - numbers).max(initial=0))
    byte_planes = exact.reshape(-1).view(np.uint8).reshape(-1, 4).T
    return packed("float32", numbers.shape, error, byte_planes.tobytes())


def packed(kind: str, shape, error: float, data: bytes) -> Packed:
    text = b64encode(zlib.compress(data, LEVEL)).decode()
    return {"kind": kind, "shape": [*shape], "error": error, "data": text}


def unpack(array: Packed) -> Array:
    """The array as a page reads it."""
    data = np.frombuffer(
        zlib.decompress(b64decode(array["data"])), np.uint8
    )
    if array["kind"] == "steps":
        return (data / STEPS).reshape(array["shape"])
    by_number = np.ascontiguousarray(data.reshape(4, -1).T)
    return by_number.view("<f4").reshape(array["shape"])
