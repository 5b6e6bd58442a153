"""Cross-entropy loss: how surprised a model is by the token that came.

Axes: `vocabulary` counts the tokens that could have come.
"""

import numpy as np
from jaxtyping import Float, Int
from numpy import floating as Scalar
from numpy import ndarray as Array

from .attention import softmax
from .checked import check_at_least, check_indices, checked


@checked
def log_sum_exp(
    logits: Float[Array, "*batch vocabulary"],
) -> Float[Array, "*batch"]:
    r"""Log-sum-exp: softmax's denominator as a logarithm, without overflow.

    $\ln \sum_v e^{l_v} = m + \ln \sum_v e^{l_v - m}$, with $m = \max l$
    """
    maximum = logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(logits - maximum)
    total = exponentials.sum(axis=-1, keepdims=True)
    joined = maximum + np.log(total)
    logarithm = joined[..., 0]
    return logarithm


@checked
def cross_entropy(
    logits: Float[Array, "*batch vocabulary"],
    targets: Int[Array, "*batch"],
    ignored: int,
) -> Scalar:
    r"""Cross-entropy loss: the mean surprise at the tokens that came.

    $L = -\frac{1}{N} \sum_i \ln p_{i, t_i}$, with
    $\ln p_{iv} = l_{iv} - \ln \sum_u e^{l_{iu}}$

    Targets that equal `ignored` (padding, say) do not count, neither in
    the sum nor in N. Raises ValueError when none counts, and for a target
    outside the vocabulary.
    """
    counts = targets != ignored
    check_at_least("targets that count", int(counts.sum()), 1)
    check_indices("targets", targets[counts], logits.shape[-1])
    known = np.where(counts, targets, 0)
    chosen = np.take_along_axis(logits, known[..., None], axis=-1)
    surprise = log_sum_exp(logits) - chosen[..., 0]
    losses = np.where(counts, surprise, 0)
    loss = losses.sum() / counts.sum(dtype=losses.dtype)
    return loss


@checked
def cross_entropy_backward(
    d_loss: Scalar,
    logits: Float[Array, "*batch vocabulary"],
    targets: Int[Array, "*batch"],
    ignored: int,
) -> Float[Array, "*batch vocabulary"]:
    r"""Gradient of cross-entropy: it is 0 once what came has probability 1.

    $\partial L / \partial l_{iv} = (p_{iv} - [\,v = t_i\,]) / N$
    """
    counts = targets != ignored
    known = np.arange(logits.shape[-1])
    one_hot = targets[..., None] == known
    share = counts / counts.sum(dtype=logits.dtype)
    d_surprise = d_loss * share.astype(logits.dtype)
    d_logits = d_surprise[..., None] * (softmax(logits) - one_hot)
    return d_logits
