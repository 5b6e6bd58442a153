"""The angles are laid out for neighbours, and halves are turned.

Origin: raiyanyahya/how-to-train-your-gpt issue 6; of the same kind are
rasbt/LLMs-from-scratch issue 747 and huggingface/transformers issue 40462.

Cause: rotary angles laid out for the other pairs
"""

import numpy as np


def rope_table(tokens, d_head, base=10000.0):
    """Cosines and sines of (position, feature)."""
    frequency = 1 / base ** (np.arange(0, d_head, 2) / d_head)
    angle = np.outer(np.arange(tokens), frequency)
    angle = np.repeat(angle, 2, axis=-1)
    return np.cos(angle), np.sin(angle)


def rotate_half(x):
    """The second half of the features, negated, and then the first."""
    half = x.shape[-1] // 2
    return np.concatenate([-x[..., half:], x[..., :half]], axis=-1)


def apply_rope(x, cos, sin):
    """The features in pairs, each turned by the angle of its position."""
    return x * cos + rotate_half(x) * sin
