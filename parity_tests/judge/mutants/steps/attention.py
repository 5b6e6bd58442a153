"""Mutants of scores, softmax, and attention with dropout."""

from collections.abc import Callable
from functools import partial
from math import log, sqrt

import numpy as np

from numpy_ref.attention import attention_scores, masked_softmax, softmax
from numpy_ref.loss import log_sum_exp
from parity_tests.judge.mutants.attention_parts import (
    FACTORS,
    MUTANT_PARTS,
    SUMS_NOT_KEPT,
    WEIGHINGS,
    Probe,
    attention,
    inverted,
    normalised,
    over_everything,
    weigh,
    without_a_shift,
)

from .layers import DROPOUT
from .pieces import Mutants, sigmoid, total

SOFTMAX: Mutants = {
    **{
        name: mutant
        for name, mutant in SUMS_NOT_KEPT.items()
        if name.endswith("at once]")
    },
    "the softmax runs over the first axis, not the last": (
        lambda scores: normalised(scores, axis=0)
    ),
    "the softmax runs over the second axis, not the last": (
        lambda scores: normalised(scores, axis=1)
    ),
    "the softmax runs over the last axis but one": (
        lambda scores: normalised(scores, axis=-2)
    ),
    "the softmax runs over everything, the batch included": (
        lambda scores: over_everything(scores, True)
    ),
    "the softmax is applied twice": lambda scores: softmax(softmax(scores)),
    "the exponentials are not divided by their sum": (
        lambda scores: np.exp(scores - scores.max(-1, keepdims=True))
    ),
    "the exponentials are neither shifted nor divided": np.exp,
    "the scores are divided by their sum, without exponentials": (
        lambda scores: scores / total(scores)
    ),
    "it is the logarithm of the softmax": (
        lambda scores: scores - log_sum_exp(scores)[..., None]
    ),
    "it is a sigmoid of each score, not a softmax": sigmoid,
    "powers of 2 are taken, not of e": (
        lambda scores: softmax(scores * log(2))
    ),
    "the sign of the scores is wrong": lambda scores: softmax(-scores),
    "the maximum is not subtracted: exp overflows": (
        lambda scores: without_a_shift(scores, True)
    ),
    "one maximum is subtracted from all rows: low rows underflow": (
        lambda scores: without_a_shift(scores - scores.max(), True)
    ),
}

TEMPERATURE: Mutants = {
    "the scores are multiplied by the temperature, not divided": (
        lambda scores, temperature: softmax(scores * temperature)
    ),
    "the temperature is ignored": lambda scores, _: softmax(scores),
    "the weights are divided by the temperature, not the scores": (
        lambda scores, temperature: softmax(scores) / temperature
    ),
    "the scores are divided by the root of the temperature": (
        lambda scores, temperature: softmax(scores / sqrt(temperature))
    ),
} | {
    name: lambda scores, temperature, mutant=mutant: mutant(
        scores / temperature
    )
    for name, mutant in SOFTMAX.items()
}


def fully_masked_rows_become(fill: Callable) -> Callable:
    """`fill` gives the weights of a fully masked row."""
    return lambda scores, mask: np.where(
        mask.any(axis=-1, keepdims=True),
        masked_softmax(scores, mask),
        fill(scores.shape[-1]),
    )


def masks_in_turn(scores, mask):
    """Row by row the masks of one text after the other."""
    if scores.ndim < 3:
        return weigh(scores, mask)
    first = np.broadcast_to(mask, scores.shape)[..., 0, :]
    own = first.reshape(-1, scores.shape[-1])
    rows = np.arange(len(own) * scores.shape[-2])
    return weigh(scores, own[rows % len(own)].reshape(scores.shape))


MASKED_SOFTMAX: Mutants = WEIGHINGS | {
    "the masks of texts go round the rows: repeated, not each next to "
    "itself": masks_in_turn,
    "the mask is inverted": lambda scores, mask: weigh(scores, ~mask),
    "the mask is ignored": lambda scores, _: softmax(scores),
    "a fully masked row gets the mean, not zeros": (
        fully_masked_rows_become(lambda keys: 1 / keys)
    ),
    "a fully masked row gets NaN, not zeros": (
        fully_masked_rows_become(lambda keys: np.nan)
    ),
}

SCORES: Mutants = {
    name: lambda query, key, factor=factor: (
        query @ key.swapaxes(-2, -1) * factor(Probe(query, key, key))
    )
    for name, factor in FACTORS.items()
    if "values" not in name
} | {
    "the keys are not transposed": (
        lambda query, key: query @ key / sqrt(query.shape[-1])
    ),
    "queries and keys are swapped": (
        lambda query, key: attention_scores(key, query)
    ),
    "the softmax is applied already": (
        lambda query, key: softmax(attention_scores(query, key))
    ),
}

# Parts of attention that has no cache, without numbers in place of -inf,
# which few inputs would show.
PARTS = {
    name: parts
    for name, parts in MUTANT_PARTS.items()
    if not {"visible", "repeat", "kept"} & {*parts}
    and not any(number in name for number in ("1e3", "1e4", "-100"))
} | {
    "the mask is inverted": {"visible": inverted},
    "the mask is ignored": MUTANT_PARTS["the mask is ignored"],
    "the mask is transposed": MUTANT_PARTS["the mask is transposed"],
}


def scaled_up(x, dropout_mask, rate):
    return np.where(dropout_mask, x, 0) / (1 - rate)


def dropping(dropout_mask, rate, drop=scaled_up, weigh=weigh) -> Callable:
    """Weights, some of which are dropped."""
    return lambda scores, visible: drop(
        weigh(scores, visible), dropout_mask, rate
    )


def attention_with_dropout(
    query, key, value, mask, dropout_mask, rate, drop=scaled_up, **parts
):
    """Attention with dropout, any part of which may be a wrong one."""
    weights = dropping(dropout_mask, rate, drop, parts.get("weigh", weigh))
    probe = Probe(query, key, value, mask)
    return attention(probe, **parts | {"weigh": weights})


WITH_DROPOUT: Mutants = (
    {n: partial(attention_with_dropout, drop=d) for n, d in DROPOUT.items()}
    | {n: partial(attention_with_dropout, **p) for n, p in PARTS.items()}
    | {
        "dropout comes before the softmax, on the scores": (
            lambda query, key, value, mask, dropout_mask, rate: (
                weigh(
                    scaled_up(
                        attention_scores(query, key), dropout_mask, rate
                    ),
                    mask,
                )
                @ value
            )
        ),
        "the weights are normalised again after dropout": (
            lambda query, key, value, mask, dropout_mask, rate: attention(
                Probe(query, key, value, mask & dropout_mask)
            )
        ),
    }
)

MUTANTS: dict[str, Mutants] = {
    "attention_scores": SCORES,
    "attention_with_dropout": WITH_DROPOUT,
    "masked_softmax": MASKED_SOFTMAX,
    "softmax": SOFTMAX,
    "softmax_with_temperature": TEMPERATURE,
}
