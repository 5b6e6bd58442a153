"""The weights of an attention class, recognised by name and shape.

Where a layout cannot be seen from outside (query, key and value in one
matrix, head by head or not), each is tried, and the one that fits is
reported.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from torch import nn

END = r"(_?(proj|projection|linear|layer|weight|matrix))?$"
NAMES = {
    "query": rf"(^|\.)(w_?)?(to_)?(q|query|queries){END}",
    "key": rf"(^|\.)(w_?)?(to_)?(k|key|keys){END}",
    "value": rf"(^|\.)(w_?)?(to_)?(v|value|values){END}",
    "joined": rf"(^|\.)(c_attn|(w_?)?(to_)?qkv|in|query_key_value){END}",
    "output": rf"(^|\.)(w_?)?(to_)?(c|o|out|output|fc_out|dense)?{END}",
}


@dataclass(frozen=True, eq=False)
class Weights:
    """One way to read a module's weights.

    Each layer is a matrix with a row for each output feature, and a bias;
    `output` is None where no layer mixes the heads. `layout` says in
    words how the weights were read, where there was a choice.
    """

    query: tuple[np.ndarray, np.ndarray]
    key: tuple[np.ndarray, np.ndarray]
    value: tuple[np.ndarray, np.ndarray]
    output: tuple[np.ndarray, np.ndarray] | None
    heads: int
    layout: str

    @property
    def width_in(self) -> int:
        return self.query[0].shape[1]


def readings(module: nn.Module, heads: int) -> list[Weights]:
    """Every way to read the weights.

    Raises ValueError if their names are not recognised.
    """
    as_they_are = readings_of(module, heads, turned=False)
    if not has_matrices(module):
        return as_they_are
    return as_they_are + readings_of(module, heads, turned=True)


def readings_of(
    module: nn.Module, heads: int, turned: bool
) -> list[Weights]:
    """With its bare matrices for x W or, if `turned`, for x Wᵀ."""
    alone = dict(named_layers(module, turned))
    parts = list(numbered_heads(module)) or [alone]
    try:
        choices = list(product(*(splits(p, heads, module) for p in parts)))
        layers = [stacked_parts(choice) for choice in choices]
    except (IndexError, np.exceptions.AxisError) as error:
        raise ValueError(f"its weights do not fit: {error}") from error
    count = len(parts) if len(parts) > 1 else heads
    read = []
    for choice, projections in zip(choices, layers, strict=True):
        layouts = sorted({layout for *_, layout in choice})
        layout = " ".join(layouts) + (", for x Wᵀ" if turned else "")
        output = alone.get("output")
        read.append(Weights(*projections, output, count, layout))
    return read


def stacked_parts(choice: tuple) -> list[tuple]:
    """Query, key and value of all heads together."""
    return [stacked([part[n] for part in choice]) for n in range(3)]


def has_matrices(module: nn.Module) -> bool:
    """Whether it has bare matrices, for x W or for x Wᵀ."""
    own = module.named_parameters(recurse=False)
    return any(layer_role(name) and has_layer(part) for name, part in own)


def numbered_heads(module: nn.Module) -> Iterator[dict]:
    """The layers of each head, where heads are modules in a list."""
    for _, child in module.named_children():
        if isinstance(child, nn.ModuleList):
            for head in child:
                layers = dict(named_layers(head))
                if {"query", "key", "value"} <= layers.keys():
                    yield layers


def named_layers(
    module: nn.Module, turned: bool = False
) -> Iterator[tuple[str, tuple]]:
    """Layers and bare matrices, each with the role that its name says."""
    clones = [
        child
        for child in module.children()
        if isinstance(child, nn.ModuleList)
        and len(child) == 4
        and all(isinstance(part, nn.Linear) for part in child)
    ]
    for four in clones:  # of the Annotated Transformer
        yield from zip(
            ("query", "key", "value", "output"),
            map(layer_of, four),
            strict=True,
        )
    for name, part in (
        *module.named_children(),
        *module._parameters.items(),
    ):
        layer, role = only_layer(part), layer_role(name)
        if role and has_layer(layer):
            yield role, layer_of(layer, turned)


def layer_role(name: str) -> str | None:
    """The role of a layer by its name: one of NAMES, or None."""
    return next(
        (
            role
            for role, pattern in NAMES.items()
            if re.search(pattern, name, re.IGNORECASE)
        ),
        None,
    )


def only_layer(part):
    """The one linear layer of a sequence, with its dropout, say."""
    if not isinstance(part, nn.Sequential):
        return part
    linear = [layer for layer in part if isinstance(layer, nn.Linear)]
    return linear[0] if len(linear) == 1 else part


def has_layer(part) -> bool:
    bare = isinstance(part, nn.Parameter) and part.ndim == 2
    return isinstance(part, nn.Linear) or bare


def layer_of(part, turned: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias; a bare matrix is for x W, or x Wᵀ if `turned`."""
    if isinstance(part, nn.Linear):
        weight = part.weight.detach().numpy()
        if part.bias is None:
            return weight, np.zeros(len(weight), weight.dtype)
        return weight, part.bias.detach().numpy()
    bare = part.detach().numpy()
    weight = bare if turned else bare.T
    return weight, np.zeros(len(weight), weight.dtype)


def splits(layers: dict, heads: int, module: nn.Module) -> list[tuple]:
    """Query, key and value in each possible layout, with its name."""
    if {"query", "key", "value"} <= layers.keys():
        apart = "query, key and value apart"
        return [(layers["query"], layers["key"], layers["value"], apart)]
    if "joined" not in layers:
        names = ", ".join(name for name, _ in module.named_parameters())
        raise ValueError(
            "expected weights named like W_query, W_key and W_value, or "
            f"c_attn or qkv, got {names or 'none'}"
        )
    weight, bias = layers["joined"]
    whole = np.concatenate([weight, bias[:, None]], axis=1)
    side_by_side = np.split(whole, 3)
    by_head = whole.reshape(heads, 3, -1, whole.shape[1]).swapaxes(0, 1)
    ways = {
        "query, key, value one below the other": side_by_side,
        "query, key, value of one head, then of the next": [
            part.reshape(-1, whole.shape[1]) for part in by_head
        ],
    }
    return [
        (*((part[:, :-1], part[:, -1]) for part in parts), layout)
        for layout, parts in ways.items()
    ]


def stacked(layers: list[tuple]) -> tuple[np.ndarray, np.ndarray]:
    """The layers of all heads, one below the other."""
    weights, biases = zip(*layers, strict=True)
    return np.concatenate(weights), np.concatenate(biases)
