"""Mutants of the steps, with which the diagnosis compares.

`MUTANTS[step]` maps a cause, in words, to a function that takes what the
step takes, in its order, and gives what this mutant gives. The files are
named as those of the reference; gradients have one of their own. A step
that is made of others inherits their mutants; those of attention itself
are in `attention_parts.py`.
"""

from . import (
    attention,
    byte_pair_encoding,
    embeddings,
    gradients,
    half_precision,
    layers,
    loss,
    masks,
    memory,
    multi_head,
    scores,
    self_attention,
    tiles,
    transformer,
    variants,
    windows,
)
from .pieces import Mutants

FILES = (
    byte_pair_encoding,
    windows,
    embeddings,
    masks,
    layers,
    attention,
    self_attention,
    multi_head,
    loss,
    variants,
    scores,
    memory,
    tiles,
    transformer,
    half_precision,
    gradients,
)

MUTANTS: dict[str, Mutants] = {
    step: mutants
    for file in FILES
    for step, mutants in file.MUTANTS.items()
}
