"""Texts for a ring, its oracle, and how the two are compared."""

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from numpy_ref.fast.ring_attention import (
    ring_attention,
    ring_attention_backward,
)
from parity_tests.twins.comparing import within
from study.ring.rank import Inputs, random_inputs
from study.ring.walk import (
    GRADIENTS,
    errors_of_ring,
    mask_of,
    one_process,
)

NAMES = ("context", *GRADIENTS)


def text(tokens: int, seed: int, is_causal: bool, padding: int) -> Inputs:
    """A text of two heads with padding in front, which sees nothing."""
    inputs = random_inputs(tokens, seed, d_head=3)
    mask = np.arange(tokens)[None] >= padding
    return replace(inputs, attention_mask=mask, is_causal=is_causal)


def by_autograd(inputs: Inputs) -> dict[str, np.ndarray]:
    """The oracle: PyTorch's own attention and its gradients."""
    arrays = (inputs.query, inputs.key, inputs.value)
    parts = [torch.tensor(array, requires_grad=True) for array in arrays]
    mask = torch.tensor(mask_of(inputs))
    context = F.scaled_dot_product_attention(*parts, mask)
    context.backward(torch.tensor(inputs.d_context))
    gradients = [part.grad.numpy() for part in parts]
    return dict(
        zip(NAMES, [context.detach().numpy(), *gradients], strict=True)
    )


def in_one_process(inputs: Inputs, ranks: int) -> dict[str, np.ndarray]:
    """All ranks in turn, in NumPy, there and back."""
    arguments = (
        *(inputs.query, inputs.key, inputs.value, inputs.attention_mask),
        *(ranks, inputs.is_causal),
    )
    context = ring_attention(*arguments)
    gradients = ring_attention_backward(inputs.d_context, *arguments)
    return dict(zip(NAMES, [context, *gradients], strict=True))


def beside(inputs: Inputs, ranks: int, got: dict) -> dict:
    """Comparisons with the oracle, within the bounds of both."""
    _, errors = one_process(inputs)
    ring_errors = errors_of_ring(inputs, ranks)
    return {
        name: within(
            name, value, got[name], errors[name] + ring_errors[name]
        )
        for name, value in by_autograd(inputs).items()
    }


def failing(inputs: Inputs, ranks: int, got: dict) -> list[str]:
    compared = beside(inputs, ranks, got)
    return [name for name in NAMES if not compared[name].holds]
