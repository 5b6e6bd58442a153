from math import inf, log

import numpy as np

from parity_tests.bounds.rounding import Bounded, distribution, where
from parity_tests.bounds.training import running_total

from .numbers import constant


def greedy(logits):
    ids = by_row(logits, lambda row: row.index(max(row)))
    return locals()


def by_row(a, function):
    """A function of a list, applied to each row of the last axis."""
    rows = a.value.reshape(-1, a.shape[-1]).tolist()
    results = np.array([function(row) for row in rows])
    return results.reshape(a.shape[:-1] + results.shape[1:])


def top_k(logits, k):
    least = logits.moved(lambda a: np.sort(a, axis=-1)[..., -k, None])
    filtered = where(logits.value >= least.value, logits, -inf)
    return locals()


def nucleus(logits, p):
    order = by_row(logits, ascending_places)
    ascending = picked(logits, order)
    weights = distribution(ascending, ascending.value != -inf)
    cumulative = running_total(weights)
    place = np.argsort(order, axis=-1)
    mass = picked(cumulative, place)
    likeliest = place == logits.shape[-1] - 1
    filtered = where(likeliest | (mass.value > 1 - p), logits, -inf)
    return locals()


def ascending_places(row):
    return sorted(range(len(row)), key=row.__getitem__)


def picked(a, places):
    return a.moved(lambda part: np.take_along_axis(part, places, -1))


def min_p(logits, p):
    most = logits.greatest()
    least = where(
        np.bool_(p > 0), most + constant(logits, log(p or 1)), -inf
    )
    filtered = where(logits.value >= least.value, logits, -inf)
    return locals()


def repetition_penalty(logits, seen, penalty):
    positive = logits.value > 0
    lowered = either(positive, logits.over(penalty), logits.times(penalty))
    penalised = either(seen, lowered, logits)
    return locals()


def either(mask, a, b):
    """`a` where the mask is True, `b` elsewhere."""
    return Bounded(
        np.where(mask, a.value, b.value),
        np.where(mask, a.error, b.error),
        a.rounding,
    )


def sample(probabilities, uniform):
    cumulative = running_total(probabilities)
    column = uniform.moved(lambda a: a[..., None])
    place = column * cumulative.moved(lambda a: a[..., -1:])
    ids = (cumulative.value <= place.value).sum(axis=-1)
    return locals()


def choose(logits, uniform, temperature, k, p, min_share):
    tempered = logits.over(temperature)
    likely = top_k(tempered, k)["filtered"]
    in_nucleus = nucleus(likely, p)["filtered"]
    kept = min_p(in_nucleus, min_share)["filtered"]
    probabilities = distribution(kept, kept.value != -inf)
    ids = sample(probabilities, uniform)["ids"]
    return locals()
