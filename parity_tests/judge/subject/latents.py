"""Latents: a few features of a token, from which heads are made.

In multi-head latent attention (Liu et al. 2024) keys and values, and maybe
queries, are made from a compressed token, with a norm in between or none.
"""

import re
from dataclasses import dataclass

import numpy as np

from .qk_norms import Layer

# Projections down to a latent, of queries and of keys with values; and
# the norm of a latent.
DOWN = (
    r"(w_?)?(dq|q_?(down|a|compress)\w*|(down|compress)_?q(uery)?\w*)",
    r"(w_?)?(dkv|kv_?(down|a|compress|latent)\w*|"
    r"(down|compress|latent)_?kv\w*|latent(_?proj)?)",
)
NORM = (
    r"q_?(a_?|latent_?|down_?)?(layer_?)?norm|norm_?q(_?latent)?",
    r"kv_?(a_?|latent_?|down_?)?(layer_?)?norm|norm_?kv|latent_?norm",
)
# What goes up again, under the names that it would have without a latent.
UP = {
    "query": r"(w_?)?(uq|q_?(up|b)\w*|up_?q(uery)?\w*|query_?up\w*)",
    "key": r"(w_?)?(uk|k_?up\w*|up_?k(ey)?\w*|key_?up\w*)",
    "value": r"(w_?)?(uv|v_?up\w*|up_?v(alue)?\w*|value_?up\w*)",
    "kv": r"(w_?)?(ukv|kv_?(up|b)\w*|up_?kv\w*)",
}


@dataclass(frozen=True, eq=False)
class LatentTokens:
    """How a token becomes its latent, in numbers."""

    down: Layer
    gain: np.ndarray | None
    epsilon: float

    def of(self, x: np.ndarray, is_normed: bool = True) -> np.ndarray:
        """The latents of tokens, in plain numbers."""
        matrix, bias = self.down
        latent = np.einsum("...i,oi->...o", x, matrix) + bias
        if self.gain is None or not is_normed:
            return latent
        square = (latent * latent).mean(axis=-1, keepdims=True)
        return latent / (square + self.epsilon) ** 0.5 * self.gain


@dataclass(frozen=True)
class Latent:
    """The names of a projection down, of its bias, and of the gain of a
    norm after it; a matrix that is `turned` is (in, out)."""

    matrix: str
    bias: str | None = None
    gain: str | None = None
    turned: bool = False
    epsilon: float = 1e-6

    def of(self, arrays: dict) -> LatentTokens:
        matrix = arrays[self.matrix]
        matrix = matrix.T if self.turned else matrix
        bias = np.zeros(len(matrix), matrix.dtype)
        bias = arrays[self.bias] if self.bias else bias
        gain = arrays[self.gain] if self.gain else None
        return LatentTokens((matrix, bias), gain, self.epsilon)

    @property
    def labels(self) -> set[str]:
        names = self.matrix, self.bias, self.gain
        return {name for name in names if name}


def latents_of(parameters) -> tuple[Latent | None, Latent | None]:
    """The latents of queries, and of keys with values, if there are some
    and what goes up from them is there, too."""
    labels = {label: len(shape) for label, shape, _ in parameters}
    found: list[Latent | None] = []
    ups = ({"query"}, {"key", "value", "kv"})
    for down, norm, roles in zip(DOWN, NORM, ups, strict=True):
        goes_up = any(up_of(label) in roles for label in labels)
        matrices = [
            n for n in labels if labels[n] == 2 and is_called(n, down)
        ]
        single = [label for label in labels if labels[label] == 1]
        gains = [n for n in single if is_called(n, norm)]
        biases = [
            n for n in single if is_called(n, down) and n not in gains
        ]
        if not goes_up or len(matrices) != 1:
            found.append(None)
            continue
        bias, gain = (next(iter(each), None) for each in (biases, gains))
        found.append(Latent(matrices[0], bias, gain))
    return tuple(found)


def up_of(label: str) -> str | None:
    """What a projection up makes: "query", "key", "value", or "kv"."""
    return next((role for role in UP if is_called(label, UP[role])), None)


def is_called(label: str, pattern: str) -> bool:
    """Whether a part of a name is called so, without "weight"."""
    parts = label.lower().split(".")
    return any(re.fullmatch(pattern, part) for part in parts)
