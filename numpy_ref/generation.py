r"""Generation: temperature, top-k, nucleus, min-p, token by token.

A model gives each token of its vocabulary a logit; what is to be left out
gets -inf here, which `softmax` turns into 0. The usual order is
`min_p(nucleus(top_k(logits / T)))`. Uniform numbers are arguments, so
that two implementations make the same choices.
"""

from collections.abc import Callable, Collection, Iterator
from functools import partial
from math import inf, log

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from .attention import softmax
from .checked import (
    check_at_least,
    check_positive,
    check_probability,
    checked,
)
from .gpt2 import Gpt2
from .key_value_cache import KeyValueCache, cached_gpt2


@checked
def greedy(
    logits: Float[Array, "*batch vocabulary"],
) -> Int[Array, "*batch"]:
    r"""Greedy decoding: $\text{argmax}_v l_v$; of equals, the first."""
    ids = np.asarray(logits.argmax(axis=-1))
    return ids


@checked
def top_k(
    logits: Float[Array, "*batch vocabulary"],
    k: int,
) -> Float[Array, "*batch vocabulary"]:
    """Top-k: the k most likely tokens, and those that equal the last.

    Raises ValueError unless k is from 1 to the size of the vocabulary.
    (Fan et al. 2018, section 5.1)

    >>> top_k(np.array([1.0, 3.0, 2.0]), 2)
    array([-inf,   3.,   2.])
    """
    check_at_least("k", k, 1)
    check_at_least("tokens to choose k from", logits.shape[-1], k)
    # The k-th largest; None keeps its axis for the comparison.
    least = np.partition(logits, -k, axis=-1)[..., -k, None]
    filtered = np.where(logits < least, -inf, logits)
    return filtered


@checked
def nucleus(
    logits: Float[Array, "*batch vocabulary"],
    p: float,
) -> Float[Array, "*batch vocabulary"]:
    r"""Nucleus, or top-p: the fewest tokens whose probability reaches p.

    $l_v$ stays when $\sum_{l_u \le l_v} p_u > 1 - p$: when the more likely
    tokens do not reach p yet. Of equally likely tokens, later ones stay
    first; the most likely one stays in any case
    (Holtzman et al. 2020, section 3.1). Raises ValueError unless p is
    from 0 to 1.

    >>> nucleus(np.log([0.2, 0.5, 0.3]), 0.75).round(2)
    array([ -inf, -0.69, -1.2 ])
    """
    check_probability("p", p)
    order = logits.argsort(axis=-1, stable=True)
    ascending = np.take_along_axis(logits, order, axis=-1)
    cumulative = softmax(ascending).cumsum(axis=-1)
    place = order.argsort(axis=-1)  # of each token in that order
    mass = np.take_along_axis(cumulative, place, axis=-1)
    likeliest = place == logits.shape[-1] - 1
    filtered = np.where(likeliest | (mass > 1 - p), logits, -inf)
    return filtered


@checked
def min_p(
    logits: Float[Array, "*batch vocabulary"],
    p: float,
) -> Float[Array, "*batch vocabulary"]:
    r"""Min-p: tokens at least p times as likely as the most likely one.

    $l_v$ stays when $l_v \ge \max_u l_u + \log p$

    Where the model is sure few tokens stay, and many where it is not; 0
    leaves all (Nguyen et al. 2024, section 3). Raises ValueError unless p
    is from 0 to 1.

    >>> min_p(np.log([0.2, 0.5, 0.3]), 0.5).round(2)
    array([ -inf, -0.69, -1.2 ])
    """
    check_probability("p", p)
    most = logits.max(axis=-1, keepdims=True)
    least = most + (log(p) if p > 0 else -inf)
    filtered = np.where(logits < least, -inf, logits)
    return filtered


@checked
def repetition_penalty(
    logits: Float[Array, "*batch vocabulary"],
    seen: Bool[Array, "*#batch #vocabulary"],
    penalty: float,
) -> Float[Array, "*batch vocabulary"]:
    r"""Repetition penalty: what stands in the text already, less likely.

    $l'_v = l_v / \theta$ for $l_v > 0$ and $l_v \theta$ below, for the
    tokens that were `seen`, with $\theta$ the `penalty`: above 1 it makes
    them less likely (Keskar et al. 2019, section 4.1). Raises ValueError
    unless the penalty is finite and above 0.
    """
    check_positive("penalty", penalty)
    lowered = np.where(logits > 0, logits / penalty, logits * penalty)
    penalised = np.where(seen, lowered, logits)
    return penalised


