"""Case: the inputs of one step, for either side, and their layout."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from .finding import Twin, namesake


@dataclass(frozen=True)
class Case:
    """Case: the inputs of one step, for either side, in shared memory."""

    twin: Twin
    arguments: dict
    params: object = None
    module: nn.Module | None = None

    def torch_arguments(self) -> dict:
        return {
            name: to_torch(value) for name, value in self.arguments.items()
        }

    def torch_step(self):
        """What PyTorch calls: a function, or a module with weights."""
        return self.module or self.twin.torch

    def numpy_arguments(self) -> dict:
        holder = {} if self.params is None else {"params": self.params}
        return self.arguments | holder


def to_torch(value):
    """To PyTorch: arrays as tensors that share memory and strides."""
    if isinstance(value, list):
        return list(map(to_torch, value))
    if isinstance(value, tuple):
        kind = namesake(type(value), "torch_impl")
        return tuple_of(kind, map(to_torch, value))
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.name == "bfloat16":  # by its bits: NumPy lacks the type
        return torch.from_numpy(value.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(value)


def tuple_of(kind: type, members) -> tuple:
    """Members as a tuple of this kind: a named one takes each."""
    return getattr(kind, "_make", kind)(members)


def laid_out(array: np.ndarray, layout: str) -> np.ndarray:
    """The same numbers, or for "expanded" the first of them, in memory.

    strided: every other place is skipped; transposed: the first axis runs
    fastest; expanded: an axis of stride 0.
    """
    if layout == "plain" or not array.size or not array.ndim:
        return array
    if layout == "strided":
        sparse = np.zeros(
            (*array.shape[:-1], 2 * array.shape[-1]), array.dtype
        )
        sparse[..., ::2] = array
        return sparse[..., ::2]
    if layout == "transposed":
        return array.T.copy().T
    strides = (0, *array.strides[1:])
    return np.lib.stride_tricks.as_strided(array, array.shape, strides)
