"""Functions of tokens and weights, wrapped as classes with those weights.

`self_attention(x, W_q, W_k, W_v)` and the like, of NumPy or of PyTorch.
"""

import inspect
from collections.abc import Callable
from functools import wraps

import torch
from torch import nn

from parity_tests.judge.subject.signature import (
    KEY,
    QUERY,
    VALUE,
    is_for_torch,
    to_array,
    to_tensor,
)
from parity_tests.judge.subject.weights import layer_role

from .student_class import (
    D_IN,
    D_OUT,
    accepts,
    build_module,
    takes_heads,
    width_in,
)


def weights_taken(function: Callable) -> dict[str, str]:
    """The role of each weight that a function requires, by its name.

    An argument called just query, key or value is taken for tokens.
    """
    parameters = inspect.signature(function).parameters
    return {
        name: role
        for name, parameter in parameters.items()
        if parameter.default is inspect.Parameter.empty
        and name.lower() not in (*QUERY, *KEY, *VALUE)
        and (role := layer_role(name))
    }


def takes_weights(function: Callable) -> bool:
    """Whether a function projects tokens itself, by matrices it takes."""
    roles = {*weights_taken(function).values()}
    return {"query", "key", "value"} <= roles


def as_class(thing: Callable, arrays: str | None = None) -> type:
    """A function of tokens and weights as a class that has the weights.

    A class stays as it is. `arrays` is "numpy" or "torch"; detected if
    None. Raises ValueError for multi-head attention that does not take
    the number of heads.
    """
    if inspect.isclass(thing):
        return thing
    named = thing.__name__.replace("_", "").lower()
    if "multihead" in named and not takes_heads(thing):
        raise ValueError(
            "expected the number of heads among the arguments, got "
            f"({', '.join(inspect.signature(thing).parameters)})"
        )
    detected = ("torch", "numpy") if is_for_torch(thing) else ("numpy",)
    tried = detected if arrays is None else (arrays,)
    classes = [of_a_function(thing, kind) for kind in tried]
    fitting = (kind for kind in classes if works(kind))
    return next(fitting, classes[0])


def works(kind: type) -> bool:
    return accepts(build_module(kind, 0, torch.float32), width_in(kind))


def of_a_function(function: Callable, kind: str) -> type[nn.Module]:
    """A class whose `forward` calls the function with its own weights."""
    weights = weights_taken(function)
    square = takes_heads(function) or "output" in weights.values()
    shape = (D_OUT if square else D_IN, D_OUT)
    prepared = to_tensor if kind == "torch" else to_array

    class OfAFunction(nn.Module):
        arrays = kind

        def __init__(self):
            super().__init__()
            for name in weights:
                setattr(self, name, nn.Parameter(torch.empty(shape)))

        @wraps(function)
        def forward(self, **inputs):
            arguments = inputs | self.state_dict()
            values = {name: prepared(v) for name, v in arguments.items()}
            return to_tensor(to_array(function(**values)))

    OfAFunction.__name__ = function.__name__
    OfAFunction.forward.__signature__ = without(function, weights)
    return OfAFunction


def without(function: Callable, names) -> inspect.Signature:
    """The signature as that of a method, without these arguments."""
    signature = inspect.signature(function)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    others = [p for n, p in signature.parameters.items() if n not in names]
    return signature.replace(parameters=[own, *others])
