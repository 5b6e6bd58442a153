"""Scaled dot-product attention (Vaswani et al. 2017, section 3.2.1).

Axes: `query` and `key` count positions, `d_head` the features of a
query or key, `d_value` those of a value. Masks are boolean: True means
that the query may attend to the key (`masks.py`). There is at least one
key.

A token asks (its query), all tokens answer (their keys), and what they
have to say (their values) is averaged by how well each answer fits.
"""

from math import inf, sqrt

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray as Array

from .checked import checked
from .layers import dropout


@checked
def attention_scores(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
) -> Float[Array, "*batch query key"]:
    r"""How much each query asks for each key.

    $S = Q K^\top / \sqrt{d_\text{head}}$

    The root keeps the variance of a score at 1 when the entries of query
    and key are independent, with mean 0 and variance 1 (footnote 4).
    """
    similarity = query @ key.swapaxes(-2, -1)
    scores = similarity / sqrt(query.shape[-1])
    return scores


@checked
def softmax(
    scores: Float[Array, "*batch key"],
) -> Float[Array, "*batch key"]:
    r"""Each row of scores as a distribution.

    $A_j = e^{S_j} / \sum_k e^{S_k}$

    >>> import numpy as np
    >>> scores = np.log(2) * np.array([0.0, 1.0, 2.0])
    >>> (7 * softmax(scores)).round(12)
    array([1., 2., 4.])
    """
    # Shifting by the maximum changes no quotient and keeps exp finite.
    maximum = scores.max(axis=-1, keepdims=True)
    shifted = scores - maximum
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=-1, keepdims=True)
    weights = exponentials / total
    return weights


@checked
def softmax_with_temperature(
    scores: Float[Array, "*batch key"],
    temperature: float,
) -> Float[Array, "*batch key"]:
    r"""A distribution that is sharper or flatter than that of `softmax`.

    $A = \operatorname{softmax}(S / \tau)$

    `temperature` > 0. Towards 0 the greatest score takes all; towards
    infinity all keys get the same (Hinton et al. 2015, section 2).
    """
    tempered = scores / temperature
    weights = softmax(tempered)
    return weights


@checked
def masked_softmax(
    scores: Float[Array, "*batch query key"],
    mask: Bool[Array, "*#batch #query #key"],
) -> Float[Array, "*batch query key"]:
    r"""Each row of scores as a distribution over its allowed keys.

    $A_{ij} = e^{S_{ij}} / \sum_{k \in M_i} e^{S_{ik}}$ for $j \in M_i$,
    and 0 where the mask forbids.

    A query that may attend to nothing gets a row of zeros, as in
    `F.scaled_dot_product_attention`. (`nn.MultiheadAttention` can give
    NaN; a mask of -1e9 in place of -inf gives the uniform row.) A NaN or
    an overflow in a masked score is stopped here.
    """
    allowed = np.where(mask, scores, -inf)
    maximum = allowed.max(axis=-1, keepdims=True)
    # Without an allowed key the maximum is -inf, and -inf + inf is NaN.
    shift = np.where(maximum == -inf, 0, maximum)
    exponentials = np.exp(allowed - shift)
    total = exponentials.sum(axis=-1, keepdims=True)
    divisor = np.where(total == 0, 1, total)
    weights = exponentials / divisor
    return weights


@checked
def scaled_dot_product_attention(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
) -> Float[Array, "*batch query d_value"]:
    r"""For each query, the weighted mean of the values it may see.

    $O = A V$

    Where all may attend to all, the mask is all True. A query that may
    attend to nothing gets 0. A NaN in a masked value spreads, because 0
    times NaN is NaN.
    """
    scores = attention_scores(query, key)
    weights = masked_softmax(scores, mask)
    context = weights @ value
    return context


@checked
def attention_with_dropout(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    keep: Bool[Array, "*#batch #query #key"],
    rate: float,
) -> Float[Array, "*batch query d_value"]:
    r"""The same, with some weights dropped and the rest scaled up.

    $O = \operatorname{dropout}(A) V$

    The weights that are left are not normalised again, so a row of them
    sums to 1 in expectation only.
    """
    scores = attention_scores(query, key)
    weights = masked_softmax(scores, mask)
    dropped = dropout(weights, keep, rate)
    context = dropped @ value
    return context
