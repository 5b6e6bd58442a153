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

from .checked import check_at_least, check_positive, checked
from .layers import dropout, dropout_backward


@checked
def attention_scores(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
) -> Float[Array, "*batch query key"]:
    r"""Attention scores: how much each query asks for each key.

    $S = Q K^\top / \sqrt{d_\text{head}}$

    The root keeps the variance of a score at 1 when the entries of query
    and key are independent, with mean 0 and variance 1 (footnote 4).
    Raises ValueError for queries and keys without features.
    """
    check_at_least("d_head", query.shape[-1], 1)
    similarity = query @ key.swapaxes(-2, -1)
    scores = similarity / sqrt(query.shape[-1])
    return scores


@checked
def attention_scores_backward(
    d_scores: Float[Array, "*batch query key"],
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
) -> tuple[
    Float[Array, "*batch query d_head"],
    Float[Array, "*batch key d_head"],
]:
    r"""Gradient of the scores: queries move along keys, keys along queries.

    $dQ = dS \, K / \sqrt{d_\text{head}}$,
    $dK = dS^\top Q / \sqrt{d_\text{head}}$
    """
    check_at_least("d_head", query.shape[-1], 1)
    d_similarity = d_scores / sqrt(query.shape[-1])
    d_query = d_similarity @ key
    d_key = d_similarity.swapaxes(-2, -1) @ query
    return d_query, d_key


@checked
def softmax(
    scores: Float[Array, "*batch key"],
) -> Float[Array, "*batch key"]:
    r"""Softmax: each row of scores as a distribution.

    $A_j = e^{S_j} / \sum_k e^{S_k}$

    >>> import numpy as np
    >>> scores = np.log(2) * np.array([0.0, 1.0, 2.0])
    >>> (7 * softmax(scores)).round(12)
    array([1., 2., 4.])
    """
    # Shifting by the maximum changes no quotient and keeps exp finite.
    # With a value to begin from, NumPy finds it in half the time.
    maximum = scores.max(axis=-1, keepdims=True, initial=-inf)
    shifted = scores - maximum
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=-1, keepdims=True)
    weights = exponentials / total
    return weights


@checked
def softmax_backward(
    d_weights: Float[Array, "*batch key"],
    scores: Float[Array, "*batch key"],
) -> Float[Array, "*batch key"]:
    r"""Gradient of softmax: what one key gains, the others lose.

    $dS_j = A_j \left(dA_j - \sum_k A_k \, dA_k\right)$

    By the quotient rule $\partial A_k / \partial S_j = A_k ([j = k] -
    A_j)$; summed with $dA_k$ over k, the first part leaves $A_j dA_j$ and
    the second $-A_j \sum_k A_k dA_k$. The shift by the maximum changes
    no weight, and so has no part in it. A row of gradients sums to 0.
    """
    weights = softmax(scores)
    mean = (weights * d_weights).sum(axis=-1, keepdims=True)
    d_scores = weights * (d_weights - mean)
    return d_scores


@checked
def softmax_with_temperature(
    scores: Float[Array, "*batch key"],
    temperature: float,
) -> Float[Array, "*batch key"]:
    r"""Softmax with temperature: a sharper or a flatter distribution.

    $A = \operatorname{softmax}(S / \tau)$

    Towards 0 the greatest score takes all; towards infinity all keys get
    the same (Hinton et al. 2015, section 2). Raises ValueError unless
    `temperature` is finite and above 0.
    """
    check_positive("temperature", temperature)
    tempered = scores / temperature
    weights = softmax(tempered)
    return weights


@checked
def softmax_with_temperature_backward(
    d_weights: Float[Array, "*batch key"],
    scores: Float[Array, "*batch key"],
    temperature: float,
) -> Float[Array, "*batch key"]:
    r"""Gradient with respect to the scores, not to the temperature.

    $dS = d(S / \tau) / \tau$
    """
    check_positive("temperature", temperature)
    tempered = scores / temperature
    d_tempered = softmax_backward(d_weights, tempered)
    d_scores = d_tempered / temperature
    return d_scores


