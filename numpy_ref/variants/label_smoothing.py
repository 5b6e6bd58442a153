r"""Label smoothing: what came is not the only thing that could have come.

Cross-entropy pushes the logit of the right token up without end. Here a
small share of the target goes to every token of the vocabulary, and the
loss is least at finite logits (Szegedy et al. 2016, section 7; 0.1 in
Vaswani et al. 2017, section 5.4).

Two conventions are about. PyTorch's, which stands here, spreads the share
over all tokens, the right one included; tensor2tensor's, over all others.

Axes as in `loss`.
"""

import numpy as np
from jaxtyping import Float, Int
from numpy import floating as Scalar
from numpy import ndarray as Array

from ..attention import softmax
from ..checked import (
    check_at_least,
    check_indices,
    check_probability,
    checked,
)
from ..loss import log_sum_exp


@checked
def smoothed_cross_entropy(
    logits: Float[Array, "*batch vocabulary"],
    targets: Int[Array, "*batch"],
    smoothing: float,
    ignored: int,
) -> Scalar:
    r"""Cross-entropy with label smoothing.

    $L = -\frac{1}{N} \sum_i \sum_v q_{iv} \ln p_{iv}$,
    $q_{iv} = (1 - \epsilon) \, [\,v = t_i\,] + \epsilon / V$
    (Szegedy et al. 2016, section 7), with V the size of the vocabulary
    and $\epsilon$ the `smoothing`; 0 gives `cross_entropy`.

    Targets that equal `ignored` do not count, neither in the sum nor in
    N. Raises ValueError as `cross_entropy` does, and unless `smoothing`
    is from 0 to 1.
    """
    check_probability("smoothing", smoothing)
    counts = targets != ignored
    check_at_least("targets that count", int(counts.sum()), 1)
    check_indices("targets", targets[counts], logits.shape[-1])
    known = np.where(counts, targets, 0)
    chosen = np.take_along_axis(logits, known[..., None], axis=-1)
    logarithm = log_sum_exp(logits)
    surprise = logarithm - chosen[..., 0]
    mean_surprise = logarithm - logits.mean(axis=-1)
    smoothed = (1 - smoothing) * surprise + smoothing * mean_surprise
    losses = np.where(counts, smoothed, 0)
    loss = losses.sum() / counts.sum(dtype=losses.dtype)
    return loss


@checked
def smoothed_cross_entropy_backward(
    d_loss: Scalar,
    logits: Float[Array, "*batch vocabulary"],
    targets: Int[Array, "*batch"],
    smoothing: float,
    ignored: int,
) -> Float[Array, "*batch vocabulary"]:
    r"""Gradient: it is 0 once the probabilities are the smoothed target.

    $\partial L / \partial l_{iv} = (p_{iv} - q_{iv}) / N$
    """
    check_probability("smoothing", smoothing)
    counts = targets != ignored
    known = np.arange(logits.shape[-1])
    one_hot = targets[..., None] == known
    even = smoothing / logits.shape[-1]
    wanted = (1 - smoothing) * one_hot.astype(logits.dtype) + even
    share = counts / counts.sum(dtype=logits.dtype)
    d_smoothed = d_loss * share.astype(logits.dtype)
    d_logits = d_smoothed[..., None] * (softmax(logits) - wanted)
    return d_logits
