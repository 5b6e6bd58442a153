"""Races of one attention layer: textbook and tiled, beside fused kernels.

12 heads of 64 features, in float32. Textbook writes all scores, as
`numpy_ref.attention` and most NumPy code does; PyTorch's math form does
so, too. PyTorch's fused kernel and our tiled form never have them all.
ONNX' reference evaluates its Attention operator with NumPy; ONNX Runtime
computes the same operator. Both are left out where they are not
installed.

Two products of matrices are all that attention cannot do without; causal
ones are half as large.
"""

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

from numpy_ref.attention import (
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
)
from numpy_ref.fast.attention_on_threads import (
    attention_on_threads,
    attention_on_threads_backward,
)
from numpy_ref.masks import causal_mask

from .races import WORKERS, Race

HEADS, D_HEAD = 12, 64
LIBRARIES = {  # with the adapter that calls each, and the package it needs
    "ONNX reference": ("onnx_reference", "onnx"),
    "ONNX Runtime": ("onnx_operator", "onnxruntime"),
}


class Size(NamedTuple):
    texts: int
    tokens: int
    is_causal: bool
    reach: float | None = None
    is_quick: bool = False
    heads: int = HEADS

    def __str__(self) -> str:
        form = "causal" if self.is_causal else "full"
        return f"{self.texts} × {self.tokens:,}, {form}"

    @property
    def operations(self) -> float:
        """Of both products, forward."""
        whole = 4 * self.texts * self.heads * self.tokens**2 * D_HEAD
        return whole / 2 if self.is_causal else whole


SIZES = (
    Size(8, 256, True, 1.3, is_quick=True),
    Size(1, 1024, True, 1.2, is_quick=True),
    Size(1, 2048, True, 1.0),
    Size(1, 2048, False, 1.2, is_quick=True),
    Size(1, 4096, True, 1.1),
)
TRAINED = Size(1, 1024, True, 2.0)


def races(quick: bool = False) -> Iterator[Race]:
    for size in SIZES:
        if size.is_quick or not quick:
            yield forward_race(str(size), size, quick=quick)
    if not quick:
        yield gradient_race(TRAINED)


def forward_race(
    work: str, size: Size, most_rounds: int = 50, quick: bool = False
) -> Race:
    arrays = inputs(size)
    sides = {
        "tiled": tiled(arrays, size.is_causal),
        "fused": by_pytorch("FLASH_ATTENTION", arrays, size.is_causal),
        "math": by_pytorch("MATH", arrays, size.is_causal),
        "textbook": textbook(arrays, size.is_causal),
    }
    for side, (adapter, package) in LIBRARIES.items():
        if find_spec(package) and not quick:
            sides[side] = by_adapter(adapter, arrays, size.is_causal)
    return Race(
        work, sides, size.reach, size.operations, most_rounds=most_rounds
    )


def inputs(size: Size) -> list[np.ndarray]:
    """Query, key and value."""
    rng = np.random.default_rng(0)
    shape = size.texts, size.heads, size.tokens, D_HEAD
    return [rng.normal(size=shape).astype(np.float32) for _ in range(3)]


def tiled(arrays: list[np.ndarray], is_causal: bool) -> Callable:
    """Ours: what hides nothing is a mask that broadcasts."""
    past = 0 if is_causal else arrays[1].shape[-2]
    nothing_hidden = np.ones((1, 1), bool)
    return partial(
        attention_on_threads, *arrays, nothing_hidden, past, WORKERS
    )


def textbook(arrays: list[np.ndarray], is_causal: bool) -> Callable:
    mask = mask_of(arrays, is_causal)
    return partial(scaled_dot_product_attention, *arrays, mask)


def mask_of(arrays: list[np.ndarray], is_causal: bool) -> np.ndarray:
    """Who may attend to whom."""
    tokens = arrays[0].shape[-2]
    if is_causal:
        return causal_mask(tokens, tokens)
    return np.ones((tokens, tokens), bool)


def by_pytorch(
    backend: str, arrays: list[np.ndarray], is_causal: bool
) -> Callable:
    """PyTorch's function, by one of its kernels."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention as sdpa

    tensors = [torch.from_numpy(array) for array in arrays]
    kernel = getattr(SDPBackend, backend)

    def forward():
        with torch.inference_mode(), sdpa_kernel(kernel):
            return sdpa(*tensors, is_causal=is_causal)

    return forward


def by_adapter(
    name: str, arrays: list[np.ndarray], is_causal: bool
) -> Callable:
    """A library's function, as an adapter calls it."""
    adapter = import_module(f"parity_tests.adapters.{name}")
    function = adapter.scaled_dot_product_attention
    return partial(function, *arrays, is_causal=is_causal)


def gradient_race(size: Size) -> Race:
    """Forward and gradient: two products, and five."""
    arrays = inputs(size)
    d_context = np.ones_like(arrays[0])
    mask = mask_of(arrays, size.is_causal)

    def by_textbook():
        scaled_dot_product_attention(*arrays, mask)
        scaled_dot_product_attention_backward(d_context, *arrays, mask)

    forward = tiled(arrays, size.is_causal)

    def by_tiles():
        _, attended = forward()
        attention_on_threads_backward(d_context, attended, *forward.args)

    sides = {
        "tiled": by_tiles,
        "fused": autograd("FLASH_ATTENTION", arrays, size.is_causal),
        "math": autograd("MATH", arrays, size.is_causal),
        "textbook": by_textbook,
    }
    name = f"{size}, and gradient"
    return Race(name, sides, size.reach, 3.5 * size.operations)


def autograd(
    backend: str, arrays: list[np.ndarray], is_causal: bool
) -> Callable:
    """PyTorch's function and its gradient."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention as sdpa

    tensors = [torch.from_numpy(a).requires_grad_() for a in arrays]
    d_context = torch.ones_like(tensors[0])
    kernel = getattr(SDPBackend, backend)

    def both():
        with sdpa_kernel(kernel):
            context = sdpa(*tensors, is_causal=is_causal)
        torch.autograd.grad(context, tensors, d_context)

    return both
