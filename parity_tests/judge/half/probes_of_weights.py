"""Probes of a kernel's weights: where they are rounded, and added up."""

import numpy as np

from parity_tests.bounds.half_precision import FORMATS

from .asking import Asked, Finding, Probe, best_fit
from .probes_of_scores import in_float32

UNROUNDED, IN_HALF = "unrounded", "softmax in half"
UNNORMALISED, NORMALISED = (
    "rounded, then normalised",
    "normalised, then rounded",
)

FARTHEST = 3e-4  # from a boundary; an exp that is further off is wrong


def two_keys(asked: Asked, distances, values, features: int) -> list[Probe]:
    """Two keys each, whose scores are exactly 0 and minus the distance.

    Also in kernels that scale and round before: 1 / sqrt(d) is a power of
    two, and its root is one where d = 16.
    """
    query = np.array([features**0.5])
    return [
        Probe(query, np.array([[0.0], [-distance]]), np.array(pair))
        for distance, pair in zip(distances, values, strict=True)
    ]


def roundings_of_weights(asked: Asked, features: int, keys: int) -> Finding:
    r"""Where weights are rounded.

    Two keys of weights 1 and $e = \exp(-a)$, with the values $-h$ and 1,
    where h is the half number next to e: the output
    $(e' - h w) / (\ldots)$ is 0 if e was rounded before the product, a
    rounding error of e otherwise; if weights are normalised first, both
    are rounded again. Each way predicts that small number.
    """
    u, half = FORMATS[asked.dtype].u, asked.half
    generator = np.random.default_rng(1)
    distances = np.unique(half(generator.uniform(0.3, 3, 60)))
    weight = np.exp(-distances)
    rounded = half(weight)
    values = [(-each, 1.0) for each in rounded]
    probes = two_keys(asked, distances, values, features)
    outputs = asked.outputs(probes, features, keys)
    total, total_in_half = 1 + weight, half(1 + rounded)
    first, second = half(1 / total), half(weight / total)
    one, other = half(1 / (1 + rounded)), half(rounded / (1 + rounded))
    each, last = half(1 / total_in_half), half(rounded / total_in_half)
    predictions = {
        UNROUNDED: (weight - rounded) / total,
        UNNORMALISED: 0 * weight,
        NORMALISED: second - first * rounded,
        f"{NORMALISED}; products, too": second - half(first * rounded),
        IN_HALF: other - one * rounded,
        f"{IN_HALF}; products, too": other - half(one * rounded),
        f"{IN_HALF}; sum, too": last - each * rounded,
        f"{IN_HALF}; sum and products, too": last - half(each * rounded),
    }
    return best_fit(
        outputs,
        predictions,
        lambda expected: 1.01 * u * np.abs(expected) + 3e-7,
    )


def summed_weights(asked: Asked, features: int) -> Finding:
    """Which weights are summed: the rounded ones, or those before.

    Many keys of one weight, which rounds badly, behind one of weight 1,
    and values that are all alike: the output is that value, if numerator
    and denominator have the same weights; else it is off by what the
    weight was rounded by. The value is such that this crosses a boundary
    of the output's rounding: 1 downward, the number below 2 upward.
    """
    u, count = FORMATS[asked.dtype].u, 16
    distances = np.unique(asked.half(np.linspace(0.5, 1.5, 4000)))
    weights = np.exp(-distances)
    change = asked.half(weights) / weights - 1
    far = np.flatnonzero(np.abs(change) > 0.75 * u)[:20]
    probes, otherwise = [], []
    for distance, weight, by in zip(
        distances[far], weights[far], change[far], strict=True
    ):
        value = 2 - 2 * u if by > 0 else 1.0
        keys = np.full((count, 1), -distance)
        keys[0] = 0
        query = np.array([features**0.5])
        probes.append(Probe(query, keys, np.full(count, value)))
        tail = (count - 1) * weight
        off = (1 + tail * (1 + by)) / (1 + tail)
        otherwise.append(asked.half(value * off))
    alike = np.array([probe.values[0] for probe in probes])
    outputs = asked.outputs(probes, features)
    predictions = {"rounded": alike, "unrounded": np.array(otherwise)}
    return best_fit(outputs, predictions, lambda expected: u / 4)


def accumulation_of_context(
    asked: Asked, features: int, count: int
) -> Finding:
    """Whether weights times values are added up in half precision.

    Equal weights; values B, -B and ones in random order, where B + 1 is no
    half number: in float32 the ones are left, in half precision some are
    lost. The ones alone are the control: 1/4 in any precision, exactly.
    """
    big, u = 1 / FORMATS[asked.dtype].u, FORMATS[asked.dtype].u
    generator, most = np.random.default_rng(3), 3 * count // 8
    probes = []
    for size in (big, 0.0):
        for _ in range(16):
            values = np.ones(count)
            values[:most], values[most : 2 * most] = size, -size
            generator.shuffle(values)
            probes.append(Probe(np.zeros(1), np.zeros((count, 1)), values))
    outputs = asked.outputs(probes, features)
    exactly = np.repeat([u, u / 8], 16)
    return in_float32(outputs, 0.25, exactly)


