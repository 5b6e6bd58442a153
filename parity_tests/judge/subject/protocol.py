"""Anybody's attention as one function of NumPy arrays.

`Subject` calls it with query, key, value and a boolean mask, True where a
query may attend, whatever its own conventions are; and it looks at what
comes back before anyone else does.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from .cases import AttentionCase, Range


class Broken(Exception):
    """It raised, or gave back what is no answer; the text says which."""


@dataclass(frozen=True)
class Conventions:
    """How an implementation wants to be asked, and what it does then.

    Found out by `conventions.py`, and reported, never held against it.
    """

    arrays: str = "numpy"
    mask: str = "True may attend"
    causal: str = "none"
    alignment: str = "not asked"
    causal_and_mask: str = "not asked"
    mask_of_numbers: str = "not asked"
    blocked_row: str = "not asked"
    nan_in_masked_key: str = "not asked"
    nan_in_masked_value: str = "not asked"
    weights: str = "not asked"
    float32: str = "not asked"
    limits: Range = field(default_factory=Range)

    @property
    def takes_masks(self) -> bool:
        return "random" in self.limits.masks


@dataclass(frozen=True, eq=False)
class Subject:
    """What is judged.

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
        except (Exception, SystemExit) as error:  # a stranger's code
            raise Broken(
                f"raised {type(error).__name__}: {error}"
            ) from error
        shape = (*query.shape[:-1], value.shape[-1])
        return answer(context, shape, value.dtype)


def answer(context, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """What came back, if it is what was asked for; Broken if not."""
    if not isinstance(context, np.ndarray):
        raise Broken(f"returned {type(context).__name__}, and no array")
    if context.shape != shape:
        raise Broken(
            f"returned the shape {context.shape}, and should {shape}"
        )
    if context.dtype == np.float64 and dtype == np.float32:
        return context.astype(dtype)  # wider: reported, and not wrong
    if context.dtype != dtype:
        raise Broken(f"returned {context.dtype}, and should {dtype}")
    return context
