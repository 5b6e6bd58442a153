"""Embeddings: from token ids to vectors that know their position.

Axes: `vocabulary` counts the known tokens, `positions` the places that
a model has, `d_model` the features of a token.
"""

from dataclasses import dataclass
from math import log

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray as Array

from .checked import check_at_least, check_indices, checked


@checked
@dataclass(frozen=True, eq=False)
class TokenEmbedding:
    """Token embedding: one row for each token of the vocabulary."""

    weight: Float[Array, "vocabulary d_model"]


@checked
def token_embedding(
    ids: Int[Array, "*batch position"],
    params: TokenEmbedding,
) -> Float[Array, "*batch position d_model"]:
    """Token embedding: the row of each token, $E_i = W_{id_i}$.

    Raises ValueError for an id outside the vocabulary.
    """
    check_indices("ids", ids, len(params.weight))
    embedded = params.weight[ids]
    return embedded


@checked
def token_embedding_backward(
    d_embedded: Float[Array, "*batch position d_model"],
    ids: Int[Array, "*batch position"],
    params: TokenEmbedding,
) -> TokenEmbedding:
    r"""Gradient of the look-up: a row gets the sum over its token's places.

    $dW_v = \sum_{i : id_i = v} dE_i$
    """
    d_weight = np.zeros_like(params.weight)
    np.add.at(d_weight, ids, d_embedded)
    d_params = TokenEmbedding(d_weight)
    return d_params


@checked
def one_hot_embedding(
    ids: Int[Array, "*batch position"],
    params: TokenEmbedding,
) -> Float[Array, "*batch position d_model"]:
    r"""One-hot embedding: the look-up as a product with one-hot rows.

    $E = H W$, with $H_{iv} = [\,id_i = v\,]$
    """
    check_indices("ids", ids, len(params.weight))
    known = np.arange(len(params.weight))
    one_hot = (ids[..., None] == known).astype(params.weight.dtype)
    embedded = one_hot @ params.weight
    return embedded


@checked
def one_hot_embedding_backward(
    d_embedded: Float[Array, "*batch position d_model"],
    ids: Int[Array, "*batch position"],
    params: TokenEmbedding,
) -> TokenEmbedding:
    r"""Gradient: the sums of `token_embedding_backward`, as one product.

    $dW = H^\top dE$
    """
    known = np.arange(len(params.weight))
    one_hot = ids.reshape(-1, 1) == known
    upstream = d_embedded.reshape(-1, d_embedded.shape[-1])
    d_weight = one_hot.T.astype(upstream.dtype) @ upstream
    d_params = TokenEmbedding(d_weight)
    return d_params


@checked
@dataclass(frozen=True, eq=False)
class PositionEmbedding:
    """Position embedding: a learned row each (Gehring et al. 2017, 3.1)."""

    weight: Float[Array, "positions d_model"]


@checked
def position_embedding(
    positions: Int[Array, "*batch position"],
    params: PositionEmbedding,
) -> Float[Array, "*batch position d_model"]:
    """Position embedding: the row of each position, $P_i = W_i$.

    Raises ValueError for a position that the table does not have.
    """
    check_indices("positions", positions, len(params.weight))
    embedded = params.weight[positions]
    return embedded


@checked
def position_embedding_backward(
    d_embedded: Float[Array, "*batch position d_model"],
    positions: Int[Array, "*batch position"],
    params: PositionEmbedding,
) -> PositionEmbedding:
    r"""Gradient, as for tokens.

    $dW_p = \sum_{i : \text{position}_i = p} dP_i$
    """
    d_weight = np.zeros_like(params.weight)
    np.add.at(d_weight, positions, d_embedded)
    d_params = PositionEmbedding(d_weight)
    return d_params


@checked
def sinusoidal_positions(
    positions: Float[Array, " position"],
    d_model: int,
) -> Float[Array, "position d_model"]:
    r"""Sinusoidal positions: sines and cosines, with nothing to learn.

    $P_{p,2i} = \sin(p\,\omega_i)$, $P_{p,2i+1} = \cos(p\,\omega_i)$,
    $\omega_i = 10000^{-2i/d_\text{model}}$

    Moving by a fixed distance is then a rotation of each pair of
    features (Vaswani et al. 2017, section 3.5).
    """
    check_at_least("d_model", d_model, 1)
    feature = np.arange(d_model, dtype=positions.dtype)
    pair_start = feature - feature % 2
    frequency = np.exp(-log(10000) / d_model * pair_start)
    angle = positions[:, None] * frequency
    encoded = np.where(feature % 2 == 0, np.sin(angle), np.cos(angle))
    return encoded


@checked
@dataclass(frozen=True, eq=False)
class InputEmbedding:
    """Input embedding: the two tables that a text enters through."""

    token: TokenEmbedding
    position: PositionEmbedding


@checked
def input_embedding(
    ids: Int[Array, "*batch position"],
    params: InputEmbedding,
) -> Float[Array, "*batch position d_model"]:
    """Input embedding: which token, and where, as a sum."""
    token_embeddings = token_embedding(ids, params.token)
    positions = np.arange(ids.shape[-1])
    position_embeddings = position_embedding(positions, params.position)
    x = token_embeddings + position_embeddings
    return x


@checked
def input_embedding_backward(
    d_x: Float[Array, "*batch position d_model"],
    ids: Int[Array, "*batch position"],
    params: InputEmbedding,
) -> InputEmbedding:
    """Gradient of both tables: that of the positions, summed over texts."""
    d_token_embeddings = d_x
    d_position_embeddings = d_x.reshape(-1, *d_x.shape[-2:]).sum(axis=0)
    positions = np.arange(ids.shape[-1])
    d_params_token = token_embedding_backward(
        d_token_embeddings, ids, params.token
    )
    d_params_position = position_embedding_backward(
        d_position_embeddings, positions, params.position
    )
    d_params = InputEmbedding(d_params_token, d_params_position)
    return d_params
