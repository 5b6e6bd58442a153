r"""Generation: temperature, top-k, nucleus, and text token by token.

A model gives each token of its vocabulary a logit; what is to be left out
gets -inf here, which `softmax` turns into 0. The usual order is
`nucleus(top_k(logits / T))`. Uniform numbers are arguments, so that two
implementations make the same choices.
"""

from collections.abc import Callable, Collection, Iterator
from math import inf

import numpy as np
from jaxtyping import Float, Int
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
) -> Int[Array, "*batch"]:
    """Sampling: temperature, top-k, nucleus, then a draw."""
    check_positive("temperature", temperature)
    tempered = logits / temperature
    likely = top_k(tempered, k)
    kept = nucleus(likely, p)
    probabilities = softmax(kept)
    ids = sample(probabilities, uniform)
    return ids


@checked
def generate(
    ids: Int[Array, " position"],
    params: Gpt2,
    heads: int,
    epsilon: float,
    length: int,
    next_token: Callable[[Array], Array] = greedy,
    stop: Collection[int] = (),
) -> Iterator[int]:
    """Generate up to `length` tokens after `ids`, yielded one by one.

    `next_token` takes logits; to sample, give it a `choose` with the rest
    of its arguments. A token of `stop` ends the text and is no part of
    it. Raises ValueError for an empty prompt, and when prompt and length
    need more positions than the model has.
    """
    check_at_least("tokens of the prompt", len(ids), 1)
    check_at_least("length", length, 0)
    positions = len(params.embedding.position.weight)
    if len(ids) + length > positions:
        raise ValueError(
            f"expected prompt and length to fit {positions} positions, "
            f"got {len(ids)} + {length}"
        )
    return _tokens(ids, params, heads, epsilon, length, next_token, stop)


def _tokens(ids, params, heads, epsilon, length, next_token, stop):
    cache = KeyValueCache(params, heads, len(ids) + length)
    for _ in range(length):
        layers, logits = cached_gpt2(
            ids, *cache.past, params, heads, epsilon
        )
        cache.extend(layers)
        ids = next_token(logits).reshape(1)
        if int(ids[0]) in stop:
            return
        yield int(ids[0])
