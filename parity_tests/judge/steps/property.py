"""The properties of the steps: the list of them, and what they share.

A step is a function of NumPy values, judged under its name in `numpy_ref`.
A property of it is `check(step, arguments)`, which yields comparisons; the
arguments are those of one drawn case, `params` among them. From `exact` it
takes how far a correct result may be off, but never the result itself:
what it expects comes without a reference.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, is_dataclass, replace
from functools import cache, reduce
from types import SimpleNamespace
from zlib import crc32

import numpy as np

from numpy_ref.parameters import from_state_dict, state_dict
from parity_tests.bounds.rounding import (
    Bounded,
    Rounding,
    affine,
    is_float_dtype,
)
from parity_tests.exact import described
from parity_tests.exact.numbers import bounded
from parity_tests.judge.verdict.property import (
    SIDES,
    Comparisons,
    identical,
    same,
)
from parity_tests.judge.verdict.property import Property as Property
from parity_tests.judge.verdict.protocol import Broken
from parity_tests.twins.comparing import Comparison, largest
from parity_tests.twins.finding import Twin, find_twins
from parity_tests.twins.gradients import (
    backward,
    kept,
    named_leaves,
    output_name,
)
from parity_tests.twins.rules import GIVEN
from parity_tests.twins.strategies import precision_of

IN_FLOAT64 = Rounding.of(np.float64)
BACKWARD = "_backward"


def gradients_of(*names: str) -> tuple[str, ...]:
    """The names of the gradients of these steps."""
    return tuple(f"{name}{BACKWARD}" for name in names)


@dataclass(frozen=True)
class Step:
    """The function to be judged as the step called `name`."""

    name: str
    function: Callable

    def __call__(self, **arguments):
        return self.function(**arguments)

    def inputs_after(self, arguments: dict) -> dict:
        """The arguments as they are after a call."""
        if getattr(self.function, "inputs_after", None):
            return self.function.inputs_after(arguments)
        self(**arguments)
        return arguments

    def error(self, arguments: dict, inexact=None) -> np.ndarray:
        """How far a correct result may be from the exact one.

        Where an argument is itself off, `inexact` says by how much; an
        array of `params` goes by its dotted name.
        """
        steps = description(self.name, arguments, inexact)
        exact = steps[output_name(twin_of(self.name))]
        first = exact[0] if isinstance(exact, tuple) else exact
        return first.error

    def known(self, arguments: dict) -> Bounded:
        """The result, and how far it may be off if it is correct."""
        result = self(**arguments)
        first = result[0] if isinstance(result, tuple) else result
        return known(first, self.error(arguments))


@dataclass(frozen=True)
class Gradient:
    """The gradient to be judged of the step called `name`, and that step.

    `backward` is called with the gradient of the step's result, under
    its name, and all that the step takes.
    """

    name: str
    forward: Callable
    backward: Callable

    @property
    def step(self) -> Step:
        return Step(self.name, self.forward)

    def __call__(self, **arguments):
        return self.backward(**self.with_kept(arguments))

    def inputs_after(self, arguments: dict) -> dict:
        """The arguments as they are after a call."""
        return self.backward.inputs_after(self.with_kept(arguments))

    def with_kept(self, arguments: dict) -> dict:
        """Also what the reference has kept on the way, if it is taken."""
        first, *_ = arguments
        before = kept(twin_of(self.name), inputs(arguments))
        return {first: arguments[first]} | before | inputs(arguments)

    def known(self, arguments: dict, inexact=None) -> dict[str, Bounded]:
        """The gradient of each input array, by its dotted name, and how
        far it may be off if it is correct."""
        gradients = named_results(self(**arguments), inputs(arguments))
        exact = self.exact(arguments, inexact)
        return {n: known(g, exact[n].error) for n, g in gradients.items()}

    def exact(self, arguments: dict, inexact=None) -> dict[str, Bounded]:
        """The exact gradients, by the same names."""
        taken = self.with_kept(arguments)
        return dict(
            parts_of(description(f"{self.name}{BACKWARD}", taken, inexact))
        )


def description(name: str, arguments: dict, inexact=None) -> dict:
    """The named values of a step, each with its error."""
    taken = SimpleNamespace(
        **{key: bounded(as_array(v)) for key, v in arguments.items()}
    )
    for dotted, error in (inexact or {}).items():
        *path, last = dotted.split(".")
        holder = reduce(getattr, path, taken)
        setattr(holder, last, replace(getattr(holder, last), error=error))
    return described(name)(**vars(taken))


def as_array(value):
    """The gradient of a loss as an array; anything else as it is."""
    return np.asarray(value) if isinstance(value, np.floating) else value


@cache
def twin_of(name: str) -> Twin:
    """The step of that name, or of which it is the gradient.

    Raises ValueError if there is none.
    """
    step = name.removesuffix(BACKWARD)
    for twin in find_twins():
        if twin.name == step and (step == name or backward(twin)):
            return twin
    raise ValueError(f"expected the name of a step, got {name!r}")


def is_in_half(name: str) -> bool:
    """Whether a step, or a gradient, takes floats of 16 bits."""
    return precision_of(twin_of(name), "float32") != "float32"


def known(value, error: np.ndarray) -> Bounded:
    """A result that may be off; from here on it is in float64."""
    wide = np.asarray(value, np.float64)
    if not np.isfinite(wide).all():
        raise Broken("returned a NaN or an infinity")
    return Bounded(wide, error, IN_FLOAT64)


def exactly(array: np.ndarray) -> Bounded:
    """An input, which is exact."""
    return known(array, np.zeros(np.shape(array)))


def through(layer, x: Bounded) -> Bounded:
    """A linear layer, as it is defined, with an error bound."""
    return affine(x, exactly(layer.weight), exactly(layer.bias))


def agree(path: str, got: Bounded, expected: Bounded, of=None):
    """Two results that should be the same, each off by its error.

    Where they may be next to nothing, `of` is what they were made of.
    """
    bound = got.error + expected.error
    value = np.broadcast_to(expected.value, got.shape)
    scale = 0.0 if of is None else largest(of.value)
    return replace(same(path, got.value, value, bound), scale=scale)


def alike(path: str, got, expected):
    """Ids, masks and plain numbers, which must be equal."""
    got, expected = (np.asarray(part, float) for part in (got, expected))
    if got.shape != expected.shape:
        raise Broken(
            f"returned {path} of shape {got.shape}, "
            f"expected {expected.shape}"
        )
    return identical(path, got, expected)


def equal(path: str, got, expected) -> Comparisons:
    """Values that are no floats, part by part."""
    if isinstance(expected, tuple | list) and not is_text(expected):
        for index, parts in enumerate(zip(got, expected, strict=True)):
            yield from equal(f"{path}[{index}]", *parts)
    elif isinstance(expected, np.ndarray | bool | int | float):
        yield alike(path, got, expected)
    else:
        share = 0.0 if got == expected else np.inf
        yield Comparison(
            path, got, expected, share, 0.0, share, sides=SIDES
        )


def is_text(value) -> bool:
    return any(isinstance(part, str) for part in value)


def generator_for(arguments: dict) -> np.random.Generator:
    """A generator that is always the same for the same arguments."""
    arrays = [v for v in arguments.values() if isinstance(v, np.ndarray)]
    return np.random.default_rng([crc32(a.tobytes()) for a in arrays])


def rounded(array: np.ndarray) -> np.ndarray:
    """How far an array may be off if its entries were rounded once."""
    return np.abs(array) * Rounding.of(array.dtype).u


# --- inputs and gradients by their dotted names --------------------------


def inputs(arguments: dict) -> dict:
    """The arguments of the step: all but the gradient of its result."""
    _, *names = arguments
    return {name: arguments[name] for name in names}


def leaves(arguments: dict) -> dict[str, np.ndarray]:
    """Each float array among the arguments, by its dotted name."""
    return dict(parts_of({f"d_{n}": v for n, v in arguments.items()}))


def parts_of(steps: dict) -> Iterator[tuple[str, object]]:
    """Each gradient `d_...`, by the dotted name of what it belongs to."""
    for name, value in steps.items():
        if name.startswith("d_") and has_gradient(value):
            yield from named_leaves(value, name.removeprefix("d_"))


def has_gradient(value) -> bool:
    """Whether a value has a gradient: floats and parameters do."""
    floats = isinstance(value, Bounded) or (
        isinstance(value, np.ndarray) and is_float_dtype(value.dtype)
    )
    is_params = is_dataclass(value) or isinstance(value, SimpleNamespace)
    return floats or is_params


def is_learned(name: str, value) -> bool:
    """Whether an input has a gradient: an angle is given, not learned."""
    return has_gradient(value) and name not in GIVEN


def named_results(result, taken: dict) -> dict[str, np.ndarray]:
    """The gradients returned, by the dotted names of their inputs.

    They come last: a model's loss is returned before them.
    """
    parts = result if isinstance(result, tuple) else (result,)
    names = [name for name in taken if is_learned(name, taken[name])]
    if len(parts) < len(names):
        raise Broken(
            f"returned {len(parts)} gradients, expected {len(names)}"
        )
    pairs = zip(names, parts[-len(names) :], strict=True)
    return leaves(dict(pairs))


def moved(arguments: dict, move: Callable) -> dict:
    """The arguments with `move(name, array)` for each float array."""

    def at(name, value):
        if is_dataclass(value):
            arrays = state_dict(value).items()
            return from_state_dict(
                type(value), {n: move(f"{name}.{n}", a) for n, a in arrays}
            )
        return move(name, value) if is_learned(name, value) else value

    return {name: at(name, value) for name, value in arguments.items()}


def nothing_dropped(arguments: dict) -> dict:
    """The arguments with a dropout mask that keeps all, at a rate of 0."""
    if "dropout_mask" not in arguments:
        return arguments
    return arguments | {
        "dropout_mask": np.ones_like(arguments["dropout_mask"]),
        "rate": 0.0,
    }


# --- the sums in the identities of gradients -----------------------------


def inner(a: Bounded, b: Bounded) -> Bounded:
    """The sum of all products."""
    return (a * b).moved(lambda part: part.reshape(1, -1)).total()


def over(a: Bounded, axis: int) -> Bounded:
    """The sum over one axis, which becomes the last, with size 1."""
    return a.moved(lambda part: np.moveaxis(part, axis, -1)).total()


def over_all_tokens(a: Bounded) -> Bounded:
    """The sum over all axes but the last."""
    flat = a.moved(lambda part: part.reshape(-1, part.shape[-1]))
    return over(flat, 0).moved(lambda part: part[:, 0])


def as_one(parts: list[Bounded], join: Callable = np.array) -> Bounded:
    """Several results as one."""
    return Bounded(
        join([part.value for part in parts]),
        join([part.error for part in parts]),
        IN_FLOAT64,
    )


def zero(a: Bounded) -> Bounded:
    return exactly(np.zeros(a.shape))
