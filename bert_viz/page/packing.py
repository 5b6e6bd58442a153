"""Arrays as text for a page: few bytes, and an error that is said.

Weights go as 8 bits: 0 to 1 in 255 steps, rounded, so that each is off by
at most 1/510. What must be exact goes as float32, its four bytes sorted
by their place first, because the first bytes of neighbours are alike.
Both are compressed (zlib) and spelled in base64.
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
    """`kind` is "steps" or "float32"; `error` the most that each is off."""

    kind: str
    shape: list[int]
    error: float
    data: str


def pack_weights(weights: Float[Array, "*axes"]) -> Packed:
    """Weights from 0 to 1 in 8 bits each.

    Raises ValueError for numbers outside.
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
    by_place = exact.reshape(-1).view(np.uint8).reshape(-1, 4).T
    return packed("float32", numbers.shape, error, by_place.tobytes())


def packed(kind: str, shape, error: float, data: bytes) -> Packed:
    text = b64encode(zlib.compress(data, LEVEL)).decode()
    return {"kind": kind, "shape": [*shape], "error": error, "data": text}


def unpack(one: Packed) -> Array:
    """What a page reads out of it."""
    data = np.frombuffer(zlib.decompress(b64decode(one["data"])), np.uint8)
    if one["kind"] == "steps":
        return (data / STEPS).reshape(one["shape"])
    by_number = np.ascontiguousarray(data.reshape(4, -1).T)
    return by_number.view("<f4").reshape(one["shape"])
