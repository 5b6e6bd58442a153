"""Variants: what an attention may do beside plain attention.

It hides what is outside of a window, keeps its scores within a cap, adds a
bias that falls with the distance (ALiBi), or leaves some of its weights to
sinks. A `Variant` says which, in numbers; it knows which keys are seen,
what becomes of scores, and the exact context.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from parity_tests.bounds.rounding import (
    Bounded,
    distribution,
    scaled_scores,
    weighted_mean,
)
from parity_tests.exact import described
from parity_tests.exact.numbers import (
    bounded,
    known_exactly,
    known_within,
)

from .cases import AttentionCase


def of_the_paper(heads: int) -> np.ndarray:
    """One sequence for any number of heads (Press et al. 2022)."""
    return 2.0 ** (-8 * np.arange(1, heads + 1) / heads)


def of_its_code(heads: int) -> np.ndarray:
    """That of a power of two, then every other one of twice as many."""
    power = 2 ** (heads.bit_length() - 1)
    between = of_the_paper(2 * power)[::2]
    return np.concatenate([of_the_paper(power), between[: heads - power]])


# How far back the window of a number w reaches: it may count the query's
# own key or not, or both sides.
REACHES = {
    "w - 1": lambda window: window - 1,
    "w": lambda window: window,
    "w // 2": lambda window: window // 2,
}
SLOPES = {"paper": of_the_paper, "code": of_its_code}


@dataclass(frozen=True)
class Variant:
    """What is done beside plain attention, and to which keys.

    `sides`: whether a query sees earlier keys only, those within a window
    on both sides, or all. `aligned` says with which keys fewer queries
    are aligned, the last or the first. `alibi` has the slopes, a key of
    SLOPES or the numbers, for as many heads as there are; and what is
    taken for a distance, "signed" or "absolute". `sinks` has a score for
    each head.
    """

    window: int | None = None
    cap: float | None = None
    alibi: tuple[str | tuple[float, ...], str] | None = None
    sides: str = ""
    aligned: str = "last"
    sinks: tuple[float, ...] = ()

    def __str__(self) -> str:
        said = []
        if self.window and self.sides == "earlier":
            said.append(f"a window of the last {self.window} keys")
        elif self.window:
            reach = self.window - 1
            said.append(f"a window of {reach} keys to each side")
        if self.cap:
            said.append(f"scores capped at {self.cap:g}")
        if self.alibi:
            slopes = "2^-8h/H" if self.alibi[0] in SLOPES else "as given"
            said.append(
                f"a bias that falls with distance, slopes {slopes}: ALiBi"
            )
        if self.sinks:
            said.append("a sink for each head, which takes a share")
        return ", and ".join(said)

    def distance(self, shape: tuple[int, ...]) -> np.ndarray:
        """How far back each key is from each query."""
        queries, keys = shape[-2:]
        past = keys - queries if self.aligned == "last" else 0
        return past + np.arange(queries)[:, None] - np.arange(keys)

    def seen(self, shape: tuple[int, ...]) -> np.ndarray:
        """Which keys each query may see, whatever a mask says."""
        distance = self.distance(shape)
        seen = np.ones(distance.shape, bool)
        if self.sides == "earlier":
            seen &= distance >= 0
        if self.window:
            seen &= abs(distance) < self.window
        return seen

    def visible(self, case: AttentionCase) -> np.ndarray:
        """Which key each query sees, of those that the mask allows."""
        return case.rows & self.seen(case.rows.shape)

    def slopes(self, heads: int) -> np.ndarray:
        """ALiBi's slopes, with two axes more for scores."""
        which, _ = self.alibi
        named = SLOPES[which](heads) if which in SLOPES else which
        return np.resize(named, heads)[:, None, None]

    def distances(self, shape: tuple[int, ...]) -> np.ndarray:
        """What ALiBi multiplies the slopes with."""
        distance = self.distance(shape)
        is_signed = self.alibi[1] == "signed"
        return distance if is_signed else abs(distance)

    # --- in plain numbers ------------------------------------------------

    def of_scores(self, scores: np.ndarray) -> np.ndarray:
        """Scores, capped, and with their bias."""
        if self.cap:
            scores = self.cap * np.tanh(scores / self.cap)
        if self.alibi:
            slopes = self.slopes(heads_in(scores.shape))
            scores = scores - slopes * self.distances(scores.shape)
        return scores

    def weights(
        self, scores: np.ndarray, visible, weigh: Callable
    ) -> np.ndarray:
        """Weights of plain scores, made by `weigh` in the end."""
        scores = self.of_scores(scores)
        visible = visible & self.seen(scores.shape)
        if not self.sinks:
            return weigh(scores, visible)
        return self.beside_sinks(scores, visible, weigh)[..., :-1]

    def beside_sinks(
        self, scores: np.ndarray, visible, weigh: Callable
    ) -> np.ndarray:
        """Weights of scores, each head's beside one more, its sink's."""
        sinks = np.resize(self.sinks, heads_in(scores.shape))
        shape = (*scores.shape[:-1], 1)
        column = np.broadcast_to(sinks[:, None, None], shape)
        beside = np.concatenate([scores, column], axis=-1)
        visible = np.broadcast_to(visible, scores.shape)
        seen = np.concatenate([visible, np.ones(shape, bool)], axis=-1)
        return weigh(beside, seen)

    # --- exactly ---------------------------------------------------------

    def exact(self, case: AttentionCase) -> Bounded:
        """The context, with its error."""
        query, key, value = map(bounded, case.qkv)
        scores = scaled_scores(query, key)
        return weighted_mean(self.exact_weights(scores, case.rows), value)

    def exact_weights(self, scores: Bounded, mask: np.ndarray) -> Bounded:
        """The weights of plain scores that a mask allows."""
        if self.cap:
            scores = described("soft_cap")(scores, self.cap)["capped"]
        if self.alibi:
            scores = scores + self.exact_bias(scores)
        visible = mask & self.seen(scores.shape)
        if not self.sinks:
            return distribution(scores, visible)
        sinks = np.resize(self.sinks, heads_in(scores.shape))
        sink = known_exactly(sinks, scores)
        return described("sink_softmax")(scores, sink, visible)["weights"]

    def exact_bias(self, scores: Bounded) -> Bounded:
        """ALiBi's, the slopes rounded as the scores are."""
        slopes = self.slopes(heads_in(scores.shape))
        steep = known_within(
            -slopes, 4 * scores.rounding.u * slopes, scores
        )
        distances = self.distances(scores.shape)
        return steep * known_exactly(distances * 1.0, scores)


def heads_in(shape: tuple[int, ...]) -> int:
    """How many heads there are; one where there is no axis for them."""
    return shape[-3] if len(shape) > 2 else 1


def where_any_is_seen(variant: Variant, case: AttentionCase) -> np.ndarray:
    """Which queries see a key: what others get is a convention."""
    return variant.visible(case).any(axis=-1, keepdims=True)
