"""Mutants of a backward by hand: right values, and a wrong derivative.

By a complex step, the imaginary part is the derivative (see
`classes/derivatives.py`): a mutant leaves the real part of a step of
attention as it is, and has another imaginary part.
"""

from math import sqrt

from .attention_parts import products, weigh


def weights_and(slopes):
    """The softmax, with other slopes: `slopes(weights, of_scores)`."""

    def weights(scores, visible):
        right = weigh(scores.real, visible)
        return right + 1j * slopes(right, scores.imag)

    return weights


def products_with(power: int):
    """Scores whose slopes are scaled by that power of √d beside."""

    def similar(query, key):
        right = products(query, key)
        return right.real + 1j * right.imag * sqrt(query.shape[-1]) ** power

    return similar


SOFTMAX = "the gradient of the softmax in its backward"
SCALE = "the gradients of queries and keys in its backward"
TOKENS = "what comes back through the {} is left out in its backward"

# What gives the gradient of the tokens with each mistake: wrong parts of
# attention, or the uses of the tokens through which it comes.
BACKWARD_MUTANTS: dict[str, dict] = {
    f"{SOFTMAX} is that of a sigmoid: it lacks what other keys change": {
        "weigh": weights_and(lambda p, d: p * (1 - p) * d)
    },
    f"{SOFTMAX} lacks the sum over the keys": {
        "weigh": weights_and(lambda p, d: p * d)
    },
    f"{SOFTMAX} is left out": {"weigh": weights_and(lambda p, d: d)},
    f"{SCALE} lack the scale": {"similar": products_with(1)},
    f"{SCALE} are scaled twice": {"similar": products_with(-1)},
    TOKENS.format("queries"): {"uses": ("key", "value")},
    TOKENS.format("keys"): {"uses": ("x", "value")},
    TOKENS.format("values"): {"uses": ("x", "key")},
    TOKENS.format("queries and keys"): {"uses": ("value",)},
}
