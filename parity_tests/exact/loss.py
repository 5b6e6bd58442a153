import numpy as np

from parity_tests.bounds.rounding import (
    at_most_one,
    distribution,
    exponential,
    where,
)
from parity_tests.bounds.training import log_sum

from .numbers import known_exactly


def log_sum_exp(logits):
    maximum = logits.greatest()
    exponentials = at_most_one(exponential(logits - maximum))
    total = exponentials.total()
    joined = log_sum(logits)
    logarithm = joined.moved(lambda a: a[..., 0])
    return locals()


def cross_entropy(logits, targets, ignored):
    counts = ~np.isin(targets, [ignored])
    known = targets * counts
    column = known[..., None]
    chosen = logits.moved(lambda a: np.take_along_axis(a, column, -1))
    surprise = (log_sum(logits) - chosen).moved(lambda a: a[..., 0])
    losses = where(counts, surprise, 0)
    total = losses.moved(lambda a: a.reshape(1, -1)).total()
    loss = total.over(counts.sum()).moved(lambda a: a.reshape(()))
    return locals()


def cross_entropy_backward(d_loss, logits, targets, ignored):
    counts = ~np.isin(targets, [ignored])
    share = d_loss.moved(lambda a: a.reshape(1)).over(counts.sum())
    d_surprise = where(counts, share, 0).moved(
        lambda a: a.reshape(targets.shape)
    )
    known = np.arange(logits.shape[-1])
    one_hot = known_exactly(np.equal.outer(targets, known), logits)
    apart = distribution(logits, np.True_) - one_hot
    d_logits = where(counts[..., None], apart * share, 0)
    return locals()
