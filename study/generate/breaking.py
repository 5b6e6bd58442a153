"""Breaking one thing in a real Llama, and what moves first.

Each break is a function of the model with a mistake that has shipped
somewhere (`BREAKS`). The text that comes out may still look right, so
`moved` compares every layer and head with those of the model as it is.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import sqrt
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
from numpy import ndarray as Array

from numpy_ref.attention import attention_scores
from numpy_ref.generation import Decoding
from numpy_ref.masks import causal_mask
from numpy_ref.variants import llama_cache
from numpy_ref.variants.rotary import rotary_neighbours, rotary_tables

# A head has moved when one of its weights has, by more than this.
MOVED = 1e-3


def tiled_heads(x: Array, key_heads: int) -> Array:
    """Heads folded as 0 1 2 0 1 2, where the weights want 0 0 1 1 2 2."""
    *batch, heads, positions, features = x.shape
    repeats = heads // key_heads
    tiled = x.reshape(*batch, repeats, key_heads, positions, features)
    folded = tiled.swapaxes(-4, -3)
    return folded.reshape(*batch, key_heads, repeats * positions, features)


def untiled_heads(x: Array, heads: int) -> Array:
    """The heads of `tiled_heads`, one after the other again."""
    *batch, key_heads, queries, features = x.shape
    repeats = heads // key_heads
    positions = queries // repeats
    folded = x.reshape(*batch, key_heads, repeats, positions, features)
    return folded.swapaxes(-4, -3).reshape(
        *batch, heads, positions, features
    )


def mask_one_too_far(queries: int, keys: int, past: int = 0) -> Array:
    """A causal mask that lets a query see the token after it."""
    return causal_mask(queries, keys, past + 1)


def tables_without_past(positions: Array, d_head: int, base: float):
    """Angles that begin at 0 with every new token."""
    return rotary_tables(positions - positions[0], d_head, base)


def scores_without_scale(query: Array, key: Array) -> Array:
    """Attention scores that are divided by nothing."""
    return attention_scores(query * sqrt(query.shape[-1]), key)


# What is broken, and the functions of `llama_cache` that break it.
BREAKS: dict[str, dict[str, Callable]] = {
    "pairing": {"rotary_halves": rotary_neighbours},
    "grouping": {"fold_heads": tiled_heads, "unfold_heads": untiled_heads},
    "mask": {"causal_mask": mask_one_too_far},
    "offset": {"rotary_tables": tables_without_past},
    "scale": {"attention_scores": scores_without_scale},
}


def check_breaks(what: str) -> None:
    """Raise ValueError for a break that is none of BREAKS."""
    if what not in BREAKS:
        raise ValueError(
            f"expected --break to be one of {', '.join(BREAKS)}, got {what}"
        )


@contextmanager
def broken(what: str) -> Iterator[None]:
    """While it lasts, every Llama that writes makes this mistake."""
    with ExitStack() as stack:
        for name, mistake in BREAKS[what].items():
            stack.enter_context(patch.object(llama_cache, name, mistake))
        yield


class Reading(NamedTuple):
    """What a model computed of a prompt, its last token by itself.

    `weights` and `hidden` are those of each layer: (layer, head, query,
    key) and (layer, position, d_model).
    """

    weights: Array
    hidden: Array
    logits: Array


def read(ids: Array, decoding: Decoding) -> Reading:
    """Read a prompt as a text is written: with a past, then one token."""
    parts = [ids[:-1], ids[-1:]]
    weights, hidden = [], []
    for part in parts:
        layers, logits = decoding.step(part, *decoding.cache.past)
        decoding.cache.extend(layers)
        missing = len(ids) - layers[0].weights.shape[-1]
        rows = np.stack([layer.weights for layer in layers])
        weights.append(np.pad(rows, [(0, 0)] * 3 + [(0, missing)]))
        hidden.append(np.stack([layer.hidden for layer in layers]))
    return Reading(
        np.concatenate(weights, axis=-2),
        np.concatenate(hidden, axis=-2),
        logits,
    )


class Moved(NamedTuple):
    """What a break moved in one layer.

    The `head` that moved most, by how much one of its `weights` did, and
    how far the hidden states went, as a share of their size.
    """

    layer: int
    head: int
    weights: float
    hidden: float


def moved(right: Reading, wrong: Reading) -> list[Moved]:
    """What moved, layer by layer."""
    by_head = abs(wrong.weights - right.weights).max(axis=(-2, -1))
    distance = np.linalg.norm(wrong.hidden - right.hidden, axis=(-2, -1))
    share = distance / np.linalg.norm(right.hidden, axis=(-2, -1))
    return [
        Moved(layer, int(heads.argmax()), float(heads.max()), float(far))
        for layer, (heads, far) in enumerate(
            zip(by_head, share, strict=True)
        )
    ]


def first_moved(changes: list[Moved]) -> Moved | None:
    """The first layer in which a head moved, or None."""
    far = (change for change in changes if change.weights > MOVED)
    return next(far, None)


def report(
    what: str, right: Reading, wrong: Reading, tokens: Sequence[bytes]
) -> list[str]:
    """What moved, in lines: the first head, every layer, the logits."""
    changes = moved(right, wrong)
    first = first_moved(changes)
    if first is None:
        return [f"Broken: the {what}. On this prompt no head moved."]
    lines = [
        f"Broken: the {what}. The first to move, on the prompt: layer "
        f"{first.layer}, head {first.head}, a weight by "
        f"{first.weights:.2f}.",
        "layer  head that moved most  weight by  hidden states by",
    ]
    lines += [
        f"{layer:5}  {head:20}  {weights:9.2f}  {hidden:15.1%}"
        for layer, head, weights, hidden in changes
    ]
    return [*lines, *logit_lines(right.logits, wrong.logits, tokens)]


def logit_lines(
    right: Array, wrong: Array, tokens: Sequence[bytes]
) -> list[str]:
    """The logit that moved most, and the most likely token of each."""

    def named(index: int) -> str:
        return repr(tokens[index].decode(errors="replace"))

    most = int(abs(wrong - right).argmax())
    before, after = int(right.argmax()), int(wrong.argmax())
    return [
        f"The logit that moved most: {named(most)}, from {right[most]:.1f} "
        f"to {wrong[most]:.1f}.",
        f"Most likely next: {named(before)} as it is, {named(after)} "
        "broken.",
    ]
