r"""Attention through several layers: rollout.

Each layer's mean over heads, half of it, and half the token itself, which
goes by on the residual way: $\hat A_l = \frac12 \bar A_l + \frac12 I$;
and $R_l = \hat A_l R_{l-1}$, with $R_0 = \hat A_0$. Rows sum to 1. (Abnar
and Zuidema 2020)

It takes heads to be alike, values to be of one length and the
feed-forward layers to do nothing: a picture of where the weights lead.
"""

from itertools import accumulate

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from ..attention import Attention


def rollout(attention: Attention) -> Float[Array, "layer query key"]:
    """Up to each layer, from which tokens of the input it came."""
    mean = attention.weights.mean(axis=1)
    mixed = (mean + np.eye(len(attention.tokens), dtype=mean.dtype)) / 2
    return np.stack(list(accumulate(mixed, lambda below, a: a @ below)))
