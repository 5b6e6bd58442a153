"""Probes of a kernel: one query each, a few keys, and one value a key."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .kernels import half_type

Kernel = Callable[..., np.ndarray]
FAR = -400.0  # such a key's weight is 0 in float32, too
KEYS = 16  # a multiple of which fused kernels take


class Probe(NamedTuple):
    """The first features of a query and of its keys, and their values."""

    query: np.ndarray
    keys: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Asked:
    """A kernel, and the format that it is asked in."""

    kernel: Kernel
    dtype: str

    def half(self, numbers) -> np.ndarray:
        """The nearest numbers of the format, in float64."""
        return np.asarray(numbers, half_type(self.dtype)).astype(float)

    def outputs(
        self, probes: list[Probe], features: int, keys: int = KEYS
    ) -> np.ndarray:
        """The first feature of each probe's output, from one call.

        Keys are filled up to a multiple of `keys` with ones too far behind
        to count.
        """
        longest = max(len(probe.keys) for probe in probes)
        length = -(-longest // keys) * keys
        shape = len(probes), length, features
        query = np.zeros((len(probes), 1, features))
        key, value = np.zeros((2, *shape))
        for index, probe in enumerate(probes):
            count, width = probe.keys.shape
            query[index, 0, : len(probe.query)] = probe.query
            key[index, :count, :width] = probe.keys
            key[index, count:, 0] = FAR
            value[index, :count, 0] = probe.values
        arrays = (
            a.astype(half_type(self.dtype)) for a in (query, key, value)
        )
        with np.errstate(all="ignore"):
            return np.asarray(self.kernel(*arrays))[:, 0, 0].astype(float)


@dataclass(frozen=True)
class Finding:
    """What a probe found, and the share of outputs that were as predicted.

    `name` is "unclear" where no prediction fits.
    """

    name: str
    fits: dict[str, float]


UNCLEAR = "unclear"
ENOUGH = 0.75  # of the outputs, for a prediction to be believed


def best_fit(outputs, predictions: dict, tolerance: Callable) -> Finding:
    """The prediction that most outputs are near to; of equals the first."""
    fits = {
        name: float(
            np.mean(np.abs(outputs - expected) <= tolerance(expected))
        )
        for name, expected in predictions.items()
    }
    best = max(fits, key=lambda name: fits[name])
    return Finding(best if fits[best] >= ENOUGH else UNCLEAR, fits)


def weighted_mean(scores: np.ndarray, values: np.ndarray) -> float:
    weights = np.exp(scores - scores.max())
    return float(weights @ values / weights.sum())
