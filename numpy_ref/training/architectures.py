"""Architectures that can be trained: a GPT-2, and a Llama.

What a training has to know of a model, so that one loop takes the steps
of both: how its weights begin, what dropout draws, the gradients of its
loss, and how its checkpoint is written and read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from ..checkpoints import gpt2 as gpt2_checkpoint
from ..checkpoints import llama as llama_checkpoint
from ..checkpoints.gpt2_config import (
    Gpt2Config,
    gpt2_config_entries,
    parameter_count,
    read_gpt2_config,
)
from ..checkpoints.llama_config import (
    LlamaConfig,
    llama_config_entries,
    llama_parameter_count,
    read_llama_config,
)
from ..checkpoints.names import Name
from ..files import read_json
from ..generation import Decoding, gpt2_decoding
from ..gpt2 import Gpt2
from ..gpt2_training import Gpt2DropoutMasks, gpt2_loss_backward
from ..sublayers import DropoutMasks
from ..variants.llama import Llama
from ..variants.llama_cache import llama_decoding
from ..variants.llama_training import llama_loss_backward
from .initial_weights import initial_gpt2, initial_llama

IGNORED = -100  # a target that does not count

Config = Gpt2Config | LlamaConfig


class Batch(NamedTuple):
    """Batch: windows of a text, their targets, and dropout's masks.

    `dropout_masks` is None for a model that drops nothing.
    """

    ids: Array
    targets: Array
    dropout_masks: Gpt2DropoutMasks | None


@dataclass(frozen=True)
class Trainable:
    """What a training knows of a model.

    `initial` takes a configuration, a generator and a dtype; `masks` a
    generator, a configuration, the shape of a batch and dropout's rate;
    `backward` the parameters, a batch, the configuration and that rate;
    `decoding` the parameters, the configuration and a number of positions;
    `count` says how many numbers a model of a configuration learns.
    """

    name: str
    title: str
    config: type
    parameters: type
    prefix: str
    initial: Callable[..., Gpt2 | Llama]
    masks: Callable[..., Gpt2DropoutMasks | None]
    backward: Callable[..., tuple]
    decoding: Callable[..., Decoding]
    load: Callable
    names: Callable[..., tuple[Name, ...]]
    entries: Callable[..., dict]
    count: Callable[..., int]
    read_config: Callable[[Path], Config]


def gpt2_dropout_masks(
    generator: Generator,
    config: Gpt2Config,
    shape: tuple[int, int],
    rate: float,
) -> Gpt2DropoutMasks:
    """Dropout's masks for one batch; without dropout, all True."""
    batch, positions = shape
    tokens = (batch, positions, config.d_model)
    square = (batch, config.heads, positions, positions)

    def mask(shape: tuple[int, ...]) -> Array:
        if rate == 0:
            return np.ones([1] * len(shape), bool)
        return generator.random(shape, np.float32) >= rate

    blocks = tuple(
        DropoutMasks(mask(square), mask(tokens), mask(tokens))
        for _ in range(config.layers)
    )
    return Gpt2DropoutMasks(mask(tokens), blocks)


def gpt2_backward(
    params: Gpt2, batch: Batch, config: Gpt2Config, rate: float
) -> tuple:
    """The loss of a batch, and its gradients."""
    d_loss = params.norm.weight.dtype.type(1)
    return gpt2_loss_backward(
        *(d_loss, batch.ids, batch.targets, params),
        *(batch.dropout_masks, rate, config.heads, config.epsilon),
        IGNORED,
    )


def gpt2_writing(params: Gpt2, config: Gpt2Config, positions: int):
    return gpt2_decoding(params, config.heads, config.epsilon, positions)


def no_dropout_masks(generator, config, shape, rate: float) -> None:
    """A Llama drops nothing. Raises ValueError for another rate than 0."""
    if rate:
        raise ValueError(
            f"expected a dropout rate of 0 for a Llama, got {rate}"
        )


def llama_backward(
    params: Llama, batch: Batch, config: LlamaConfig, rate: float
) -> tuple:
    """The loss of a batch, and its gradients."""
    d_loss = params.norm.weight.dtype.type(1)
    return llama_loss_backward(
        *(d_loss, batch.ids, batch.targets, params),
        *(config.heads, config.key_heads, config.d_head),
        *(config.base, config.epsilon, IGNORED),
    )


def llama_writing(params: Llama, config: LlamaConfig, positions: int):
    return llama_decoding(
        *(params, config.heads, config.key_heads, config.d_head),
        *(config.base, config.epsilon, positions),
    )


ARCHITECTURES = {
    "gpt2": Trainable(
        name="gpt2",
        title="GPT-2",
        config=Gpt2Config,
        parameters=Gpt2,
        prefix="transformer.",
        initial=initial_gpt2,
        masks=gpt2_dropout_masks,
        backward=gpt2_backward,
        decoding=gpt2_writing,
        load=gpt2_checkpoint.load_gpt2,
        names=gpt2_checkpoint.names_in,
        entries=gpt2_config_entries,
        count=parameter_count,
        read_config=read_gpt2_config,
    ),
    "llama": Trainable(
        name="llama",
        title="Llama",
        config=LlamaConfig,
        parameters=Llama,
        prefix="model.",
        initial=initial_llama,
        masks=no_dropout_masks,
        backward=llama_backward,
        decoding=llama_writing,
        load=llama_checkpoint.load_llama,
        names=llama_checkpoint.names_in,
        entries=llama_config_entries,
        count=llama_parameter_count,
        read_config=read_llama_config,
    ),
}


def architecture_of(config: Config) -> Trainable:
    """The architecture that a configuration is of."""
    return next(
        architecture
        for architecture in ARCHITECTURES.values()
        if isinstance(config, architecture.config)
    )


def architecture_in(folder: Path) -> Trainable:
    """The architecture of a folder's model, by its `config.json`.

    Raises ValueError for one that cannot be trained.
    """
    kind = read_json(folder / "config.json").get("model_type")
    if kind not in ARCHITECTURES:
        raise ValueError(
            f"expected a model_type of {' or '.join(ARCHITECTURES)} in "
            f"{folder / 'config.json'}, got {kind!r}"
        )
    return ARCHITECTURES[kind]
