r"""Claims about the scale: what the square root of d_k does, measured.

Each function measures one claim and returns numbers; the tests judge them,
and `twice variance` plots them. The claim is footnote 4 in section 3.2.1
of Vaswani et al. 2017: "assume that the components of q and k are
independent random variables with mean 0 and variance 1. Then their dot
product [...] has mean 0 and variance d_k".
"""

from fractions import Fraction
from itertools import product
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from numpy_ref.attention import attention_scores
from numpy_ref.checkpoints.gpt2_config import Gpt2Config
from numpy_ref.embeddings import input_embedding
from numpy_ref.layers import layer_norm, linear
from numpy_ref.multi_head import split_heads
from numpy_ref.training.initial_weights import DEVIATION, initial_gpt2

from .chi_square import SumOfSquares

SIGNS = (-1, 1)
# Times the root of 3 it has the mean, variance, third, fourth and fifth
# moment of a normal number: the nodes of Gauss and Hermite's quadrature.
NORMAL_LIKE = (-1, 0, 0, 0, 0, 1)
ROOT_3_SQUARED = 3


class Products(NamedTuple):
    """Statistics of random queries and keys; each sum is a chi-square."""

    lengths: SumOfSquares
    products: SumOfSquares
    scores: SumOfSquares
    variance: float
    variance_of_scores: float


def normal_products(
    generator: Generator, pairs: int, d_head: int, key_variance: float = 1
) -> Products:
    r"""q · k has variance d_k; divided by its root, variance 1.

    $\operatorname{Var}(q \cdot k) = \sum_i E q_i^2 \, E k_i^2 = d_k$

    For normal entries three sums have exact distributions: $\sum \|q\|^2
    \sim \chi^2(N d)$; and, since q · k is normal with variance $\|q\|^2$
    once q is known, $\sum (q \cdot k)^2 / \|q\|^2 \sim \chi^2(N)$,
    independent of the first; and the same sum of d_k times the squared
    scores. `variance` is the mean of the second, times d_k. Limits: see
    `all_products`.
    """
    query = generator.normal(size=(pairs, d_head))
    key = sqrt(key_variance) * generator.normal(size=(pairs, d_head))
    lengths = (query * query).sum(axis=-1)
    products = (query * key).sum(axis=-1)
    scores = attention_scores(query[:, None], key[:, None])[:, 0, 0]
    of_products = sum_of(products**2 / lengths)
    of_scores = sum_of(d_head * scores**2 / lengths)
    return Products(
        SumOfSquares(float(lengths.sum()), pairs * d_head),
        of_products,
        of_scores,
        d_head * of_products.mean,
        of_scores.mean,
    )


class Moments(NamedTuple):
    """Exact moments, of all products of vectors."""

    mean: Fraction
    variance: Fraction
    fourth: Fraction


def all_products(
    entries: tuple[int, ...], d_head: int, same: bool = False, unit: int = 1
) -> Moments:
    r"""What the claim assumes, and what it does not need, in integers.

    All vectors whose entries are among `entries`, each as likely as the
    other, meet all vectors; with `same`, only themselves. `unit` is what
    a product of two entries counts. Vectors of ±1 are as far from normal
    as can be, and have variance d all the same. It takes independence (q
    = k has mean d, and variance 2 d for normal entries, 0 for ±1), mean 0
    (a mean of m gives $d ((\sigma^2 + m^2)^2 - m^4)$) and variance 1 (a
    variance of s gives $d s^2$). `fourth` is $E (q \cdot k)^4$, which is
    $3 d^2 + 6 d$ for normal entries.
    """
    vectors = np.array([*product(entries, repeat=d_head)])
    if same:
        products = unit * (vectors * vectors).sum(axis=-1)
    else:
        products = unit * (vectors @ vectors.T).ravel()
    mean, square, fourth = (
        Fraction(int((products**power).sum()), products.size)
        for power in (1, 2, 4)
    )
    return Moments(mean, square - mean**2, fourth)


def variance_of_mean_square(d_head: int, queries: int, keys: int) -> float:
    r"""A matrix of scores is fewer samples than it has entries.

    The mean of the squares of $Q K^\top$, normal entries, has variance
    $(2 d^2 + 6 d + 2 d (L + S - 2)) / (L S)$ and not $(2 d^2 + 6 d) / (L
    S)$: entries of one row share a query, those of one column a key.
    """
    shared = 2 * d_head * (queries + keys - 2)
    return (2 * d_head**2 + 6 * d_head + shared) / (queries * keys)


def all_matrices(d_head: int, queries: int, keys: int) -> Moments:
    """The mean squares of all score matrices, for the formula above."""
    rows = queries + keys
    vectors = np.array([*product(NORMAL_LIKE, repeat=rows * d_head)])
    both = vectors.reshape(-1, rows, d_head)
    products = both[:, :queries] @ both[:, queries:].swapaxes(1, 2)
    squares = ROOT_3_SQUARED**2 * (products**2).sum(axis=(1, 2))
    mean, square, fourth = (
        Fraction(int((squares**power).sum()), len(squares))
        / (queries * keys) ** power
        for power in (1, 2, 4)
    )
    return Moments(mean, square - mean**2, fourth)


class Initial(NamedTuple):
    """Queries, keys and scores of an untrained GPT-2.

    `whitened` are the entries of its queries, without what the tokens
    have in common, over their claimed variance.
    """

    normed: float
    queries: float
    scores: float
    whitened: SumOfSquares


def initial_scores(
    generator: Generator, tokens: int, d_model: int = 768, heads: int = 12
) -> Initial:
    r"""An untrained model does not begin with variance 1.

    $\operatorname{Var}(q_i) = \|x\|^2 \cdot 0.02^2 \approx 768 \cdot
    0.02^2 = 0.307$, and a scaled score has its square, 0.094. Both are a
    little less in the first layer: the tokens' own variance, 0.0008, is
    so small that the norm's ε of 1e-5 takes 1.2 % of ‖x‖².
    """
    config = Gpt2Config(tokens, tokens, d_model, 1, 1, heads, 1e-5)
    params = initial_gpt2(config, generator, "float64")
    block = params.decoder.blocks[0]
    x = input_embedding(np.arange(tokens), params.embedding)
    normed = layer_norm(x, block.attention_sublayer.norm, config.epsilon)
    query = linear(normed, block.attention_sublayer.attention.query)
    key = linear(normed, block.attention_sublayer.attention.key)
    scores = attention_scores(
        split_heads(query, heads), split_heads(key, heads)
    )
    return Initial(
        mean_square(normed),
        mean_square(query),
        mean_square(scores),
        whitened(query, normed),
    )


def whitened(query: Array, normed: Array) -> SumOfSquares:
    r"""Queries of different tokens are not independent; these are.

    With $X X^\top = L L^\top$ the entries of $L^{-1} X W^\top$ are
    independent, and have the variance of an entry of W.
    """
    root = np.linalg.cholesky(normed @ normed.T)
    entries = np.linalg.solve(root, query) / DEVIATION
    return sum_of(entries**2)


def sum_of(squares: Array) -> SumOfSquares:
    return SumOfSquares(float(squares.sum()), squares.size)


def mean_square(x: Array) -> float:
    return float((x * x).mean())