@checked
def masked_softmax(
    scores: Float[Array, "*batch query key"],
    mask: Bool[Array, "*#batch #query #key"],
) -> Float[Array, "*batch query key"]:
    r"""Masked softmax: each row as a distribution over its allowed keys.

    $A_{ij} = e^{S_{ij}} / \sum_{k \in M_i} e^{S_{ik}}$ for $j \in M_i$,
    and 0 where the mask forbids.

    A fully masked row, of a query that may attend to nothing, gives zeros,
    as in `F.scaled_dot_product_attention`. (`nn.MultiheadAttention` can
    give NaN; a mask of -1e9 in place of -inf gives the uniform row.) A NaN
    or an overflow in a masked score is stopped here.
    """
    allowed = np.where(mask, scores, -inf)
    maximum = allowed.max(axis=-1, keepdims=True, initial=-inf)
    # Without an allowed key the maximum is -inf, and -inf + inf is NaN.
    shift = np.where(maximum == -inf, 0, maximum)
    exponentials = np.exp(allowed - shift)
    total = exponentials.sum(axis=-1, keepdims=True)
    divisor = np.where(total == 0, 1, total)
    weights = exponentials / divisor
    return weights


@checked
def masked_softmax_backward(
    d_weights: Float[Array, "*batch query key"],
    scores: Float[Array, "*batch query key"],
    mask: Bool[Array, "*#batch #query #key"],
) -> Float[Array, "*batch query key"]:
    r"""Gradient of masked softmax: 0 where the mask forbids.

    $dS_{ij} = A_{ij} \left(dA_{ij} - \sum_k A_{ik} \, dA_{ik}\right)$
    """
    weights = masked_softmax(scores, mask)
    mean = (weights * d_weights).sum(axis=-1, keepdims=True)
    d_scores = weights * (d_weights - mean)
    return d_scores


@checked
def scaled_dot_product_attention(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
) -> Float[Array, "*batch query d_value"]:
    r"""Attention: for each query, a weighted mean of the values it may see.

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
def scaled_dot_product_attention_backward(
    d_context: Float[Array, "*batch query d_value"],
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
) -> tuple[
    Float[Array, "*batch query d_head"],
    Float[Array, "*batch key d_head"],
    Float[Array, "*batch key d_value"],
]:
    r"""Gradient of attention: the product rule for $A V$, then the scores.

    $dV = A^\top dO$, $dA = dO \, V^\top$
    """
    scores = attention_scores(query, key)
    weights = masked_softmax(scores, mask)
    d_value = weights.swapaxes(-2, -1) @ d_context
    d_weights = d_context @ value.swapaxes(-2, -1)
    d_scores = masked_softmax_backward(d_weights, scores, mask)
    d_query, d_key = attention_scores_backward(d_scores, query, key)
    return d_query, d_key, d_value


@checked
def attention_with_dropout(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    dropout_mask: Bool[Array, "*#batch #query #key"],
    rate: float,
) -> Float[Array, "*batch query d_value"]:
    r"""Attention with dropout: some weights dropped, the rest scaled up.

    $O = \operatorname{dropout}(A) V$

    The weights that are left are not normalised again, so a row of them
    sums to 1 in expectation only.
    """
    scores = attention_scores(query, key)
    weights = masked_softmax(scores, mask)
    dropped = dropout(weights, dropout_mask, rate)
    context = dropped @ value
    return context


@checked
def attention_with_dropout_backward(
    d_context: Float[Array, "*batch query d_value"],
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
    dropout_mask: Bool[Array, "*#batch #query #key"],
    rate: float,
) -> tuple[
    Float[Array, "*batch query d_head"],
    Float[Array, "*batch key d_head"],
    Float[Array, "*batch key d_value"],
]:
    r"""Gradient, with $\operatorname{dropout}(A)$ in place of $A$."""
    scores = attention_scores(query, key)
    weights = masked_softmax(scores, mask)
    dropped = dropout(weights, dropout_mask, rate)
    d_value = dropped.swapaxes(-2, -1) @ d_context
    d_dropped = d_context @ value.swapaxes(-2, -1)
    d_weights = dropout_backward(d_dropped, weights, dropout_mask, rate)
    # `masked_softmax_backward`, with the weights that are here already.
    mean = (weights * d_weights).sum(axis=-1, keepdims=True)
    d_scores = weights * (d_weights - mean)
    d_query, d_key = attention_scores_backward(d_scores, query, key)
    return d_query, d_key, d_value
