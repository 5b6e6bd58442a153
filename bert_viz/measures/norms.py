r"""Weights beside what they carry: the norm of weight times value.

In one head, $f_h(x_j) = (x_j W_V + b_V) W_O$ is what token j has to give,
in the width of the model; $\alpha_{ij} f_h(x_j)$ is what of it reaches
token i. A large weight on a token with little to give does little. Sums
over all heads and keys, and the bias of the output layer, are the output
of the attention. (Kobayashi et al. 2020)

Left out is what comes after: the residual, the norm and the feed-forward
layer. A norm is not influence either; it is one step nearer to it.
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
    """Those norms as shares of their row, to stand beside the weights."""
    found = norms(attention)
    sums = found.sum(axis=-1, keepdims=True)
    return found / np.where(sums == 0, 1, sums)


def added_up(
    attention: Attention, layer: int
) -> Float[Array, "query d_model"]:
    """The output of a layer's attention, from its parts."""
    parts = attention.weights[layer] @ attention.transformed(layer)
    return parts.sum(axis=0) + attention.outputs[layer].bias
