"""Windows: what a language model reads, and what it is to say next.

A target is its input moved on by one token. Axes: `token` counts the
tokens of a text, `window` the windows, `context_length` the tokens in one.
"""

import numpy as np
from jaxtyping import Int
from numpy import ndarray as Array

from .checked import check_at_least, check_indices, checked


@checked
def window_starts(
    tokens: int,
    context_length: int,
    stride: int,
) -> Int[Array, " window"]:
    """Window starts: where each whole window begins, one every `stride`.

    Whole means with its targets: context_length + 1 tokens. What comes
    after the last whole window is no one's input and no one's target.
    Raises ValueError when not even one window fits.

    >>> window_starts(tokens=10, context_length=4, stride=4)
    array([0, 4])
    """
    check_at_least("context_length", context_length, 1)
    check_at_least("stride", stride, 1)
    check_at_least(
        f"tokens for a window of {context_length}",
        tokens,
        context_length + 1,
    )
    starts = np.arange(0, tokens - context_length, stride)
    return starts


@checked
def covering_window_starts(
    tokens: int,
    context_length: int,
    stride: int,
) -> Int[Array, " window"]:
    """Covering starts: with a last window moved back to the text's end.

    With a stride of at most `context_length`, every token but the first
    is then a target. The last window may share tokens with the one before.

    >>> covering_window_starts(tokens=10, context_length=4, stride=4)
    array([0, 4, 5])
    """
    whole = window_starts(tokens, context_length, stride)
    last = np.array([tokens - context_length - 1])
    starts = np.unique(np.concatenate([whole, last]))
    return starts


@checked
def windows(
    ids: Int[Array, " token"],
    starts: Int[Array, " window"],
    context_length: int,
) -> tuple[
    Int[Array, "window context_length"], Int[Array, "window context_length"]
]:
    """Windows: inputs `ids[s : s + context_length]`, targets a token later.

    Raises ValueError for a window that leaves the text.
    """
    check_at_least("context_length", context_length, 1)
    check_indices("starts", starts, len(ids) - context_length)
    position = starts[:, None] + np.arange(context_length)
    inputs = ids[position]
    targets = ids[position + 1]
    return inputs, targets


@checked
def batches(
    permutation: Int[Array, " window"],
    batch_size: int,
    drop_last: bool,
) -> list[Int[Array, " batch"]]:
    """Batches: which windows each takes, in the order of `permutation`.

    With `drop_last` the last batch is left out when it is not full.
    Raises ValueError for a batch size below 1.

    >>> import numpy as np
    >>> batches(np.array([2, 0, 1]), batch_size=2, drop_last=False)
    [array([2, 0]), array([1])]
    """
    check_at_least("batch_size", batch_size, 1)
    check_indices("permutation", permutation, len(permutation))
    left_out = len(permutation) % batch_size if drop_last else 0
    end = len(permutation) - left_out
    chosen = [
        permutation[start : start + batch_size]
        for start in range(0, end, batch_size)
    ]
    return chosen
