"""Distances of heads, and a map on which similar heads lie together.

The map is classical multidimensional scaling: the two directions in which
the distances spread most (Torgerson 1952; for heads: Clark et al. 2019,
section 6). Distances of many heads do not fit into a plane: `share` says
how much of their spread the map shows.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from ..attention import Attention
from .metrics import js_distance


class HeadMap(NamedTuple):
    """A point for each head, and the share of the spread they show."""

    points: Float[Array, "layer head 2"]
    share: float


def head_distances(
    attention: Attention,
) -> Float[Array, "head head"]:
    """Jensen-Shannon distance of any two heads, in the model's order."""
    heads = attention.weights.reshape(-1, *attention.weights.shape[2:])
    heads = heads.astype(np.float64)
    return np.stack([js_distance(head[None], heads) for head in heads])


def head_map(attention: Attention) -> HeadMap:
    """Map of heads by multidimensional scaling: like ones lie together."""
    squared = head_distances(attention) ** 2
    centre = squared.mean(axis=0)
    centred = -(squared - centre - centre[:, None] + centre.mean()) / 2
    spread, directions = np.linalg.eigh(centred)
    largest = np.argsort(-spread)[:2]
    shown = np.maximum(spread[largest], 0)
    points = np.zeros((len(squared), 2))  # one head has no second axis
    points[:, : len(largest)] = directions[:, largest] * np.sqrt(shown)
    # An eigenvector has no sign: the farthest point is made positive.
    farthest = np.take_along_axis(
        points, abs(points).argmax(axis=0)[None], axis=0
    )
    points = points * np.where(farthest < 0, -1, 1)
    total = np.maximum(spread, 0).sum()
    share = float(shown.sum() / total) if total else 1.0
    shape = attention.layers, attention.heads, 2
    return HeadMap(points.reshape(shape), share)
