r"""Claims about softmax: saturation without the scale, and temperature.

As in `scale.py`, each function measures, and tests judge.
"""

from math import e, log, sqrt
from typing import NamedTuple

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from numpy_ref.attention import (
    attention_scores,
    softmax,
    softmax_with_temperature,
)

BLOCK = 8  # sequences in memory at a time


class Saturation(NamedTuple):
    """Saturation of rows of weights: how much gradient they let through.

    `concentration` is the mean of Σp², 1 for one key that takes all;
    `jacobian` the Frobenius norm of ∂p/∂s, `gradient` that of ∂o/∂q for
    one feature of values of variance 1. Of each the median and the root
    of the mean square, because they do not tell the same story.
    """

    d_head: int
    rows: int
    concentration: float
    entropy: float
    jacobian_median: float
    jacobian_rms: float
    gradient_median: float
    gradient_rms: float


def saturation(
    generator: Generator,
    sequences: int,
    d_head: int,
    tokens: int = 64,
) -> tuple[Saturation, Saturation]:
    r"""Without the scale, softmax saturates, and most gradients vanish.

    "We suspect that for large values of d_k, the dot products grow large
    in magnitude, pushing the softmax function into regions where it has
    extremely small gradients" (Vaswani et al. 2017, section 3.2.1).

    Half of the truth: the *median* norm of softmax's Jacobian falls off
    exponentially with $\sqrt{d}$. The other half: two keys of nearly
    equal score still share a row now and then, so the *mean square*
    falls like $d^{-1/2}$ only; and a query meets keys of length
    $\sqrt{d}$, so $E \|\partial o / \partial q\|^2$ even grows, like
    $\sqrt{d}$. Both powers are limits: at 64 keys they show from d = 256
    on. What happens *in training* is another claim
    (`study/train/plots.py`).

    Of concentration the limit for many keys is $1 - \sqrt{2 \ln n / d}$
    without the scale, where that is positive, and $e / n$ with it.

    Returned are both, without the scale and with it, of the same queries
    and keys.
    """
    bare, scaled = zip(
        *(
            block_of_rows(generator, count, d_head, tokens)
            for count in block_sizes(sequences)
        ),
        strict=True,
    )
    return summarised(d_head, bare), summarised(d_head, scaled)


def summarised(d_head: int, blocks: tuple[Array, ...]) -> Saturation:
    """Means, medians and root mean squares of the four numbers of a row."""
    squares, entropies, jacobians, gradients = np.concatenate(
        blocks, axis=1
    )
    return Saturation(
        d_head,
        len(squares),
        float(squares.mean()),
        float(entropies.mean()),
        *median_and_rms(jacobians),
        *median_and_rms(gradients),
    )


def block_sizes(sequences: int) -> list[int]:
    """How many sequences at a time.

    >>> block_sizes(20)
    [8, 8, 4]
    """
    starts = range(0, sequences, BLOCK)
    return [min(BLOCK, sequences - start) for start in starts]


def block_of_rows(
    generator: Generator, sequences: int, d_head: int, tokens: int
) -> tuple[Array, Array]:
    """The four numbers of each row, without the scale and with it."""
    query, key = generator.normal(size=(2, sequences, tokens, d_head))
    scaled = attention_scores(query, key)
    products = key @ key.swapaxes(-2, -1)
    root = sqrt(d_head)
    return (
        four_numbers(root * scaled, products, 1.0),
        four_numbers(scaled, products, 1 / root),
    )


def four_numbers(scores: Array, products: Array, scale: float) -> Array:
    """The numbers behind `Saturation`, for each row, stacked."""
    weights = softmax(scores)
    numbers = (
        (weights * weights).sum(axis=-1),
        entropy(weights),
        jacobian_norms(weights),
        scale * gradient_norms(weights, products),
    )
    return np.stack([values.ravel() for values in numbers])


def jacobian_norms(weights: Array) -> Array:
    r"""$\|\operatorname{diag}(p) - p p^\top\|_F$ of each row.

    $\sqrt{\sum_i p_i^2 \left((1 - p_i)^2 + \sum_{j \ne i} p_j^2\right)}$,
    with $1 - p_i$ as the sum of the others. The usual form, $\sum p^2 -
    2 \sum p^3 + (\sum p^2)^2$, cancels when one weight is nearly 1, may
    come out below 0, and its root is then NaN.
    """
    others = 1 - np.eye(weights.shape[-1])
    squares = weights * weights
    missing = weights @ others
    terms = squares * (missing * missing + squares @ others)
    return np.sqrt(terms.sum(axis=-1))


def gradient_norms(weights: Array, products: Array) -> Array:
    r"""$\|J K\|_F$ of each row: of ∂o/∂q, over values of variance 1.

    Row j of $J K$ is $p_j (k_j - \sum_i p_i k_i)$; the squared length of
    the difference comes from the products of keys with each other.
    """
    lengths = np.diagonal(products, axis1=-2, axis2=-1)[..., None, :]
    to_mean = weights @ products
    of_mean = (to_mean * weights).sum(axis=-1, keepdims=True)
    apart = np.maximum(lengths - 2 * to_mean + of_mean, 0)
    return np.sqrt((weights * weights * apart).sum(axis=-1))


def entropy(weights: Array) -> Array:
    r"""$-\sum p \ln p$ of each row: 0 for one key, $\ln n$ for all."""
    some = np.where(weights > 0, weights, 1)
    return -(weights * np.log(some)).sum(axis=-1)


def median_and_rms(norms: Array) -> tuple[float, float]:
    return float(np.median(norms)), sqrt((norms * norms).mean())


def sorted_rows(
    generator: Generator, d_head: int, tokens: int = 64
) -> tuple[Array, Array]:
    """One query's weights, greatest first, without and with the scale."""
    query = generator.normal(size=(1, d_head))
    scores = attention_scores(
        query, generator.normal(size=(tokens, d_head))
    )
    both = np.concatenate([sqrt(d_head) * scores, scores])
    bare, scaled = np.sort(softmax(both), axis=-1)[:, ::-1]
    return bare, scaled


class Tempered(NamedTuple):
    """A row of weights at one temperature."""

    temperature: float
    least: float
    greatest: float
    entropy: float
    slope: float


def at_temperature(scores: Array, temperature: float) -> Tempered:
    r"""Cold, the greatest score takes all; hot, all keys get the same.

    With $R$ the range of n scores and $g$ the gap between the first and
    the second, the limits come at a known speed: $n p$ lies between
    $e^{-R/\tau}$ and $e^{R/\tau}$, and $1 - p_\text{max}$ is at most $(n
    - 1) e^{-g/\tau}$. (Scores that tie for the first place share it.)
    Between the limits the entropy only grows,

    $dH / d\tau = \operatorname{Var}_p(s) / \tau^3 \ge 0$,

    which is `slope` (Hinton et al. 2015, section 2, for the limits).
    """
    weights = softmax_with_temperature(scores, temperature)
    centred = scores - (weights * scores).sum()
    return Tempered(
        temperature,
        float(weights.min()),
        float(weights.max()),
        float(entropy(weights)),
        float((weights * centred * centred).sum()) / temperature**3,
    )


def concentration_limit(d_head: int, tokens: int, scaled: bool) -> float:
    r"""$e / n$, or $1 - \sqrt{2 \ln n / d}$: what n → ∞ makes of Σp²."""
    if scaled:
        return e / tokens
    return 1 - sqrt(2 * log(tokens) / d_head)
