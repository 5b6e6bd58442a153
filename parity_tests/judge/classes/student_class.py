"""Attention as courses ask for it: a class with weights of its own.

Its constructor is called by the names that courses use, its weights are
found by name and shape (`homework_weights`), and carried over to the
reference. A function that takes tokens and weights becomes such a class
(`homework_functions`).
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
    """Every size by each of its names, as attributes and as entries."""

    def __getitem__(self, name: str):
        return vars(self)[name]

    def get(self, name: str, default=None):
        return vars(self).get(name, default)


def made(
    kind: type, seed: int, dtype: torch.dtype, biased: bool = True
) -> nn.Module:
    """A module of that class, at evaluation, with random weights.

    Raises ValueError for a constructor that wants what is not known, and
    Broken for one that raises itself.
    """
    parameters = inspect.signature(kind).parameters
    given, unknown = {}, []
    for name, parameter in parameters.items():
        needed = parameter.default is inspect.Parameter.empty
        if name.lower() in CONFIGURATIONS:
            given[name] = Configuration(**SIZE_OF)
        elif name.lower() in BIASES:
            given[name] = biased
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
        text = with_its_line(error, file_of(kind.__init__))
        raise ValueError(
            f"expected {kind.__name__} to be a class of PyTorch, made from "
            f"sizes or a configuration, got {text}"
        ) from error
    except (Exception, SystemExit) as error:  # a stranger's code
        raise Broken(raised(error, file_of(kind.__init__))) from error
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
    """Whether it has heads: from its constructor, or told each time.

    Of a function, whether it is told.
    """
    told = inspect.signature(getattr(kind, "forward", kind)).parameters
    names = made_from(kind) | {name.lower() for name in told}
    return bool(names & {*SIZES[HEADS], *CONFIGURATIONS})


@cache
def width_in(kind: type) -> int:
    """How wide the tokens are that it takes, by its query's weights.

    Where these may be for x W or for x Wᵀ, it is asked.
    """
    module = made(kind, 0, torch.float32)
    heads = HEADS if takes_heads(kind) else 1
    widths = [one.width_in for one in readings(module, heads)]
    fitting = (width for width in widths if answers(module, width))
    return next(fitting, widths[0])


def answers(module: nn.Module, width: int) -> bool:
    """Whether it takes tokens of that width, of several texts or one."""
    for shape in ((2, 5, width), (5, width)):
        try:
            asked_of(module, np.ones(shape, np.float32))
        except Broken:
            continue
        return True
    return False


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
        raise Broken(raised(error, file_of(module.forward))) from error
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


def sizes_of_the_file(kind: type) -> dict[str, int]:
    """The whole numbers outside of a class that it uses, by name."""
    used = {}
    for function in map(inspect.unwrap, (kind.__init__, kind.forward)):
        if inspect.isfunction(function):
            used |= inspect.getclosurevars(function).globals
    return {n: size for n, size in used.items() if type(size) is int}


def heads_tried(kind: type, module: nn.Module) -> tuple[int, ...]:
    """How many heads it may have: as told, one, or a number of its file."""
    if takes_heads(kind):
        return HEADS, 1
    features = len(readings(module, 1)[0].query[0])
    sizes = sizes_of_the_file(kind).values()
    return 1, *(n for n in sizes if n > 1 and features % n == 0)


def takes_bias(kind: type) -> bool:
    """Whether its constructor is told if there is a bias."""
    return bool(made_from(kind) & {*BIASES})


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
        if known in SIZES[HEADS]:
            given[name] = HEADS
        elif parameter.default is not inspect.Parameter.empty:
            continue
        elif known in ("dropout_mask", "keep"):  # of every head
            pairs = 2 * x.shape[-2:-1]
            given[name] = torch.ones((1, *pairs), dtype=torch.bool)
        elif "mask" in known:
            given[name] = torch.ones(2 * x.shape[-2:-1], dtype=torch.bool)
        elif known in (*SIZES[DROPPED], "rate"):
            given[name] = 0.0
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
