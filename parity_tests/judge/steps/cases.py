"""Cases: the inputs of a step, or of its gradient, all of them by name."""

import inspect
from dataclasses import is_dataclass

import numpy as np
from hypothesis import strategies as st

from parity_tests.bounds.rounding import is_float_dtype
from parity_tests.judge.candidate.wire import BFLOAT16
from parity_tests.twins.gradients import output_name
from parity_tests.twins.strategies import (
    MOST_BATCH_AXES,
    SEEDS,
    cases,
    precision_of,
)

from .property import BACKWARD, description, leaves, twin_of

UPSTREAM = [-3, -2, -1, 1, 2, 3]
# Without padding all texts have the same positions, so that most people's
# position embedding takes one row of them.
WITHOUT_BATCH = {"position_embedding"}


class StepCase(dict):
    """One input of the step called `name`: its arguments by name.

    As text it is a call that can be pasted into Python.
    """

    def __init__(self, name: str, arguments: dict):
        super().__init__(arguments)
        self.name = name

    def size(self) -> tuple[int, float]:
        """How large it is: what a reader sees should be small."""
        arrays = [
            *leaves(self).values(),
            *(a for a in self.values() if is_integral(a)),
        ]
        magnitude = sum(
            float(np.abs(a.astype(float)).sum()) for a in arrays
        )
        return sum(array.size for array in arrays), magnitude

    def __str__(self) -> str:
        sources = (f"{n}={as_source(v)}" for n, v in self.items())
        return f"{self.name}({', '.join(sources)})"


def in_float32(value):
    """The same value, with float32 in place of float64: JAX has no other,
    unless it is told to."""
    if isinstance(value, StepCase):
        parts = {name: in_float32(part) for name, part in value.items()}
        return StepCase(value.name, parts)
    if is_dataclass(value):
        return type(value)(*map(in_float32, vars(value).values()))
    if isinstance(value, tuple):
        return tuple(map(in_float32, value))
    is_wide = getattr(value, "dtype", None) == np.float64
    return value.astype(np.float32) if is_wide else value


def is_integral(value) -> bool:
    """Whether it is an array of ids, or a mask."""
    return isinstance(value, np.ndarray) and not is_float_dtype(value.dtype)


def as_source(value) -> str:
    """A value as Python source, to the last digit."""
    if isinstance(value, np.ndarray):
        # Of bfloat16 NumPy prints no more than six digits.
        is_bfloat16 = value.dtype.name == BFLOAT16
        numbers = np.array2string(
            value.astype(float) if is_bfloat16 else value,
            separator=", ",
            floatmode="unique",
            threshold=value.size,
        )
        dtype = "bool" if value.dtype == bool else f"np.{value.dtype}"
        dtype = f"ml_dtypes.{BFLOAT16}" if is_bfloat16 else dtype
        return f"np.array({numbers}, dtype={dtype})"
    if isinstance(value, np.generic):
        return f"np.{value.dtype}({value})"
    if is_dataclass(value):
        sources = (f"{n}={as_source(v)}" for n, v in vars(value).items())
        return f"{type(value).__name__}({', '.join(sources)})"
    if isinstance(value, tuple) and any(map(is_dataclass, value)):
        return "(" + "".join(f"{as_source(part)}, " for part in value) + ")"
    return repr(value)


@st.composite
def step_cases(
    draw, name: str, dtypes=("float32", "float64"), equal: bool = False
) -> StepCase:
    """Any input of a step, or of its gradient, in either precision; of a
    step in half precision, in the half that goes with it.

    Where sizes are `equal`, a swapped axis raises no error.
    """
    twin = twin_of(name)
    dtype = draw(st.sampled_from(dtypes))
    batch_axes = 0 if twin.name in WITHOUT_BATCH else MOST_BATCH_AXES
    case = draw(cases(twin, dtype, equal, batch_axes))
    values = case.numpy_arguments()
    order = inspect.signature(twin.reference).parameters
    arguments = {n: plain(values[n]) for n in order if n in values}
    if not name.endswith(BACKWARD):
        return StepCase(name, arguments)
    output = output_name(twin)
    shape = description(twin.name, arguments)[output].shape
    upstream = np.random.default_rng(draw(SEEDS)).choice(UPSTREAM, shape)
    # A loss is a number; an array stays as it is.
    array = np.array(upstream, precision_of(twin, dtype))
    first = {f"d_{output}": array[()]}
    return StepCase(name, first | arguments)


def plain(value):
    """A NumPy scalar as a Python number: else it would widen a float32."""
    return value.item() if isinstance(value, np.generic) else value
