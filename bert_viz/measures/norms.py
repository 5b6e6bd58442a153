r"""Norm-based attention: the norm of weight times transformed value.

In one head, $f_h(x_j) = (x_j W_V + b_V) W_O$ is what token j can give, in
the width of the model; $\alpha_{ij} f_h(x_j)$ is how much of it reaches
token i. A large weight on a token with little to give does little. Summed
over all heads and keys, plus the bias of the output projection, these are
the output of the attention. (Kobayashi et al. 2020)

What comes after is left out: residual connection, layer norm and
feed-forward network. A norm is not influence either; it is one step
closer to it.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from ..attention import Attention


def norms(attention: Attention) -> Float[Array, "layer head query key"]:
    r"""$\lVert \alpha_{ij} f_h(x_j) \rVert$ of all layers and heads."""
    return attention.weights * attention.value_norms[..., None, :]


def norm_shares(
    attention: Attention,
) -> Float[Array, "layer head query key"]:
    """The norms as shares of their row, comparable with the weights."""
    carried = norms(attention)
    sums = carried.sum(axis=-1, keepdims=True)
    return carried / np.where(sums == 0, 1, sums)


def added_up(
    attention: Attention, layer: int
) -> Float[Array, "query d_model"]:
    """The output of a layer's attention, added up from its parts."""
    parts = attention.weights[layer] @ attention.transformed(layer)
    return parts.sum(axis=0) + attention.outputs[layer].bias
