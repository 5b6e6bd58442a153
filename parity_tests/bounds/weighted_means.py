r"""Weighted mean whose weights are uncertain: how far it can be moved.

A mean of values v_j with weights p_j > 0, each of which may be off by a
factor e^eps_j, |eps_j| <= E_j:

$$\mu(\epsilon) = \frac{\sum_j p_j e^{\epsilon_j} v_j}
                       {\sum_j p_j e^{\epsilon_j}}$$

**The greatest is a threshold.** The derivative by eps_j has the sign of
v_j - mu, so in the greatest mean every key with v_j > mu has its largest
weight, p_j e^E_j, and every key with v_j < mu its smallest, p_j e^-E_j;
with v_j = mu either will do. In the order of their values the keys
therefore fall into two runs, the first ones light and the others heavy.
There are n + 1 ways to cut n keys in two, all of them allowed, and the
greatest mean is the greatest of those: a linear-fractional programme
(Charnes and Cooper 1962) whose corners need no search. The least is the
greatest of -v, negated.

**Sums of both runs.** The heavy run is summed from its own end. As the
difference of two sums from the front it would cancel, and lose the keys
that count where their weights are small beside the others.

**Common factors cancel**, so the largest heavy weight is taken as 1. Of
errors up to 300, what then underflows is less than e^-40 of what counts.
A weight that may be off by a larger factor is as good as unknown: the
mean is then somewhere between the least and the greatest value.
"""

import numpy as np

UNKNOWN = 300.0


def greatest_mean(log_weights, log_errors, values) -> np.ndarray:
    """The greatest weighted mean, for each query and feature.

    `log_weights` and `log_errors`: (..., query, key), ln p and E; where ln
    p is -inf, a key takes no part. `values`: (..., key, feature). A row in
    which none takes part gives -inf.
    """
    parts = log_weights > -np.inf
    errors = np.where(parts, log_errors, 0)
    known = errors.max(-1, keepdims=True, initial=0) <= UNKNOWN
    errors = np.where(known, errors, UNKNOWN)
    highest = log_weights + errors
    top = highest.max(-1, keepdims=True, initial=-np.inf)
    top = np.where(top > -np.inf, top, 0)
    heavy = np.exp(highest - top)
    light = np.exp(log_weights - errors - top)
    columns = np.moveaxis(values, -1, 0)
    cut = [greatest_cut(light, heavy, column) for column in columns]
    ends = [greatest_value(parts, column) for column in columns]
    return np.where(known, np.stack(cut, -1), np.stack(ends, -1))


def least_mean(log_weights, log_errors, values) -> np.ndarray:
    """The least weighted mean; without a key, inf."""
    return -greatest_mean(log_weights, log_errors, -values)


def greatest_cut(light, heavy, column) -> np.ndarray:
    """The greatest mean of one feature, over all cuts in two runs."""
    order = np.argsort(column, axis=-1)[..., None, :]
    column = np.take_along_axis(column[..., None, :], order, -1)
    light = np.take_along_axis(light, order, -1)
    heavy = np.take_along_axis(heavy, order, -1)
    total = sums_before(light * column) + sums_after(heavy * column)
    weight = sums_before(light) + sums_after(heavy)
    means = np.full(total.shape, -np.inf)
    np.divide(total, weight, out=means, where=weight > 0)
    return means.max(-1)


def greatest_value(parts, column) -> np.ndarray:
    """The greatest value of the keys that take part."""
    return np.where(parts, column[..., None, :], -np.inf).max(
        -1, initial=-np.inf
    )


def sums_before(terms) -> np.ndarray:
    """The sums of the first 0, 1, ..., n terms."""
    none = np.zeros((*terms.shape[:-1], 1))
    return np.concatenate([none, terms.cumsum(-1)], -1)


def sums_after(terms) -> np.ndarray:
    """The sums of the last n, ..., 1, 0 terms, each by itself."""
    return sums_before(terms[..., ::-1])[..., ::-1]
