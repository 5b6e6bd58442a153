"""Attention as courses ask for it: a class with weights of its own.

Its constructor is called by the names that courses use, its weights are
found by name and shape, and carried over to the reference. Where a layout
cannot be seen from outside (query, key and value in one matrix, head by
head or not), each is tried, and the one that fits is reported.
"""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from .implementation import KEY, QUERY, VALUE
from .subject import Broken

D_IN, D_OUT, HEADS, CONTEXT = 10, 12, 3, 7
DROPPED = 0.5
SIZES = {
    D_IN: ("d_in", "dim_in", "input_dim", "in_dim", "d_input"),
    D_OUT: (
        *("d_out", "dim_out", "output_dim", "out_dim", "d_model", "dim"),
        *("n_embd", "embed_dim", "emb_dim", "embedding_dim", "embed_size"),
        *("hidden_size", "hidden_dim", "head_size", "d_k", "d_head"),
    ),
    HEADS: (
        "num_attention_heads",
        "num_heads",
        "n_heads",
        "heads",
        "n_head",
        "h",
        "nhead",
    ),
    CONTEXT: (
        *("context_length", "block_size", "max_len", "max_seq_len"),
        *("context_size", "seq_len", "n_positions"),
    ),
    DROPPED: (
        *("dropout", "dropout_p", "p_drop", "attn_pdrop", "resid_pdrop"),
        *("drop_rate", "dropout_rate", "p"),
    ),
    True: ("qkv_bias", "bias", "use_bias"),
}
SIZE_OF = {name: size for size, names in SIZES.items() for name in names}
CONFIGURATIONS = ("config", "cfg", "args")

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

    Each layer is a matrix with a row for each feature that comes out, and
    a bias; `output` None where nothing mixes the heads. `layout` says in
    words what was taken for what, where there was a choice.
    """

    query: tuple[np.ndarray, np.ndarray]
    key: tuple[np.ndarray, np.ndarray]
    value: tuple[np.ndarray, np.ndarray]
    output: tuple[np.ndarray, np.ndarray] | None
    heads: int
    layout: str


class Configuration(SimpleNamespace):
    """Every size by each of its names, as attributes and as entries."""

    def __getitem__(self, name: str):
        return vars(self)[name]

    def get(self, name: str, default=None):
        return vars(self).get(name, default)


def made(kind: type, seed: int, dtype: torch.dtype) -> nn.Module:
    """A module of that class, at evaluation, with random weights.

    Raises ValueError for a constructor that wants what is not known.
    """
    parameters = inspect.signature(kind).parameters
    given, unknown = {}, []
    for name, parameter in parameters.items():
        needed = parameter.default is inspect.Parameter.empty
        if name.lower() in CONFIGURATIONS:
            given[name] = Configuration(**SIZE_OF)
        elif name.lower() in SIZE_OF:
            given[name] = SIZE_OF[name.lower()]
        elif needed and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            unknown.append(name)
    if unknown:
        raise ValueError(
            f"expected {kind.__name__} to be made from {', '.join(SIZE_OF)}"
            f", got also {', '.join(unknown)}"
        )
    try:
        module = kind(**given).to(dtype).eval()
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"expected {kind.__name__} to be a class of PyTorch, made from "
            f"sizes or a configuration, got {error}"
        ) from error
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            drawn = torch.randn(parameter.shape, generator=generator)
            spread = 1.5 / max(1, parameter.shape[-1]) ** 0.5
            parameter.copy_(drawn.to(dtype) * spread)
    return module


def made_from(kind: type) -> set[str]:
    """The names of what its constructor takes, in small letters."""
    return {
        name.lower()
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.kind
        not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }


def takes_heads(kind: type) -> bool:
    """Whether it has heads: from its constructor, or told each time."""
    told = inspect.signature(kind.forward).parameters
    names = made_from(kind) | {name.lower() for name in told}
    return bool(names & {*SIZES[HEADS], *CONFIGURATIONS})


@cache
def width_in(kind: type) -> int:
    """How wide the tokens are that it takes, by its query's weights."""
    module = made(kind, 0, torch.float32)
    heads = HEADS if takes_heads(kind) else 1
    return readings(module, heads)[0].query[0].shape[1]


def asked_of(
    module: nn.Module, x: np.ndarray, mask: np.ndarray | None = None
) -> np.ndarray:
    """The output for tokens x. Raises Broken where there is none.

    `mask` is handed over as it is, where `forward` takes one.
    """
    tensor = torch.from_numpy(x.copy())
    given = forward_arguments(module, tensor)
    if mask is not None:
        given[mask_name(type(module))] = torch.from_numpy(mask.copy())
    try:
        with torch.no_grad():
            found = module(**given)
    except (Exception, SystemExit) as error:  # a stranger's code
        raise Broken(f"raised {type(error).__name__}: {error}") from error
    found = found[0] if isinstance(found, tuple) else found
    if not torch.is_tensor(found):
        raise Broken(f"returned {type(found).__name__}, and no tensor")
    if not np.array_equal(tensor.numpy(), x):
        raise Broken("changed the tokens that it was given")
    return found.numpy()


