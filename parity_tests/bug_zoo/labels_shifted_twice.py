"""Targets, which are the next tokens already, are moved on once more.

Origin: huggingface/transformers pull request 37830, for JetMoe, "next next
token prediction"; also huggingface/transformers issue 47394, for GIT.

Cause: labels are shifted twice
"""

import numpy as np


def cross_entropy(logits, targets, ignored):
    """The mean surprise at the targets, without those to be ignored."""
    logits, targets = logits[..., :-1, :], targets[..., 1:]
    counts = targets != ignored
    if not counts.any():
        raise ValueError("expected a target that counts, got none")
    known = np.where(counts, targets, 0)

    shifted = logits - logits.max(axis=-1, keepdims=True)
    total = np.exp(shifted).sum(axis=-1)
    chosen = np.take_along_axis(shifted, known[..., None], axis=-1)
    surprise = np.log(total) - chosen[..., 0]
    return surprise[counts].mean()
