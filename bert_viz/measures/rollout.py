r"""Attention rollout: the weights multiplied through the layers.

Half of each layer's mean over heads, and half the token itself, for the
residual connection: $\hat A_l = \frac12 \bar A_l + \frac12 I$;
and $R_l = \hat A_l R_{l-1}$, with $R_0 = \hat A_0$. Rows sum to 1. (Abnar
and Zuidema 2020)

It treats heads as alike, values as equally long and the feed-forward
networks as absent: a picture of where the weights lead.
"""

from itertools import accumulate

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from ..attention import Attention


def rollout(attention: Attention) -> Float[Array, "layer query key"]:
    """The share of each input token in each token after each layer.

    Raises ValueError for cross-attention: its keys are no layer's input.
    """
    attention.check_one_text("the rollout")
    mean = attention.weights.mean(axis=1)
    mixed = (mean + np.eye(len(attention.tokens), dtype=mean.dtype)) / 2
    return np.stack(list(accumulate(mixed, lambda below, a: a @ below)))