def mask_name(kind: type) -> str | None:
    """What `forward` calls its mask; None where it takes none."""
    parameters = inspect.signature(kind.forward).parameters
    return next(
        (name for name in parameters if "mask" in name.lower()), None
    )


def drops(kind: type) -> bool:
    """Whether its constructor is told how much to drop."""
    return bool(made_from(kind) & {*SIZES[DROPPED], *CONFIGURATIONS})


def forward_arguments(module: nn.Module, x: torch.Tensor) -> dict:
    """What `forward` needs: tokens, up to three times; a mask that allows
    all; the number of heads; a choice of dropout that keeps all.

    Raises ValueError when it needs more.
    """
    given, unknown = {}, []
    parameters = inspect.signature(module.forward).parameters
    for name, parameter in parameters.items():
        known = name.lower()
        if parameter.default is not inspect.Parameter.empty:
            continue
        if "mask" in known:
            given[name] = torch.ones(2 * x.shape[-2:-1], dtype=torch.bool)
        elif known == "keep":  # of every head
            pairs = 2 * x.shape[-2:-1]
            given[name] = torch.ones((1, *pairs), dtype=torch.bool)
        elif known in (*SIZES[DROPPED], "rate"):
            given[name] = 0.0
        elif known in SIZES[HEADS]:
            given[name] = HEADS
        elif not given or known in (*QUERY, *KEY, *VALUE):
            given[name] = x
        else:
            unknown.append(name)
    if unknown:
        raise ValueError(
            "expected forward to take tokens, and perhaps a mask, got also "
            f"{', '.join(unknown)}"
        )
    return given


def readings(module: nn.Module, heads: int) -> list[Weights]:
    """Every way to read the weights.

    Raises ValueError when they are not found by their names.
    """
    parts = list(numbered_heads(module)) or [dict(named_layers(module))]
    found = []
    try:
        choices = list(product(*(splits(p, heads, module) for p in parts)))
        known = [stacked_parts(choice) for choice in choices]
    except (IndexError, np.exceptions.AxisError) as error:
        raise ValueError(f"its weights do not fit: {error}") from error
    for choice, layers in zip(choices, known, strict=True):
        layouts = {layout for *_, layout in choice}
        output = output_of(module)
        count = len(parts) if len(parts) > 1 else heads
        for turned in (False, True) if ambiguous(module) else (False,):
            turn = transposed if turned else (lambda layer: layer)
            found.append(
                Weights(
                    *map(turn, layers),
                    output,
                    count,
                    " ".join(sorted(layouts)),
                )
            )
    return found


def stacked_parts(choice: tuple) -> list[tuple]:
    """Query, key and value of all heads together."""
    return [stacked([part[n] for part in choice]) for n in range(3)]


def transposed(layer):
    weight, bias = layer
    return weight.T, bias


def ambiguous(module: nn.Module) -> bool:
    """A bare square matrix may be meant for x W or for x Wᵀ."""
    own = [
        parameter
        for name, parameter in module.named_parameters()
        if "." not in name and parameter.ndim == 2
    ]
    return any(p.shape[0] == p.shape[1] for p in own)


def numbered_heads(module: nn.Module) -> Iterator[dict]:
    """The layers of each head, where heads are modules in a list."""
    for _, child in module.named_children():
        if isinstance(child, nn.ModuleList):
            for head in child:
                layers = dict(named_layers(head))
                if {"query", "key", "value"} <= layers.keys():
                    yield layers


def named_layers(module: nn.Module) -> Iterator[tuple[str, tuple]]:
    """Layers and bare matrices by what their names say they are."""
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
        layer = only_layer(part)
        for role, pattern in NAMES.items():
            if re.search(pattern, name, re.IGNORECASE) and has_layer(layer):
                yield role, layer_of(layer)
                break


def only_layer(part):
    """The one linear layer of a sequence, with its dropout, say."""
    if not isinstance(part, nn.Sequential):
        return part
    linear = [layer for layer in part if isinstance(layer, nn.Linear)]
    return linear[0] if len(linear) == 1 else part


def has_layer(part) -> bool:
    bare = isinstance(part, nn.Parameter) and part.ndim == 2
    return isinstance(part, nn.Linear) or bare


def layer_of(part) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias; a bare matrix, for x W, is turned."""
    if isinstance(part, nn.Linear):
        weight = part.weight.detach().numpy()
        if part.bias is None:
            return weight, np.zeros(len(weight), weight.dtype)
        return weight, part.bias.detach().numpy()
    weight = part.detach().numpy().T
    return weight, np.zeros(len(weight), weight.dtype)


def splits(layers: dict, heads: int, module: nn.Module) -> list[tuple]:
    """Query, key and value, and how they were found, each way."""
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


def output_of(module: nn.Module):
    return dict(named_layers(module)).get("output")
