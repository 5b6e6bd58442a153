"""What every named step should be, from its definition.

A third writing of the steps, in files of the same names, in numbers that
carry their error bound (`bounds.Bounded`): in float64 where only the bound
is wanted, in mpmath's 50 digits where the exact value is. It takes other
ways than the twins where there are any: sums by einsum, softmax without
its intermediate steps, heads by slicing, frequencies as powers.

Each function returns its locals by name. What is no float (ids, masks,
sizes) is left out: there, the twins must agree exactly.
"""

from ..bounds import Bounded
from . import attention, embeddings, layers, multi_head
from .numbers import bounded

DIGITS = 50
FILES = (layers, attention, embeddings, multi_head)


def exact_steps(
    name: str, arguments: dict, params=None, digits: bool = False
):
    """The floats among the locals of step `name`, by their names.

    `arguments` and `params` hold NumPy arrays. With `digits` the values
    are exact to DIGITS digits; without, float64. Raises LookupError for
    a step that is described in none of FILES.
    """
    function = _described(name)
    taken = {
        key: bounded(value, digits) for key, value in arguments.items()
    }
    if params is not None:
        taken["params"] = bounded(params, digits)
    if not digits:
        return _floats(function(**taken), arguments)
    import mpmath

    with mpmath.workdps(DIGITS):
        return _floats(function(**taken), arguments)


def _described(name: str):
    for file in FILES:
        if hasattr(file, name):
            return getattr(file, name)
    raise LookupError(f"expected {name} to be described in {__name__}")


def _floats(steps: dict, arguments: dict) -> dict:
    return {
        name: value
        for name, value in steps.items()
        if name not in arguments
        and isinstance(
            value[0] if isinstance(value, list) else value, Bounded
        )
    }
