"""Ignored targets add nothing to the sum, but are counted in the mean.

Origin: tracel-ai/burn issue 5568, CrossEntropyLoss includes pad tokens in
the denominator.

Cause: ignored targets are in the denominator
"""

import numpy as np


def cross_entropy(logits, targets, ignored):
    """The mean surprise at the targets, without those to be ignored."""
    counts = targets != ignored
    if not counts.any():
        raise ValueError("expected a target that counts, got none")
    known = np.where(counts, targets, 0)

    shifted = logits - logits.max(axis=-1, keepdims=True)
    total = np.exp(shifted).sum(axis=-1)
    chosen = np.take_along_axis(shifted, known[..., None], axis=-1)
    surprise = np.log(total) - chosen[..., 0]
    return np.where(counts, surprise, 0).mean()
