"""A student's class of attention: built, its sizes read, and called.

Its constructor is called by the names that courses use, its weights are
recognised by name and shape (`subject/weights.py`) and carried over to
the reference. A function that takes tokens and weights is wrapped as such
a class (`functions.py`).
"""

import inspect
from functools import cache
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from parity_tests.judge.subject.protocol import Broken
from parity_tests.judge.subject.signature import (
    KEY,
    QUERY,
    VALUE,
    file_of,
    raised,
    with_its_line,
)
from parity_tests.judge.subject.weights import readings

D_IN, D_OUT, HEADS, CONTEXT = 10, 12, 3, 7
DROPPED = 0.5
BIASES = ("qkv_bias", "bias", "use_bias")
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
    True: BIASES,
}
SIZE_OF = {name: size for size, names in SIZES.items() for name in names}
CONFIGURATIONS = ("config", "cfg", "args")


class Configuration(SimpleNamespace):
    """Every size under each of its names, as attributes and as entries."""

    def __getitem__(self, name: str):
        return vars(self)[name]

    def get(self, name: str, default=None):
        return vars(self).get(name, default)


def build_module(
    kind: type, seed: int, dtype: torch.dtype, biased: bool = True
) -> nn.Module:
    """A module of that class, at evaluation, with random weights.

    Raises ValueError for a constructor with unknown arguments, and
    Broken for one that raises itself.
    """
    parameters = inspect.signature(kind).parameters
    sizes, unknown = {}, []
    for name, parameter in parameters.items():
        needed = parameter.default is inspect.Parameter.empty
        if name.lower() in CONFIGURATIONS:
            sizes[name] = Configuration(**SIZE_OF)
        elif name.lower() in BIASES:
            sizes[name] = biased
        elif name.lower() in SIZE_OF:
            sizes[name] = SIZE_OF[name.lower()]
        elif needed and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            unknown.append(name)
    if unknown:
        raise ValueError(
            f"expected {kind.__name__} to be built from "
            f"{', '.join(SIZE_OF)}, got also {', '.join(unknown)}"
        )
    try:
        module = kind(**sizes).to(dtype).eval()
    except (AttributeError, KeyError, TypeError) as error:
        text = with_its_line(error, file_of(kind.__init__))
        raise ValueError(
            f"expected {kind.__name__} to be a PyTorch module, built from "
            f"sizes or a configuration, got {text}"
        ) from error
    except (Exception, SystemExit) as error:  # foreign code
        raise Broken(raised(error, file_of(kind.__init__))) from error
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            normal = torch.randn(parameter.shape, generator=generator)
            spread = 1.5 / max(1, parameter.shape[-1]) ** 0.5
            parameter.copy_(normal.to(dtype) * spread)
    return module


def constructor_arguments(kind: type) -> set[str]:
    """The names of the constructor's arguments, in lower case."""
    return {
        name.lower()
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.kind
        not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }


def takes_heads(kind: type) -> bool:
    """Whether the constructor, or the call, takes the number of heads.

    Of a function, whether its call does.
    """
    call = inspect.signature(getattr(kind, "forward", kind)).parameters
    names = constructor_arguments(kind) | {name.lower() for name in call}
    return bool(names & {*SIZES[HEADS], *CONFIGURATIONS})


@cache
def width_in(kind: type) -> int:
    """The width of the tokens that it takes, by its query's weights.

    Where these may be for x W or for x Wᵀ, both are tried.
    """
    module = build_module(kind, 0, torch.float32)
    heads = HEADS if takes_heads(kind) else 1
    widths = [weights.width_in for weights in readings(module, heads)]
    fitting = (width for width in widths if accepts(module, width))
    return next(fitting, widths[0])


def accepts(module: nn.Module, width: int) -> bool:
    """Whether it takes tokens of that width, in a batch or without."""
    for shape in ((2, 5, width), (5, width)):
        try:
            output_of(module, np.ones(shape, np.float32))
        except Broken:
            continue
        return True
    return False


def output_of(
    module: nn.Module, x: np.ndarray, mask: np.ndarray | None = None
) -> np.ndarray:
    """The output for tokens x. Raises Broken if there is none.

    `mask` is passed on as it is.
    """
    tensor = torch.from_numpy(x.copy())
    arguments = forward_arguments(module, tensor)
    if mask is not None:
        arguments[mask_name(type(module))] = torch.from_numpy(mask.copy())
    try:
        with torch.no_grad():
            output = module(**arguments)
    except (Exception, SystemExit) as error:  # foreign code
        raise Broken(raised(error, file_of(module.forward))) from error
    output = output[0] if isinstance(output, tuple) else output
    if not torch.is_tensor(output):
        raise Broken(f"returned {type(output).__name__}, expected a tensor")
    if not np.array_equal(tensor.numpy(), x):
        raise Broken("modified its input tokens in place")
    return output.numpy()


def mask_name(kind: type) -> str | None:
    """The name of the mask in `forward`; None where it takes no mask."""
    parameters = inspect.signature(kind.forward).parameters
    return next(
        (name for name in parameters if "mask" in name.lower()), None
    )


def sizes_of_the_file(kind: type) -> dict[str, int]:
    """The global integers that a class uses, by name."""
    used = {}
    for function in map(inspect.unwrap, (kind.__init__, kind.forward)):
        if inspect.isfunction(function):
            used |= inspect.getclosurevars(function).globals
    return {n: size for n, size in used.items() if type(size) is int}


def heads_tried(kind: type, module: nn.Module) -> tuple[int, ...]:
    """Numbers of heads it may have: as built, 1, or a global's."""
    if takes_heads(kind):
        return HEADS, 1
    features = len(readings(module, 1)[0].query[0])
    sizes = sizes_of_the_file(kind).values()
    return 1, *(n for n in sizes if n > 1 and features % n == 0)


def takes_bias(kind: type) -> bool:
    """Whether its constructor takes whether there is a bias."""
    return bool(constructor_arguments(kind) & {*BIASES})


def drops(kind: type) -> bool:
    """Whether its constructor takes a dropout rate."""
    return bool(
        constructor_arguments(kind) & {*SIZES[DROPPED], *CONFIGURATIONS}
    )


def forward_arguments(module: nn.Module, x: torch.Tensor) -> dict:
    """What `forward` needs: tokens, up to three times; a mask that allows
    all; the number of heads; a dropout mask that keeps all.

    Raises ValueError if it needs more.
    """
    arguments, unknown = {}, []
    parameters = inspect.signature(module.forward).parameters
    for name, parameter in parameters.items():
        known = name.lower()
        if known in SIZES[HEADS]:
            arguments[name] = HEADS
        elif parameter.default is not inspect.Parameter.empty:
            continue
        elif known in ("dropout_mask", "keep"):  # of every head
            pairs = 2 * x.shape[-2:-1]
            arguments[name] = torch.ones((1, *pairs), dtype=torch.bool)
        elif "mask" in known:
            arguments[name] = torch.ones(
                2 * x.shape[-2:-1], dtype=torch.bool
            )
        elif known in (*SIZES[DROPPED], "rate"):
            arguments[name] = 0.0
        elif not arguments or known in (*QUERY, *KEY, *VALUE):
            arguments[name] = x
        else:
            unknown.append(name)
    if unknown:
        raise ValueError(
            "expected forward to take tokens and perhaps a mask, got also "
            f"{', '.join(unknown)}"
        )
    return arguments
