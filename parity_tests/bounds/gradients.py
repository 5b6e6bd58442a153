r"""Bounds of gradients: how far one may be off. Notation: `rounding.py`.

Most gradients are sums of products and follow from the rules for those,
whichever way the sums are taken. One does not.

**Softmax.** dS_j = A_j (dA_j - m), m = sum A dA, by the rules for products
and sums. Automatic differentiation takes another way: from the weights
through their sum, T, to the exponentials, dA_j / T - sum dA e / T^2, and
times e_j to the shifted scores. With A = e / T these are the same terms,
in up to n + 8 roundings. It goes on through the maximum, too, which gets
minus the sum of a row: exactly 0, in floats the sum of what is there,
errors included. That falls on the entries that may have been the maximum.

**Paths.** What goes on along several paths gets the sum of what comes
back along each, and automatic differentiation adds one after the other as
it meets them. A partial sum may be as large as the terms' magnitudes
together, even where the whole is small: n terms are off by their own
errors and gamma(n - 1) times the sum of their magnitudes.
"""

import numpy as np

from .rounding import Bounded, absolute, distribution


def softmax_gradient(
    scores: Bounded, mask: np.ndarray, d_weights: Bounded
) -> dict[str, Bounded]:
    """Weights, their mean gradient and the scores' gradient, by name."""
    mask = np.broadcast_to(mask, scores.shape)
    weights = distribution(scores, mask)
    mean = (weights * d_weights).total()
    d_scores = weights * (d_weights - mean)
    magnitude = weights.magnitude * (
        d_weights.magnitude + mean_size(weights, d_weights)
    )
    gamma = scores.rounding.gamma(scores.shape[-1] + 8)
    error = np.where(mask, d_scores.error + gamma * magnitude, 0)
    through_maximum = (error + gamma * absolute(d_scores.value)).sum(
        axis=-1, keepdims=True
    )
    error = error + np.where(
        may_be_greatest(scores, mask), through_maximum, 0
    )
    d_scores = Bounded(d_scores.value, error, scores.rounding)
    return {"weights": weights, "mean": mean, "d_scores": d_scores}


def mean_size(weights: Bounded, d_weights: Bounded) -> np.ndarray:
    """The weighted mean of the gradients' magnitudes."""
    sizes = weights.magnitude * d_weights.magnitude
    return sizes.sum(axis=-1, keepdims=True)


def may_be_greatest(scores: Bounded, mask: np.ndarray) -> np.ndarray:
    """Where an allowed score is as great as any, but for its error."""
    value = scores.value.astype(np.float64)
    least = np.where(mask, value - scores.error, -np.inf)
    return mask & (value + scores.error >= least.max(-1, keepdims=True))


def quotient(a: Bounded, b: Bounded, least: float = 0.0) -> Bounded:
    """a / b, for a positive b that comes out as `least` at least."""
    exact = absolute(b.value)
    lowest = np.maximum(exact - b.error, least)
    value = a.value / b.value
    with np.errstate(divide="ignore"):  # where b may be 0, all may be
        propagated = (a.error + absolute(value) * b.error) / lowest
    return a.rounded(value, propagated, 2)


def along_paths(*terms: Bounded) -> Bounded:
    """The sum of what comes back along several paths, in any order."""
    rounding, sums = terms[0].rounding, len(terms) - 1
    error = sum(term.error for term in terms) + sums * rounding.eta
    magnitude = sum(term.magnitude for term in terms)
    return Bounded(
        sum(term.value for term in terms),
        error + rounding.gamma(sums) * magnitude,
        rounding,
    )


def over_tokens(a: Bounded, b: Bounded) -> Bounded:
    """The sum over all tokens of a's features times b's: (a's, b's)."""
    a, b = (flat(part) for part in (a, b))
    value = a.value.T @ b.value
    propagated = a.error.T @ b.magnitude + absolute(a.value).T @ b.error
    gamma = a.rounding.gamma(len(a.value))
    error = propagated + gamma * (a.magnitude.T @ b.magnitude)
    return Bounded(value, error + len(a.value) * a.rounding.eta, a.rounding)


def total_of_tokens(a: Bounded) -> Bounded:
    """The sum over all tokens, feature by feature."""
    return (
        flat(a).moved(lambda rows: rows.T).total().moved(lambda c: c[:, 0])
    )


def total_of_texts(a: Bounded, axes: int = 2) -> Bounded:
    """The sum over all texts, each of which has so many axes."""
    texts = a.moved(lambda part: part.reshape(-1, *part.shape[-axes:]))
    last = texts.moved(lambda part: np.moveaxis(part, 0, -1))
    return last.total().moved(lambda part: part[..., 0])


def flat(a: Bounded) -> Bounded:
    """All tokens below each other."""
    return a.moved(lambda part: part.reshape(-1, part.shape[-1]))


def transposed(a: Bounded) -> Bounded:
    return a.moved(lambda part: part.swapaxes(-2, -1))


def negative(a: Bounded) -> Bounded:
    return Bounded(-a.value, a.error, a.rounding)
