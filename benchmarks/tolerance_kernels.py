"""Attention of libraries as kernels in half precision, with profiles.

Each is an adapter of `parity_tests.adapters` and the profile that it is
held to. What is not installed is left out.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from shutil import which

import numpy as np

from parity_tests.bounds.half_precision import Profile
from parity_tests.judge.half.kernels import EAGER, FLOAT32, FUSED

# PyTorch's fused kernel takes a fast exp; so may what chooses it.
FAST = replace(FUSED, exp_error=1.2e-4, rescale_error=1.2e-4)
ROUNDED_ONCE = replace(EAGER, score_roundings=1)
FLOAT32_SCORES = replace(EAGER, score_roundings=0)


@dataclass(frozen=True)
class Library:
    """A library's attention, and where it rounds.

    `arrays`: "torch" or "numpy"; `mask`: "boolean", or numbers "added".
    `flushes`: the formats whose subnormal numbers may become 0.
    """

    adapter: str
    profile: Profile
    arrays: str = "numpy"
    mask: str = "boolean"
    dtypes: tuple[str, ...] = ("bfloat16", "float16")
    flushes: tuple[str, ...] = ()

    def claims(self, dtype: str) -> Profile:
        flushes = dtype in self.flushes
        return replace(
            self.profile, dtype=dtype, flushes_subnormals=flushes
        )

    def kernel(self) -> Callable:
        """Its attention for arrays (texts, tokens, features).

        Raises ImportError where the library is not installed.
        """
        module = import_module(f"parity_tests.adapters.{self.adapter}")
        attend = module.scaled_dot_product_attention

        def kernel(query, key, value, mask=None):
            value, d_value = widened(value, key.shape[-1])
            arrays = [a[:, None] for a in (query, key, value)]
            if mask is not None:
                arrays.append(self.mask_for(mask[:, None], query.dtype))
            if self.arrays == "torch":
                arrays = [to_torch(array) for array in arrays]
            context = to_numpy(attend(*arrays), query.dtype)
            return context[:, 0, :, :d_value]

        return kernel

    def mask_for(self, mask: np.ndarray, dtype: np.dtype) -> np.ndarray:
        if self.mask == "boolean":
            return mask
        return np.where(mask, 0, -np.inf).astype(dtype)


COMPILED = which("c++") is not None
LIBRARIES = {
    "PyTorch, math": Library("pytorch_math", FLOAT32, "torch"),
    "PyTorch, math in half": Library(
        "pytorch_math_in_half",
        replace(ROUNDED_ONCE, scaled_before="both"),
        "torch",
    ),
    "PyTorch, fused": Library("pytorch_fused", FAST, "torch"),
    "FlexAttention": Library(
        "pytorch_flex", FUSED if COMPILED else ROUNDED_ONCE, "torch"
    ),
    "transformers, eager": Library(
        "transformers_eager", EAGER, "torch", "added"
    ),
    "transformers, sdpa": Library(
        "transformers_sdpa", replace(FAST, weights="either"), "torch"
    ),
    "JAX": Library("jax_function", FLOAT32_SCORES, flushes=("bfloat16",)),
    "MLX": Library(
        "mlx_function",
        replace(ROUNDED_ONCE, scaled_before="query", scale_rounded=True),
    ),
    "onnxruntime": Library(
        "onnx_operator", ROUNDED_ONCE, dtypes=("float16",)
    ),
    "Keras": Library(
        "keras_function", FLOAT32_SCORES, flushes=("bfloat16",)
    ),
}
# Compiled on the CPU, FlexAttention takes no mask that comes as an array.
WITHOUT_MASK = ("FlexAttention",)


def widened(value: np.ndarray, width: int) -> tuple[np.ndarray, int]:
    """Values with zeros up to a width, which some libraries want."""
    d_value = value.shape[-1]
    pad = [(0, 0), (0, 0), (0, max(width - d_value, 0))]
    return np.pad(value, pad), d_value


def to_torch(array: np.ndarray):
    """The same numbers in PyTorch, whose bfloat16 is not that of NumPy."""
    import torch

    array = np.ascontiguousarray(array)
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def to_numpy(array, dtype: np.dtype) -> np.ndarray:
    """The same numbers in NumPy."""
    if isinstance(array, np.ndarray):
        return array
    if dtype.name == "bfloat16":
        import torch

        bits = array.detach().contiguous().view(torch.int16)
        return bits.numpy().view(dtype)
    return array.detach().numpy()
