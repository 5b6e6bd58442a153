"""Known mistakes in the steps, which the diagnosis compares with.

`VARIANTS[step]` has for each mistake, in words, a function that takes
what the step takes, in its order, and gives what that mistake gives. The
steps stand in files that are named as the reference's, their gradients in
one of their own. A step that is made of others takes over their mistakes;
those in attention itself stand in `mistakes.py`.
"""

from . import (
    attention,
    byte_pair_encoding,
    embeddings,
    gradients,
    layers,
    loss,
    masks,
    multi_head,
    self_attention,
    windows,
)
from .pieces import Wrong

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
    gradients,
)

VARIANTS: dict[str, Wrong] = {
    step: wrong for file in FILES for step, wrong in file.VARIANTS.items()
}