def accumulation_of_sum(asked: Asked, features: int, many: bool) -> Finding:
    """Whether the weights are added up in half precision.

    Few keys: one of weight 1, and 15 of a weight below u, which are lost
    one by one. Many: 1 / u keys of weight 1, then three times as many of a
    smaller weight, lost one by one or tile by tile. Eight keys have a
    value, so that the context is exact. The control has two weights, 1 and
    1 / e, whose sum no precision gets wrong by more than its u.
    """
    u = FORMATS[asked.dtype].u
    first = round(1 / u) if many else 1
    later, query = 3 * first if many else 15, np.array([features**0.5])
    valued = min(first, 8)
    probes, expected = [], []
    for weight in (1.0, 0.05, 0.0125) if many else (0.9 * u, 0.8 * u):
        distance = float(asked.half(-np.log(weight)))
        keys = np.full((first + later, 1), -distance)
        keys[:first] = 0
        values = np.zeros(first + later)
        values[:valued] = first
        probes.append(Probe(query, keys, values))
        total = first + later * np.exp(-distance)
        expected.append(valued * first / total)
    two = Probe(query, np.array([[0.0], [-1.0]]), np.array([0.0, 1.0]))
    small = [two] * len(probes)
    exact = np.array(expected + [1 / (1 + np.e)] * len(small))
    outputs = [asked.outputs(some, features) for some in (probes, small)]
    return in_float32(np.concatenate(outputs), exact, 4 * u * exact)


def error_of_exp(
    asked: Asked, features: int, rounding: str, keys: int
) -> float:
    """How far exp is seen to be off, relative to itself.

    Unrounded weights show it in the output of `roundings_of_weights`.
    Rounded ones hide it, save where exp(-a) lies close to a boundary of
    the rounding: on the wrong side of it, exp is off by that distance at
    least. There are thousands of half numbers a; the closest are asked, and
    some of those within 3e-4.
    """
    half, u = asked.half, FORMATS[asked.dtype].u
    distances = np.unique(half(np.linspace(0.05, 6, 20_000)))
    if rounding == UNROUNDED:
        distances = distances[:: len(distances) // 300 + 1]
    weight = np.exp(-distances)
    if rounding.startswith(NORMALISED):
        weight = weight / (1 + weight)
    nearest = half(weight)
    if rounding == UNROUNDED:
        values = [(-each, 1.0) for each in nearest]
        probes = two_keys(asked, distances, values, features)
        outputs = asked.outputs(probes, features, keys)
        seen = (outputs + nearest) / (1 - outputs)
        error = np.abs(seen / weight - 1)
        lost = 2 * FORMATS[asked.dtype].smallest * (1 + weight)
        shown = np.abs(outputs) * (1 + weight) / weight
        return float(np.max(error - 2 * u * shown - lost / weight))
    gap = u * 2.0 ** (np.floor(np.log2(weight)) + 1)
    boundary = nearest + np.where(weight > nearest, gap, -gap) / 2
    apart = weight / boundary - 1
    close = np.argsort(np.abs(apart))
    close = close[np.abs(apart[close]) < FARTHEST]
    close = np.union1d(close[:100], close[:: len(close) // 300 + 1])
    values = [
        (0.0 if rounding.startswith(NORMALISED) else -each, 1.0)
        for each in boundary[close] - np.abs(gap[close]) / 2
    ]
    probes = two_keys(asked, distances[close], values, features)
    outputs = asked.outputs(probes, features, keys)
    if rounding.startswith(NORMALISED):
        above = outputs > boundary[close]
    else:
        above = outputs > gap[close] / 4
    wrong = above != (apart[close] > 0)
    return float(np.abs(apart[close])[wrong].max(initial=0.0))


def flushes(asked: Asked, features: int) -> bool:
    """Whether subnormal numbers become 0: values, or rounded weights.

    All values are one subnormal number, which is the output; or in
    float16, a weight is one, and its value 1,024.
    """
    tiny = FORMATS[asked.dtype].smallest * 8
    query, behind = np.array([features**0.5]), np.array([[0.0], [-11.0]])
    alike = Probe(query, np.zeros((2, 1)), np.full(2, tiny))
    small = Probe(query, behind, np.array([0.0, 1024.0]))
    asked_for = [alike, small] if asked.dtype == "float16" else [alike]
    return bool((asked.outputs(asked_for, features) == 0).any())
