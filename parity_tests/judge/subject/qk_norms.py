"""Norms of queries and keys, so that both have one size: QK-norm.

A norm is that of each head, or of all heads together before the split; by
the root mean square (RMSNorm), or as a layer norm.
"""

import re
from dataclasses import dataclass

import numpy as np

Layer = tuple[np.ndarray, np.ndarray]  # a matrix or a gain, and a bias

GAIN = r"(weight|gamma|gain|scale|(^|[._])g)$"
SHIFT = r"(bias|beta|shift|(^|[._])b)$"
# A norm of queries or of keys, which are then of one size.
QK_NORMS = {
    "query": r"(q|query|queries)_?(layer_?)?(norm|ln)|(norm|ln)_?(q|query)",
    "key": r"(k|key|keys)_?(layer_?)?(norm|ln)|(norm|ln)_?(k|key)",
}


@dataclass(frozen=True, eq=False)
class NormsOfHeads:
    """The norms of queries and keys: gain and bias of each, by the root
    mean square or as a layer norm; of each head, or of all together."""

    query: Layer
    key: Layer
    by_root: bool
    epsilon: float | None

    def of(self, x: np.ndarray, which: str) -> np.ndarray:
        """Queries or keys of one size, in plain numbers."""
        gain, bias = getattr(self, which)
        if not self.by_root:
            x = x - x.mean(axis=-1, keepdims=True)
        square = (x * x).mean(axis=-1, keepdims=True)
        return x / (square + self.least) ** 0.5 * gain + bias

    @property
    def least(self) -> float:
        """The epsilon; where none is given, that of the precision, as
        PyTorch has it."""
        if self.epsilon is not None:
            return self.epsilon
        return float(np.finfo(self.query[0].real.dtype).eps)

    def are_of_heads(self, d_head: int) -> bool:
        return len(self.query[0]) == d_head


@dataclass(frozen=True)
class QKNorm:
    """The names of these norms' gains and biases, and how they norm."""

    query: tuple[str, str | None]
    key: tuple[str, str | None]
    by_root: bool = True
    epsilon: float | None = None

    def of(self, arrays: dict) -> NormsOfHeads:
        query, key = (
            (arrays[g], arrays[b] if b else np.zeros_like(arrays[g]))
            for g, b in (self.query, self.key)
        )
        return NormsOfHeads(query, key, self.by_root, self.epsilon)

    @property
    def labels(self) -> set[str]:
        return {name for name in (*self.query, *self.key) if name}


def qk_norms_of(parameters) -> list[tuple[str, str | None]]:
    """The names of the gain and the bias of a norm of queries, and of one
    of keys; none where these two are not there."""
    found = []
    for pattern in QK_NORMS.values():
        own = [
            label
            for label, shape, _ in parameters
            if len(shape) == 1
            and any(
                re.fullmatch(pattern, part.lower())
                for part in label.split(".")
            )
        ]
        biases = [n for n in own if re.search(SHIFT, n)]
        gains = [n for n in own if n not in biases]
        if len(gains) == 1:
            found.append((gains[0], biases[0] if biases else None))
    return found if len(found) == len(QK_NORMS) else []
