"""Mutants of cross-entropy and log-sum-exp."""

from collections.abc import Callable
from math import log

import numpy as np

from numpy_ref.attention import softmax
from numpy_ref.loss import cross_entropy, log_sum_exp
from parity_tests.judge.mutants.attention_parts import (
    normalised,
    without_a_shift,
)

from .pieces import Mutants, nothing_done

LOG_SUM_EXP: Mutants = {
    "the logarithm is missing": lambda logits: np.exp(logits).sum(-1),
    "the maximum is not added again": (
        lambda logits: log_sum_exp(logits) - logits.max(-1)
    ),
    "it is the mean of the exponentials, not the sum": (
        lambda logits: log_sum_exp(logits) - log(logits.shape[-1])
    ),
    "it is the maximum alone": lambda logits: logits.max(-1),
    "the maximum is not subtracted: exp overflows": (
        lambda logits: np.log(np.exp(logits).sum(-1))
    ),
}


def joined_by(join: Callable) -> Callable:
    """A loss of each target's surprise, and of which targets count.

    An ignored target is taken for token 0.
    """

    def loss(logits, targets, ignored):
        counts = targets != ignored
        known = np.where(counts, targets, 0)[..., None]
        chosen = np.take_along_axis(logits, known, axis=-1)[..., 0]
        return join(log_sum_exp(logits) - chosen, counts)

    return loss


def of_targets(change: Callable, take: Callable) -> Callable:
    """The mean of `take` over the targets' entries."""

    def loss(logits, targets, ignored):
        counts = targets != ignored
        index = targets[counts][:, None]
        rows = change(logits)[counts]
        return take(np.take_along_axis(rows, index, axis=-1)).mean()

    return loss


def surprise(probability):
    return -np.log(probability)


CROSS_ENTROPY: Mutants = {
    "the mean counts ignored targets, too": joined_by(
        lambda each, counts: each[counts].sum() / counts.size
    ),
    "it is the sum, not the mean": joined_by(
        lambda each, counts: each[counts].sum()
    ),
    "ignored targets are taken for token 0": joined_by(
        lambda each, counts: each.mean()
    ),
    "the sum is divided by the number of texts": joined_by(
        lambda each, counts: each[counts].sum() / len(counts)
    ),
    "the mean is taken for each text first": joined_by(
        lambda each, counts: np.mean(
            (each * counts).sum(-1) / counts.sum(-1)
        )
    ),
    "the sign is wrong": joined_by(
        lambda each, counts: -each[counts].mean()
    ),
    "it is the perplexity, e to the loss": joined_by(
        lambda each, counts: np.exp(each[counts].mean())
    ),
    "the logarithm is that to the base 2": joined_by(
        lambda each, counts: each[counts].mean() / log(2)
    ),
    "the mean is taken over the vocabulary, too": (
        lambda logits, *rest: (
            cross_entropy(logits, *rest) / logits.shape[-1]
        )
    ),
    "the softmax is applied twice: probabilities are taken for logits": (
        lambda logits, *rest: cross_entropy(softmax(logits), *rest)
    ),
    "logits are taken for logarithms: the softmax is missing": (
        of_targets(nothing_done, np.negative)
    ),
    "logits are taken for probabilities: the softmax is missing": (
        of_targets(nothing_done, surprise)
    ),
    "the softmax runs over the positions, not the vocabulary": of_targets(
        lambda logits: normalised(logits, axis=-2), surprise
    ),
    "the logarithm is missing": of_targets(softmax, np.negative),
    "the targets are shifted by one a second time": (
        lambda logits, targets, ignored: cross_entropy(
            logits[..., :-1, :], targets[..., 1:], ignored
        )
    ),
    "the targets are shifted by one the other way": (
        lambda logits, targets, ignored: cross_entropy(
            logits[..., 1:, :], targets[..., :-1], ignored
        )
    ),
    "the maximum is not subtracted: exp overflows": of_targets(
        lambda logits: without_a_shift(logits, True), surprise
    ),
    "the logarithm is that of a softmax, which may be 0": of_targets(
        softmax, surprise
    ),
}

MUTANTS: dict[str, Mutants] = {
    "cross_entropy": CROSS_ENTROPY,
    "log_sum_exp": LOG_SUM_EXP,
}
