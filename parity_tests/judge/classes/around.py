"""What is around the attention of a layer: a residual, a norm, a gate.

With its matrices at zero attention gives nothing, and what is around it is
left; with other numbers for one of its weights that one shows what it does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import prod

import numpy as np

from parity_tests.judge.subject.weights import is_norm
from parity_tests.judge.verdict.diagnosis import alike
from parity_tests.judge.verdict.protocol import attempt

from .calling import CalledLayer
from .cases import LOUD, LayerCase


class SurroundedLayer(CalledLayer):
    """A layer that can be asked what is around its attention."""

    @contextmanager
    def emptied(self, case: LayerCase) -> Iterator[None]:
        """With all matrices and biases zero, but for those of norms:
        attention gives nothing, and what is around it is left."""
        arrays = self.arrays(case)
        zeros = {
            label: np.zeros_like(arrays[label])
            for label, _, owner in self.parameters(case)
            if not (is_norm(owner) or "norm" in label.lower())
        }
        with self.given(case, zeros):
            yield

    @contextmanager
    def given(self, case: LayerCase, others: dict) -> Iterator[None]:
        """With other numbers for some of its weights."""
        arrays = self.arrays(case)
        key = (self.sizes[case.built], case.seed, case.x.dtype.name)
        self.arrays_of[key] = arrays | others
        try:
            yield
        finally:
            self.arrays_of[key] = arrays

    def parameters(self, case: LayerCase) -> list:
        return self.body.parameters(self.sizes[case.built])

    def gate(self, case: LayerCase) -> str | None:
        """The one number of its weights that attention is multiplied by,
        if there is one."""
        numbers = [
            (label, shape)
            for label, shape, _ in self.parameters(case)
            if prod(shape) == 1
        ]
        if not numbers:
            return None
        with self.emptied(case):
            left = attempt(self.of, case)
        if left is None:
            return None
        gates = (n for n in numbers if self.multiplies(*n, case, left))
        return next(gates, (None,))[0]

    def multiplies(self, label: str, shape, case: LayerCase, left) -> bool:
        """Whether attention is multiplied by this number: at 0 nothing
        but what is `left` without it comes out, and at 2 twice as much
        beside that as at 1."""
        outputs = []
        for number in (0.0, 1.0, 2.0):
            array = np.full(shape, number, case.x.dtype)
            with self.given(case, {label: array}):
                outputs.append(attempt(self.of, case))
        if any(each is None for each in outputs):
            return False
        none, once, twice = outputs
        moves = np.abs(once - left).max(initial=0) > 1e-9
        is_linear = alike(twice - left, 2 * (once - left))
        return bool(moves and alike(none, left) and is_linear)

    def inside(self, case: LayerCase) -> tuple[str, ...]:
        """What is around the attention, the likeliest first: a residual
        or a norm."""
        with self.emptied(case):
            left = attempt(self.of, case)
        if left is None:
            return ("",)
        order = -1 if self.norms_first(case, left) else 1
        if not np.abs(left).max(initial=0) > 1e-9:
            return ("", "norm first")[::order]
        if left.shape == case.x.shape and np.allclose(left, case.x):
            return ("residual", "norm first, residual")[::order]
        return ("residual, norm last", "norm last")

    def norms_first(self, case: LayerCase, left: np.ndarray) -> bool:
        """Whether tokens much larger make no difference, but for what is
        `left` where attention gives nothing."""
        output = attempt(self.of, case)
        loud = attempt(self.of, replace(case, x=case.x * LOUD))
        if output is None or loud is None:
            return False
        output, loud = output - left, loud - left * LOUD
        apart = np.abs(loud - output).max(initial=0)
        return bool(apart < 0.01 * np.abs(output).max(initial=0))
