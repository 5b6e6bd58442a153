"""Mistakes where each token is query, key and value."""

from functools import partial

import numpy as np

from numpy_ref.layers import linear
from parity_tests.judge.mutants.attention_parts import (
    WRONG_PARTS,
    Question,
    attention,
    weigh,
)
from parity_tests.judge.mutants.class_parts import WRONG_LAYERS
from parity_tests.judge.mutants.class_parts import wired as as_named

from .attention import PARTS, dropping, scaled_up
from .layers import DROPOUT
from .pieces import Wrong

# Where a token is query, key and value, these are those of other parts.
PARTS_OF_A_TOKEN = {
    name: parts
    for name, parts in PARTS.items()
    if "of queries)" not in name and "of the values)" not in name
}
UNMASKED = {n: p for n, p in PARTS_OF_A_TOKEN.items() if "mask" not in n}
WIRED = {n: p for n, p in WRONG_LAYERS.items() if "wired" in p}
CAUSAL = {
    name: parts
    for name, parts in WRONG_PARTS.items()
    if name
    in (
        "the causal mask is missing",
        "one future position is visible",
        "a token does not see itself",
        "the causal mask shows the future, not the past",
    )
}


def attended(
    x, params, project=linear, wired=as_named, causal=False, **parts
):
    """Self-attention with some parts, perhaps, wrong ones."""
    layers = wired(params.query, params.key, params.value)
    projected = (project(x, layer) for layer in layers)
    return attention(Question(*projected, causal=causal), **parts)


def causally_attended(
    x, params, dropout_mask, rate, drop=scaled_up, weigh=weigh, **parts
):
    weights = dropping(dropout_mask, rate, drop, weigh)
    return attended(x, params, causal=True, weigh=weights, **parts)


VARIANTS: dict[str, Wrong] = {
    "causal_attention": {
        n: partial(causally_attended, **p)
        for n, p in (UNMASKED | CAUSAL | WIRED).items()
    }
    | {n: partial(causally_attended, drop=d) for n, d in DROPOUT.items()},
    "matrix_attention": {
        n: partial(attended, project=np.matmul, **p)
        for n, p in (UNMASKED | WIRED).items()
    },
    "self_attention": {
        n: partial(attended, **p) for n, p in (UNMASKED | WIRED).items()
    },
}
