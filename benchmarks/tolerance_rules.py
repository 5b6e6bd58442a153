"""Rules that say whether an output in half precision is right.

Each is given a trial (an input, and what is known of its attention), the
profile that the kernel claims, and its output, and says what share the
error has of what is allowed: above 1 it accuses the kernel. The last rule
is a theorem as the first is, but has one number for all elements: what a
kernel that rounds everything may be off.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from numpy_ref.attention import scaled_dot_product_attention
from parity_tests.bounds.half_precision import (
    FORMATS,
    HalfBound,
    Profile,
    attention_bound,
)
from parity_tests.judge.half.inputs import MASKS, half_inputs, half_mask
from parity_tests.judge.half.kernels import (
    EAGER,
    Kernel,
    WholeKernel,
    half_type,
)


@dataclass(frozen=True, eq=False)
class Trial:
    """An input in half precision, and what the rules compare with."""

    dtype: str
    kind: str
    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    mask: np.ndarray | None

    def output(self, kernel: Callable) -> np.ndarray:
        return kernel(self.query, self.key, self.value, self.mask)

    @cached_property
    def exact(self) -> np.ndarray:
        """Attention in float64."""
        arrays = self.query, self.key, self.value
        wide = (array.astype(np.float64) for array in arrays)
        mask = np.ones((1, 1, 1), bool) if self.mask is None else self.mask
        return scaled_dot_product_attention(*wide, mask)

    @cached_property
    def baseline_error(self) -> float:
        """The largest error of operations, one by one, in half."""
        return largest(self.output(BASELINE.in_format(self.dtype)), self)

    @cached_property
    def bounds(self) -> dict[Profile, HalfBound]:
        return {}

    def bound(self, profile: Profile) -> HalfBound:
        """The bound of a profile, computed once."""
        if profile not in self.bounds:
            arrays = self.query, self.key, self.value
            self.bounds[profile] = attention_bound(
                *arrays, profile, self.mask
            )
        return self.bounds[profile]


# What FlashAttention's own tests compare with: keys are scaled, and each
# operation writes its result in half.
BASELINE: Kernel = WholeKernel(
    replace(EAGER, score_roundings=1, scaled_before="key")
)


# Relative and absolute, by format.
CLOSE = {"bfloat16": (1.6e-2, 1e-5), "float16": (1e-3, 1e-5)}


def largest(output: np.ndarray, trial: Trial) -> float:
    """The largest error; NaN where one is."""
    return float(np.abs(output.astype(np.float64) - trial.exact).max())


def share(error: np.ndarray, allowed: np.ndarray) -> float:
    """The largest error, in units of what is allowed there.

    Where nothing is allowed a right number has a share of 0. NaN is
    further away than anything, but where anything is allowed.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(error == 0, 0, error / allowed)
    shares = np.where(np.isnan(shares), np.inf, shares)
    return float(np.where(np.isposinf(allowed), 0, shares).max())


def this_bound(trial: Trial, profile: Profile, output: np.ndarray) -> float:
    """`attention_bound`, for each element, by where the kernel rounds."""
    bound = trial.bound(profile)
    return share(np.abs(output.astype(float) - bound.value), bound.error)


def close(trial: Trial, output, relative: float, absolute: float) -> float:
    """As in `torch.testing.assert_close`, beside the rounded result."""
    expected = trial.exact.astype(half_type(trial.dtype)).astype(float)
    with np.errstate(invalid="ignore"):
        error = np.abs(output.astype(float) - expected)
    error = np.where(output.astype(float) == expected, 0, error)
    return share(error, absolute + relative * np.abs(expected))


def assert_close(trial, profile, output) -> float:
    """`torch.testing.assert_close` as it is: by format."""
    return close(trial, output, *CLOSE[trial.dtype])


def allclose(trial, profile, output) -> float:
    """`torch.allclose` with 1e-2, absolute and relative."""
    return close(trial, output, 1e-2, 1e-2)


def twice_the_baseline(trial, profile, output) -> float:
    """Twice the error of operations in half, one by one.

    To it FlashAttention's tests add twice what adding 0.3 in half and
    taking it away again does to the result.
    """
    half = half_type(trial.dtype)
    exact, little = trial.exact.astype(half), half.type(0.3)
    with np.errstate(invalid="ignore"):
        moved = ((exact + little) - little - exact).astype(float)
    allowed = 2 * trial.baseline_error + 2 * np.abs(moved).max()
    return share(np.array(largest(output, trial)), np.array(allowed))


def gamma(count: int, u: float) -> float:
    """k u / (1 - k u): what k roundings may do (Higham 2002, lemma 3.1)."""
    return count * u / (1 - count * u) if count * u < 1 else np.inf


def global_gamma(trial, profile, output) -> float:
    """One number, from sizes: all rounded in half, nothing cancels.

    A score is off by at most gamma(d + 3) times the largest sum of
    |query| |key|, a weight by the exponential of twice that, and by the
    roundings of the sum and the product with the values.
    """
    keys, d_head = trial.key.shape[-2:]
    u = FORMATS[trial.dtype].u
    arrays = trial.query, trial.key, trial.value
    query, key, value = (np.abs(a.astype(np.float64)) for a in arrays)
    scores = (query @ key.mT).max() / d_head**0.5
    with np.errstate(over="ignore", invalid="ignore"):
        moved = gamma(d_head + 3, u) * scores if scores else 0.0
        apart = np.exp(2 * (moved + u))
        most = apart * (1 + gamma(2 * keys + 6, u)) - 1
        return share(
            np.array(largest(output, trial)), np.array(most * value.max())
        )


# A rule says what share of what it allows an output's error is: it accepts
# up to 1.
Rule = Callable[[Trial, Profile, np.ndarray], float]
RULES: dict[str, Rule] = {
    "this bound": this_bound,
    "assert_close": assert_close,
    "allclose(1e-2)": allclose,
    "twice the baseline": twice_the_baseline,
    "global gamma": global_gamma,
}


def trials(dtype: str, count: int, shapes, kinds, seed: int = 0):
    """Trials in turn: each kind with each shape, and masks by chance."""
    generator = np.random.default_rng(seed)
    for index in range(count):
        shape = shapes[generator.integers(len(shapes))]
        kind = kinds[index % len(kinds)]
        arrays = half_inputs(generator, shape, kind, dtype)
        mask = half_mask(generator, shape, generator.choice(MASKS))
        yield Trial(dtype, kind, *arrays, mask)