@checked
def sample(
    probabilities: Float[Array, "*batch vocabulary"],
    uniform: Float[Array, "*batch"],
) -> Int[Array, "*batch"]:
    r"""Sampling: the token in whose part of the line from 0 to 1 we land.

    $id = \min \{v : \sum_{u \le v} p_u > \text{uniform}\}$

    0 <= `uniform` < 1. The line ends where the sum does, so what rounding
    takes from the sum chooses no token that has the probability 0.
    """
    cumulative = probabilities.cumsum(axis=-1)
    place = uniform[..., None] * cumulative[..., -1:]
    ids = np.asarray((cumulative <= place).sum(axis=-1))
    return ids


@checked
def choose(
    logits: Float[Array, "*batch vocabulary"],
    uniform: Float[Array, "*batch"],
    temperature: float,
    k: int,
    p: float,
    min_share: float = 0.0,
) -> Int[Array, "*batch"]:
    """Sampling: temperature, top-k, nucleus, min-p, then a draw."""
    check_positive("temperature", temperature)
    check_probability("min_share", min_share)
    tempered = logits / temperature
    likely = top_k(tempered, k)
    in_nucleus = nucleus(likely, p)
    kept = min_p(in_nucleus, min_share)
    probabilities = softmax(kept)
    ids = sample(probabilities, uniform)
    return ids


class Decoding:
    """Decoding: a model that writes, and the cache of what it has read.

    `step` takes the ids of new tokens and the keys and values of those
    before, and returns every layer, and the logits after the last token.
    """

    def __init__(self, step: Callable, cache: KeyValueCache):
        self.step, self.cache = step, cache
        self.ids: list[int] = []

    @property
    def room(self) -> int:
        """How many more tokens fit."""
        return self.cache.keys.shape[-2] - self.cache.length

    def read(self, ids: Int[Array, " position"]) -> Array:
        """The logits after `ids`, which are kept as the past of the next.

        Raises ValueError for more tokens than there is room for.
        """
        layers, logits = self.step(ids, *self.cache.past)
        self.cache.extend(layers)
        self.ids += ids.tolist()
        return logits

    def unread(self, ids: Int[Array, " position"]) -> Array:
        """The part of a text that is still to be read, one token at least.

        The cache keeps what the text begins with, and forgets the rest.
        """
        most = min(len(ids) - 1, len(self.ids))
        same = [self.ids[place] == ids[place] for place in range(most)]
        kept = most if all(same) else same.index(False)
        self.cache.cut(kept)
        self.ids = self.ids[:kept]
        return ids[kept:]


def gpt2_decoding(
    params: Gpt2, heads: int, epsilon: float, positions: int
) -> Decoding:
    """A GPT-2 that has read nothing yet, with room for `positions`.

    Raises ValueError for more positions than the model has.
    """
    most = len(params.embedding.position.weight)
    if positions > most:
        raise ValueError(
            f"expected at most {most} positions, got {positions}"
        )
    step = partial(cached_gpt2, params=params, heads=heads, epsilon=epsilon)
    return Decoding(step, KeyValueCache.of_gpt2(params, heads, positions))


@checked
def generate(
    ids: Int[Array, " position"],
    decoding: Decoding,
    length: int,
    next_token: Callable[[Array], Array] = greedy,
    stop: Collection[int] = (),
) -> Iterator[int]:
    """Generate up to `length` tokens after `ids`, yielded one by one.

    `next_token` takes logits; to sample, give it a `choose` with the rest
    of its arguments. A token of `stop` ends the text and is no part of
    it. What `decoding` has read before stands before `ids`. Raises
    ValueError for an empty prompt, and when prompt and length need more
    positions than there is room for.
    """
    check_at_least("tokens of the prompt", len(ids), 1)
    check_at_least("length", length, 0)
    if len(ids) + length > decoding.room:
        raise ValueError(
            f"expected prompt and length to fit {decoding.room} positions, "
            f"got {len(ids)} + {length}"
        )
    return _tokens(ids, decoding, length, next_token, stop)


def _tokens(ids, decoding, length, next_token, stop):
    for _ in range(length):
        ids = next_token(decoding.read(ids)).reshape(1)
        if int(ids[0]) in stop:
            return
        yield int(ids[0])
