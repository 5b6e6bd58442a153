"""Comparing: two values of one step within a bound, and the tally."""

from dataclasses import dataclass

import numpy as np

from parity_tests.bounds.rounding import Rounding, is_float_dtype

# A bound wider than this share of the values it is for checks nothing; in
# half precision one rounding, which either side may make, is more.
WIDE = 1e-3
ROUNDINGS_IN_HALF = 4


@dataclass(frozen=True, eq=False)
class Comparison:
    """Comparison of one named step on both sides, from the same inputs.

    `difference` and `bound` are the largest of the step; `share` is the
    worst ratio of the two, entry by entry, and the step holds up to 1.
    What is no float must be equal: `share` is then 0, or infinite.
    `bound_there` is that of the worst entry, which stands `at`.
    `scale` is the size of what the values were made of, where they may
    have cancelled to nothing.
    """

    path: str
    ours: object
    theirs: object
    difference: float
    bound: float
    share: float
    at: tuple[int, ...] = ()
    sides: tuple[str, str] = ("NumPy", "PyTorch")
    scale: float = 0.0
    bound_there: float = 0.0

    @property
    def holds(self) -> bool:
        return self.share <= 1

    @property
    def is_wide(self) -> bool:
        """True when the bound is too wide to check anything.

        What underflow alone can explain is not wide.
        """
        if not is_float(self.ours):
            return False
        rounding = Rounding.of(self.ours.dtype)
        share, underflow = WIDE, rounding.eta / (2 * rounding.u)
        if rounding.u > WIDE / ROUNDINGS_IN_HALF:
            share, underflow = ROUNDINGS_IN_HALF * rounding.u, rounding.eta
        size = max(largest(self.ours), self.scale)
        return self.bound > max(share * size, underflow)

    def __str__(self) -> str:
        verdict = "agrees" if self.holds else "differs"
        ours, theirs = (
            _entry(side, self.at) for side in (self.ours, self.theirs)
        )
        return (
            f"{self.path} {verdict}: {self.sides[0]} has {ours}, "
            f"{self.sides[1]} {theirs} at {list(self.at)}; the largest "
            f"difference is {self.difference:.3g}, "
            f"the bound {self.bound:.3g}"
        )


@dataclass
class Tally:
    """Tally: how many steps were compared, and which was nearest its bound.

    `wide` counts those whose bound was too wide to check anything.
    """

    compared: int = 0
    failed: int = 0
    wide: int = 0
    worst: Comparison | None = None

    @property
    def holds(self) -> bool:
        return self.failed == 0

    def add(self, comparison: Comparison) -> None:
        self.compared += 1
        self.failed += not comparison.holds
        self.wide += comparison.is_wide
        self._keep_worst(comparison)

    def add_all(self, other: "Tally") -> None:
        """Count what another tally has counted."""
        self.compared += other.compared
        self.failed += other.failed
        self.wide += other.wide
        if other.worst is not None:
            self._keep_worst(other.worst)

    def _keep_worst(self, comparison: Comparison) -> None:
        if self.worst is None or comparison.share > self.worst.share:
            self.worst = comparison


def compare_step(path: str, ours, theirs, exact) -> Comparison:
    """Compare two values of one step, within twice the error of `exact`."""
    if isinstance(ours, list | tuple) and exact is not None:
        expect_equal(path, "lengths", len(ours), len(theirs))
        parts = [
            compare_step(f"{path}[{place}]", *part)
            for place, part in enumerate(
                zip(ours, theirs, exact, strict=True)
            )
        ]
        return max(parts, key=lambda part: part.share)
    expect_equal(path, "kinds", _kind(ours), _kind(theirs))
    if exact is None:
        share = 0.0 if _same(ours, theirs) else float("inf")
        return Comparison(path, ours, theirs, share, 0.0, share)
    if Rounding.of(ours.dtype) != exact.rounding:
        raise AssertionError(
            f"{path}: expected the precision of what came in, "
            f"with u = {exact.rounding.u:.3g}, got {ours.dtype}"
        )
    return within(path, ours, theirs, 2 * exact.error)


def within(path: str, ours, theirs, bound: np.ndarray) -> Comparison:
    """Compare two arrays within a bound, entry by entry.

    Equal entries are 0 apart, infinite ones too; a NaN is as far from all
    else as can be. Raises AssertionError when the shapes differ, and
    ValueError for what is no bound: a NaN, a negative number.
    """
    expect_equal(path, "shapes", ours.shape, theirs.shape)
    if not np.all(bound >= 0):
        raise ValueError(f"{path}: expected a bound, got {np.min(bound)}")
    with np.errstate(invalid="ignore"):
        apart = np.asarray(np.abs(_wide(ours) - _wide(theirs)))
    apart = np.where(ours == theirs, 0, apart.astype(np.float64))
    apart = np.where(np.isnan(apart), np.inf, apart)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(apart == 0, 0, apart / bound)
    shares = np.where(np.isnan(shares), np.inf, shares)
    if not apart.size:
        return Comparison(path, ours, theirs, 0.0, 0.0, 0.0)
    at = np.unravel_index(np.argmax(shares), shares.shape)
    return Comparison(
        path,
        ours,
        theirs,
        difference=float(apart.max()),
        bound=float(np.broadcast_to(bound, apart.shape).max()),
        share=float(shares[at]),
        at=tuple(int(place) for place in at),
        bound_there=float(np.broadcast_to(bound, apart.shape)[at]),
    )


def with_exact(path, value, expected):
    """Compare a step with its exact value; ids and masks are the same."""
    if expected is None and not is_float(value):
        return  # sizes, and what leads to a step that is described
    if isinstance(value, list | tuple) and is_float(value):
        for part, part_expected in zip(value, expected, strict=True):
            yield from with_exact(path, part, part_expected)
    elif is_float(value):
        yield within(path, value, expected.value, expected.error)
    else:
        share = 0.0 if _equals(value, expected) else np.inf
        yield Comparison(path, value, expected, share, 0.0, share)


def _equals(value, expected) -> bool:
    if isinstance(value, list):
        same_length = len(value) == len(expected)
        return same_length and all(map(_equals, value, expected))
    return np.array_equal(value, expected)


def expect_equal(path: str, what: str, ours, theirs) -> None:
    """Raise AssertionError, naming the step, unless both are the same."""
    if ours != theirs:
        raise AssertionError(
            f"{path}: the {what} differ: "
            f"{ours} in NumPy, {theirs} in PyTorch"
        )


def _kind(value):
    """What must be alike whatever the numbers: type, or dtype and shape."""
    if isinstance(value, np.ndarray | np.generic):
        return f"{value.dtype.name} {value.shape}"
    if isinstance(value, list | tuple):
        return [_kind(member) for member in value]
    return type(value).__name__


def is_float(value) -> bool:
    """Whether a value is an array of floats, or has one in it."""
    if isinstance(value, list | tuple):
        return any(is_float(member) for member in value)
    is_array = isinstance(value, np.ndarray | np.generic)
    return is_array and is_float_dtype(value.dtype)


def _same(ours, theirs) -> bool:
    if isinstance(ours, list | tuple):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    return bool(np.all(ours == theirs))


def _wide(value: np.ndarray) -> np.ndarray:
    """float64, which holds every float exactly; mpmath's numbers stay."""
    return value if value.dtype == object else value.astype(np.float64)


def largest(value) -> float:
    """The largest finite magnitude in an array."""
    finite = np.abs(value)[np.isfinite(value)]
    return float(finite.max(initial=0))


def _entry(value, at: tuple[int, ...]):
    return value[at] if at else value
