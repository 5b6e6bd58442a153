r"""Metrics of attention heads: entropy, distance, confidence and others.

Each is one number for each layer and head. `a` below is a row of weights,
$A_{ij}$ the weight that query i gives to key j, and n the number of
tokens. Each metric states its definition and source; its `baseline` is
computed by the same function, from equal weights. In a causal model row i
has i + 1 keys, and its equal weights are 1 / (i + 1). In cross-attention,
where i and j count the tokens of two texts, only those metrics apply that
compare no token of one with a token of the other.
"""

from collections.abc import Callable
from dataclasses import replace
from math import log
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray as Array

from numpy_ref.tokenizers.bert_words import is_punctuation

from ..attention import Attention

PerHead = Float[Array, "layer head"]

CLARK = "Clark et al. 2019, section 3"
VIG = "Vig and Belinkov 2019"
VOITA = "Voita et al. 2019"
OURS = "ours, like the classes of Clark et al. 2019"


def offset_score(attention: Attention, offset: int) -> PerHead:
    """Mean of A[i, i + offset] over the rows where that key exists."""
    diagonal = np.diagonal(attention.weights, offset, axis1=-2, axis2=-1)
    return diagonal.mean(axis=-1) if diagonal.size else undefined(attention)


def mass(attention: Attention, keys: Bool[Array, "#query key"]) -> PerHead:
    """Mean over i of the sum of A[i, j] over these keys."""
    kept = np.where(keys, attention.weights, 0)
    return kept.sum(axis=-1).mean(axis=-1)


def entropy(attention: Attention) -> Float[Array, "layer head query"]:
    r"""Entropy of each row in nats: $-\sum_j a_j \ln a_j$, 0 to ln n."""
    a = attention.weights
    return -(a * np.log(np.where(a > 0, a, 1))).sum(axis=-1)


def normalised_entropy(attention: Attention) -> PerHead:
    """Mean entropy, each row's divided by its largest, ln(number of keys).

    A row with one key has no choice, and is left out.
    """
    keys = attention.mask.sum(axis=-1)
    rows = keys > 1
    if not rows.any():
        return undefined(attention)
    return (entropy(attention)[..., rows] / np.log(keys[rows])).mean(-1)


def effective_keys(attention: Attention) -> PerHead:
    """Perplexity: over how many keys the weight is, in effect, spread."""
    return np.exp(entropy(attention)).mean(axis=-1)


def confidence(attention: Attention) -> PerHead:
    """Mean over i of the largest A[i, j]."""
    return attention.weights.max(axis=-1).mean(axis=-1)


def distance(attention: Attention) -> PerHead:
    r"""Mean distance to a key in tokens: $\sum a |i - j| / \sum a$."""
    positions = np.arange(len(attention.tokens))
    distances = abs(positions[:, None] - positions)
    weights = attention.weights
    total = weights.sum(axis=(-2, -1))
    return (weights * distances).sum(axis=(-2, -1)) / np.where(
        total, total, 1
    )


# --- which keys ----------------------------------------------------------


def keys_named(attention: Attention, *names: str) -> Bool[Array, " key"]:
    return np.array([token in names for token in attention.key_tokens])


def punctuation(attention: Attention) -> Bool[Array, " key"]:
    """Which keys are punctuation, and not special."""
    all_punctuation = [
        bool(text) and all(map(is_punctuation, text))
        for text in map(str.strip, attention.key_tokens)
    ]
    return np.array(all_punctuation) & ~attention.key_special


def same_token(attention: Attention) -> Bool[Array, "query key"]:
    """Which keys are the query's own token, at another position."""
    tokens = np.array(attention.tokens, dtype=object)
    return (tokens[:, None] == tokens) & ~np.eye(len(tokens), dtype=bool)


def other_text(attention: Attention) -> Bool[Array, "query key"]:
    """Which keys are in the other text of a pair."""
    return attention.segments[:, None] != attention.segments


# --- all metrics ---------------------------------------------------------


class Metric(NamedTuple):
    """A metric: one number for each head.

    `applies` says to which texts; `top` is the largest possible value,
    None for a metric that grows with the number of tokens. With
    `one_text`, queries and keys have to be the tokens of one text.
    """

    name: str
    definition: str
    source: str
    measure: Callable[[Attention], PerHead]
    applies: Callable[[Attention], bool] = lambda attention: True
    top: float | None = 1
    one_text: bool = False


def offset_metric(name: str, offset: int) -> Metric:
    return Metric(
        name,
        f"mean of A[i, i{offset:+d}] over the rows where that key exists"
        if offset
        else "mean of A[i, i]",
        f"{CLARK}.1; {VOITA}",
        lambda attention: offset_score(attention, offset),
        # No causal model looks ahead.
        lambda attention: (
            len(attention.tokens) > abs(offset)
            and not (attention.causal and offset > 0)
        ),
        one_text=True,
    )


