"""How different heads are, and a map on which like ones lie together.

The map is classical multidimensional scaling: the two directions in which
the distances spread most (Torgerson 1952; for heads: Clark and others
2019, section 6). Distances of many heads do not fit into a plane: `share`
says how much of their spread the map shows.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from ..attention import Attention
from .metrics import js_distance


class HeadMap(NamedTuple):
    """A place in the plane for each head, and how much it can show."""

    places: Float[Array, "layer head 2"]
    share: float


def head_distances(
    attention: Attention,
) -> Float[Array, "head head"]:
    """The JS distance of any two heads; heads of layer 0 come first."""
    heads = attention.weights.reshape(-1, *attention.weights.shape[2:])
    heads = heads.astype(np.float64)
    return np.stack([js_distance(one[None], heads) for one in heads])


def head_map(attention: Attention) -> HeadMap:
    """The heads as points; two heads that look alike lie near."""
    squared = head_distances(attention) ** 2
    centre = squared.mean(axis=0)
    centred = -(squared - centre - centre[:, None] + centre.mean()) / 2
    spread, directions = np.linalg.eigh(centred)
    largest = np.argsort(-spread)[:2]
    shown = np.maximum(spread[largest], 0)
    places = np.zeros((len(squared), 2))  # one head has no second axis
    places[:, : len(largest)] = directions[:, largest] * np.sqrt(shown)
    # An eigenvector has no sign: the farthest point lies to the positive.
    farthest = np.take_along_axis(
        places, abs(places).argmax(axis=0)[None], axis=0
    )
    places = places * np.where(farthest < 0, -1, 1)
    total = np.maximum(spread, 0).sum()
    share = float(shown.sum() / total) if total else 1.0
    shape = attention.layers, attention.heads, 2
    return HeadMap(places.reshape(shape), share)
