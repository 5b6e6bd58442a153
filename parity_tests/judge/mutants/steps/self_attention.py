"""Mutants of self-attention, where a token is query, key and value."""

from functools import partial

import numpy as np

from numpy_ref.layers import linear
from parity_tests.judge.mutants.attention_parts import (
    MUTANT_PARTS,
    Probe,
    attention,
    weigh,
)
from parity_tests.judge.mutants.class_parts import MUTANT_LAYERS
from parity_tests.judge.mutants.class_parts import wired as as_named

from .attention import PARTS, dropping, scaled_up
from .layers import DROPOUT
from .pieces import Mutants

# Where a token is query, key and value, the others equal one of these.
PARTS_OF_A_TOKEN = {
    name: parts
    for name, parts in PARTS.items()
    if "of queries)" not in name and "of the values)" not in name
}
UNMASKED = {n: p for n, p in PARTS_OF_A_TOKEN.items() if "mask" not in n}
WIRED = {n: p for n, p in MUTANT_LAYERS.items() if "wired" in p}
CAUSAL = {
    name: MUTANT_PARTS[name]
    for name in (
        "the causal mask is missing",
        "one future position is visible",
        "a token does not see itself",
        "the causal mask shows the future, not the past",
    )
}


def self_attention(
    x, params, project=linear, wired=as_named, causal=False, **parts
):
    """Self-attention, any part of which may be a wrong one."""
    layers = wired(params.query, params.key, params.value)
    projected = (project(x, layer) for layer in layers)
    return attention(Probe(*projected, causal=causal), **parts)


def causal_attention(
    x, params, dropout_mask, rate, drop=scaled_up, weigh=weigh, **parts
):
    weights = dropping(dropout_mask, rate, drop, weigh)
    return self_attention(x, params, causal=True, weigh=weights, **parts)


MUTANTS: dict[str, Mutants] = {
    "causal_attention": {
        n: partial(causal_attention, **p)
        for n, p in (UNMASKED | CAUSAL | WIRED).items()
    }
    | {n: partial(causal_attention, drop=d) for n, d in DROPOUT.items()},
    "matrix_attention": {
        n: partial(self_attention, project=np.matmul, **p)
        for n, p in (UNMASKED | WIRED).items()
    },
    "self_attention": {
        n: partial(self_attention, **p)
        for n, p in (UNMASKED | WIRED).items()
    },
}
