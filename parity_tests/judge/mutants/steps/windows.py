"""Mutants of windows and batches: starts, targets, the last batch."""

from functools import partial

import numpy as np

from numpy_ref.windows import window_starts

from .pieces import Mutants


def windows_of(ids, starts, context_length, inputs=0, targets=1):
    """Inputs and targets, so many tokens after each start."""
    position = starts[:, None] + np.arange(context_length)
    return ids[position + inputs], ids[position + targets]


WINDOWS: Mutants = {
    "the targets are not shifted by one": partial(windows_of, targets=0),
    "the targets are shifted by two": partial(windows_of, targets=2),
    "the targets are the tokens before, not after": partial(
        windows_of, targets=-1
    ),
    "inputs and targets are swapped": partial(
        windows_of, inputs=1, targets=0
    ),
    "the starts are ignored: one window after the other": (
        lambda ids, starts, context_length: windows_of(
            ids, np.arange(len(starts)) * context_length, context_length
        )
    ),
    "the starts are ignored: every token begins a window": (
        lambda ids, starts, context_length: windows_of(
            ids, np.arange(len(starts)), context_length
        )
    ),
}

WINDOW_STARTS: Mutants = {
    "the stride is ignored: every token begins a window": (
        lambda tokens, context_length, stride: np.arange(
            tokens - context_length
        )
    ),
    "the stride is ignored: one window after the other": (
        lambda tokens, context_length, stride: np.arange(
            0, tokens - context_length, context_length
        )
    ),
    "the last window is lost where it ends with the text": (
        lambda tokens, context_length, stride: np.arange(
            0, tokens - context_length - 1, stride
        )
    ),
    "no room is left for the targets": (
        lambda tokens, context_length, stride: np.arange(
            0, tokens - context_length + 1, stride
        )
    ),
    "windows that are not whole are kept": (
        lambda tokens, context_length, stride: np.arange(0, tokens, stride)
    ),
    "starts are numbers of windows, not of tokens": (
        lambda *sizes: np.arange(len(window_starts(*sizes)))
    ),
    "the last window is lost": lambda *sizes: window_starts(*sizes)[:-1],
}

COVERING_WINDOW_STARTS: Mutants = {
    "the end of the text is not covered": window_starts,
    "no room is left for the targets": (
        lambda tokens, context_length, stride: np.union1d(
            window_starts(tokens, context_length, stride),
            tokens - context_length,
        )
    ),
    "the last window comes twice where the windows fit": (
        lambda tokens, context_length, stride: np.append(
            window_starts(tokens, context_length, stride),
            tokens - context_length - 1,
        )
    ),
}


def cut(permutation, size, drop):
    """Batches; with `drop`, without the last one if it is not full."""
    ends = range(size, len(permutation), size)
    parts = np.split(permutation, ends)
    return [part for part in parts if len(part) == size or not drop]


BATCHES: Mutants = {
    "the last batch is always kept": (
        lambda order, size, drop: cut(order, size, False)
    ),
    "the last batch is always dropped if it is not full": (
        lambda order, size, drop: cut(order, size, True)
    ),
    "drop_last is inverted": (
        lambda order, size, drop: cut(order, size, not drop)
    ),
    "the last batch is dropped even where it is full": (
        lambda order, size, drop: cut(order, size, False)[
            : -1 if drop else None
        ]
    ),
    "the order is ignored": (
        lambda order, size, drop: cut(np.sort(order), size, drop)
    ),
}

MUTANTS: dict[str, Mutants] = {
    "batches": BATCHES,
    "covering_window_starts": COVERING_WINDOW_STARTS,
    "window_starts": WINDOW_STARTS,
    "windows": WINDOWS,
}
