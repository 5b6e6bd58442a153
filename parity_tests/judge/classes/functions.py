"""Functions that take tokens and weights, as classes that have the weights.

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

from .student_class import D_IN, D_OUT, answers, made, takes_heads, width_in


def weights_taken(function: Callable) -> dict[str, str]:
    """What each weight is that a function must be given, by its name.

    What is called just query, key or value is taken for tokens.
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
    """Whether it projects tokens itself: it takes the matrices for it."""
    roles = {*weights_taken(function).values()}
    return {"query", "key", "value"} <= roles


def as_class(thing: Callable, arrays: str | None = None) -> type:
    """A function of tokens and weights as a class that has the weights.

    A class stays as it is. `arrays` are "numpy" or "torch", else found
    out. Raises ValueError for several heads without a number of them.
    """
    if inspect.isclass(thing):
        return thing
    named = thing.__name__.replace("_", "").lower()
    if "multihead" in named and not takes_heads(thing):
        raise ValueError(
            "expected the number of heads among the arguments, got "
            f"({', '.join(inspect.signature(thing).parameters)})"
        )
    found = ("torch", "numpy") if is_for_torch(thing) else ("numpy",)
    tried = found if arrays is None else (arrays,)
    classes = [of_a_function(thing, one) for one in tried]
    fitting = (kind for kind in classes if answers_at_all(kind))
    return next(fitting, classes[0])


def answers_at_all(kind: type) -> bool:
    return answers(made(kind, 0, torch.float32), width_in(kind))


def of_a_function(function: Callable, kind: str) -> type[nn.Module]:
    """A class whose `forward` calls it with such arrays and weights."""
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
        def forward(self, **given):
            given |= self.state_dict()
            values = {name: prepared(v) for name, v in given.items()}
            return to_tensor(to_array(function(**values)))

    OfAFunction.__name__ = function.__name__
    OfAFunction.forward.__signature__ = without(function, weights)
    return OfAFunction


def without(function: Callable, names) -> inspect.Signature:
    """As a method's signature, without arguments of these names."""
    signature = inspect.signature(function)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    others = [p for n, p in signature.parameters.items() if n not in names]
    return signature.replace(parameters=[own, *others])
