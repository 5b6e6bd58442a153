"""`Subject`: any attention as one function of NumPy arrays.

It is called with query, key, value and a boolean mask, True where a query
may attend, whatever its own conventions are; and what it returns is
checked before anything else is done with it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from .cases import AttentionCase, Range


class Broken(Exception):
    """The subject raised, or its output is invalid; the text says how."""


@dataclass(frozen=True)
class Conventions:
    """Conventions: how an implementation is called, and what it does.

    Detected by `conventions.py` and reported; they are never failures.
    """

    arrays: str = "numpy"
    mask: str = "True may attend"
    causal: str = "none"
    alignment: str = "not tested"
    causal_and_mask: str = "not tested"
    mask_of_numbers: str = "not tested"
    fully_masked_row: str = "not tested"
    nan_in_masked_key: str = "not tested"
    nan_in_masked_value: str = "not tested"
    weights: str = "not tested"
    float32: str = "not tested"
    limits: Range = field(default_factory=Range)

    @property
    def takes_masks(self) -> bool:
        return "random" in self.limits.masks


@dataclass(frozen=True, eq=False)
class Subject:
    """The implementation under judgement.

    `call(query, key, value, mask)` and, where the implementation has a
    causal form of its own, `causal(query, key, value, mask)`: in NumPy
    arrays, `mask` None for no mask. `backward`, where PyTorch can derive
    it, gives the gradients of all three from that of the output; `scaled`
    takes a scale at the end. `biased` takes numbers for a mask, which are
    added to the scores.
    """

    name: str
    call: Callable
    causal: Callable | None = None
    backward: Callable | None = None
    scaled: Callable | None = None
    biased: Callable | None = None
    conventions: Conventions = field(default_factory=Conventions)

    def __call__(self, query, key, value, mask) -> np.ndarray:
        return self._checked(self.call, query, key, value, mask)

    def of(self, case: AttentionCase) -> np.ndarray:
        return self(**case.arrays)

    def causally(self, query, key, value, mask=None) -> np.ndarray:
        return self._checked(self.causal, query, key, value, mask)

    def with_scale(self, query, key, value, mask, scale) -> np.ndarray:
        arrays = query, key, value, mask
        return self._checked(partial(self.scaled, scale=scale), *arrays)

    def with_bias(self, query, key, value, bias) -> np.ndarray:
        return self._checked(self.biased, query, key, value, bias)

    def _checked(self, call, query, key, value, mask) -> np.ndarray:
        try:
            with np.errstate(all="ignore"):
                context = call(query, key, value, mask)
        except (Exception, SystemExit) as error:  # foreign code
            raise Broken(
                f"raised {type(error).__name__}: {error}"
            ) from error
        shape = (*query.shape[:-1], value.shape[-1])
        return checked_output(context, shape, value.dtype)


def checked_output(
    context, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """The output, if it is a valid one; raises Broken if not."""
    if not isinstance(context, np.ndarray):
        raise Broken(
            f"returned {type(context).__name__}, expected an array"
        )
    if context.shape != shape:
        raise Broken(f"returned shape {context.shape}, expected {shape}")
    if context.dtype == np.float64 and dtype == np.float32:
        return context.astype(dtype)  # wider: reported, but not wrong
    if context.dtype != dtype:
        raise Broken(f"returned {context.dtype}, expected {dtype}")
    return context
