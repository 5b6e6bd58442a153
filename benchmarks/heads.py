"""Races of heads: one wide layer split, or one layer for each head?

Both compute the same (a test proves it), once in NumPy and once in
PyTorch. A ratio below 1 means that splitting is faster. It is not always.
"""

from collections.abc import Iterator

import torch

from numpy_ref import multi_head
from numpy_ref.masks import causal_mask
from numpy_ref.parameters import from_state_dict
from torch_impl import multi_head as torch_multi_head

from .races import Race

# Texts, tokens of each, heads, features of a token.
SIZES = (
    (2, 6, 12, 768),
    (1, 128, 12, 768),
    (8, 128, 12, 768),
    (8, 128, 4, 64),
)


def races(quick: bool = False) -> Iterator[Race]:
    for texts, tokens, heads, d_model in SIZES[1:2] if quick else SIZES:
        for package, (split, stacked) in contenders(
            texts, tokens, heads, d_model
        ).items():
            work = (
                f"{texts} × {tokens}, {heads} heads of {d_model // heads}"
            )
            sides = {"split": split, "stacked": stacked}
            yield Race(f"{work}, {package}", sides)


def contenders(texts: int, tokens: int, heads: int, d_model: int) -> dict:
    """Split heads, then stacked heads, by the package that computes."""
    x = torch.randn(texts, tokens, d_model)
    keep = torch.ones(texts, heads, tokens, tokens, dtype=torch.bool)
    mask = torch.from_numpy(causal_mask(tokens, tokens))
    stacked = torch_multi_head.StackedHeads(
        d_model, d_model // heads, heads
    )
    split = torch_multi_head.MultiHeadAttentionWithDropout(d_model)
    params = [
        from_state_dict(
            kind, {n: a.numpy() for n, a in module.state_dict().items()}
        )
        for kind, module in (
            (multi_head.StackedHeads, stacked),
            (multi_head.MultiHeadAttention, split),
        )
    ]
    arrays = x.numpy(), keep.numpy(), mask.numpy()
    return {
        "PyTorch": (
            torch.no_grad()(lambda: split(x, mask, keep, 0.0, heads)),
            torch.no_grad()(lambda: stacked(x, keep, 0.0)),
        ),
        "NumPy": (
            lambda: multi_head.multi_head_attention_with_dropout(
                arrays[0], params[1], arrays[2], arrays[1], 0.0, heads
            ),
            lambda: multi_head.stacked_heads(
                arrays[0], params[0], arrays[1], 0.0
            ),
        ),
    }