def mass_metric(
    name: str,
    words: str,
    keys: Callable,
    source: str = CLARK,
    one_text: bool = False,
) -> Metric:
    return Metric(
        name,
        f"mean over i of the sum of A[i, j] over {words}",
        source,
        lambda attention: mass(attention, keys(attention)),
        lambda attention: bool(keys(attention).any()),
        one_text=one_text,
    )


METRICS = (
    offset_metric("previous token", -1),
    offset_metric("self", 0),
    offset_metric("next token", 1),
    mass_metric(
        "[CLS]",
        "j = [CLS], a RoBERTa's <s>",
        lambda attention: keys_named(attention, "[CLS]", "<s>"),
    ),
    mass_metric(
        "[SEP]",
        "j = [SEP], a RoBERTa's </s>",
        lambda attention: keys_named(attention, "[SEP]", "</s>"),
    ),
    mass_metric("punctuation", "all j that are punctuation", punctuation),
    mass_metric(
        "same token",
        "all other j with the token of i",
        same_token,
        OURS,
        one_text=True,
    ),
    mass_metric(
        "other text",
        "all j in the other text",
        other_text,
        OURS,
        one_text=True,
    ),
    Metric(
        "first token",
        "mean over i > 0 of A[i, 0]",
        f"{VIG}; as an attention sink: Xiao et al. 2023",
        lambda attention: first_token(attention),
        lambda attention: attention.causal and len(attention.tokens) > 1,
        one_text=True,
    ),
    Metric(
        "entropy",
        "-sum of a ln a, divided by ln of the number of keys; mean over "
        "the rows with more than one key",
        f"{CLARK}.3; Ghader and Monz 2017",
        normalised_entropy,
        lambda attention: len(attention.key_tokens) > 1,
    ),
    Metric(
        "effective keys",
        "e to the entropy; mean over rows",
        "the perplexity of a distribution",
        effective_keys,
        top=None,
    ),
    Metric(
        "confidence",
        "mean over i of the largest A[i, j]",
        f"{VOITA}, who leave out the end-of-sentence token",
        confidence,
    ),
    Metric(
        "distance",
        "sum of a |i - j| divided by sum of a, in tokens",
        f"{VIG}",
        distance,
        top=None,
        one_text=True,
    ),
)
BY_NAME = {metric.name: metric for metric in METRICS}


def first_token(attention: Attention) -> PerHead:
    return attention.weights[..., 1:, 0].mean(axis=-1)


def metric_named(name: str) -> Metric:
    """The metric of that name. Raises ValueError for an unknown name."""
    if name not in BY_NAME:
        raise ValueError(
            f"expected a metric: {', '.join(BY_NAME)}, got {name!r}"
        )
    return BY_NAME[name]


# --- equal weights, as a baseline ----------------------------------------


def uniform(attention: Attention) -> Attention:
    """The same text with one head of equal weights."""
    mask = attention.mask
    weights = mask / mask.sum(axis=-1, keepdims=True)
    return replace(attention, weights=weights[None, None])


def baseline(metric: Metric, attention: Attention) -> float:
    """The value of a metric for equal weights."""
    return float(metric.measure(uniform(attention))[0, 0])


def undefined(attention: Attention) -> PerHead:
    """NaN for each head, where a metric does not apply to the text."""
    return np.full(attention.weights.shape[:2], np.nan)


# --- two heads -----------------------------------------------------------


def js_distance(
    p: Float[Array, "*heads query key"],
    q: Float[Array, "*heads query key"],
) -> Float[Array, "*heads"]:
    r"""Jensen-Shannon divergence in bits: how differently two heads look.

    From 0 to 1: the mean over rows of
    $\frac12 KL(p \| m) + \frac12 KL(q \| m)$ with $m = (p + q) / 2$,
    divided by ln 2. (Lin 1991; between heads: Clark et al. 2019, section
    6)
    """
    # Everything is doubled: half of the smallest float would be 0.
    both = p + q
    twice = relative_entropy(2 * p, both) + relative_entropy(2 * q, both)
    return twice.mean(axis=-1) / (4 * log(2))


def relative_entropy(p: Array, q: Array) -> Array:
    r"""$KL(p \| q)$ of each row in nats, with 0 ln 0 = 0."""
    seen = p > 0
    ratio = np.where(seen, p, 1) / np.where(seen, q, 1)
    return (p * np.log(ratio)).sum(axis=-1)
