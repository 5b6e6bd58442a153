"""Probes of a kernel's scores: where they are rounded, and added up."""

from math import sqrt

import numpy as np

from parity_tests.bounds.half_precision import FORMATS

from .asking import UNCLEAR, Asked, Finding, Probe, best_fit, weighted_mean

# Where query and key are rounded, how often a score is, and the scale is.
SCALED = ("nothing", "query", "key", "both")
ROUNDED = ("never", "product", "scaled score", "both")
HYPOTHESES = [
    (scaled, rounded, scale_rounded)
    for scaled in SCALED
    for rounded in ROUNDED
    for scale_rounded in (False, True)
    if scaled == "nothing" or rounded in ("never", "product")
    if scaled != "both" or not scale_rounded
]


# How far a key may be behind, and its weight be no subnormal number.
BEHIND = {"bfloat16": (20, 40), "float16": (5, 8)}


def badly_rounded(asked: Asked) -> int:
    """The number of features whose 1 / sqrt(d) the format misses most."""
    sizes = range(8, 65, 8)
    scales = np.array([d**-0.5 for d in sizes])
    missed = np.abs(asked.half(scales) / scales - 1)
    return sizes[int(missed.argmax())]


def roundings_of_scores(asked: Asked, features: int) -> Finding:
    r"""Scaling before the product, and roundings of a score, together.

    (i) Two scores $x / \sqrt d$ and $y / \sqrt d$, where neither x nor y
    is a half number or neither quotient is; their values are 1 and -1, so
    that the output, $\tanh((x - y) / 2\sqrt d)$, is near 0, and one
    rounding of a score is a large part of it.
    (ii) The query (x, y) and the keys (M y, 0), (0, M x), M a power of
    two: the scores are equal, and the output is 0, unless query or key was
    scaled and rounded before: then x and y were rounded apart.
    (iii) One key is 5 to 8 behind, in bfloat16 20 to 40, and its value
    alone is 1: what the scale was rounded by is multiplied by that
    distance, and the weight keeps all of its bits.

    Each hypothesis predicts all outputs.
    """
    u = FORMATS[asked.dtype].u
    probes = [*unequal(asked), *crossed(asked), *behind(asked, features)]
    outputs = asked.outputs(probes, features)
    predictions = {
        hypothesis: np.array(
            [
                predicted(asked, probe, features, hypothesis)
                for probe in probes
            ]
        )
        for hypothesis in HYPOTHESES
    }
    cancels = np.array([probe.values.min() < 0 for probe in probes])
    return best_fit(
        outputs,
        predictions,
        lambda expected: 4 * u * np.abs(expected) + 1.5 * u * cancels,
    )


def unequal(asked: Asked) -> list[Probe]:
    """(i), from numbers just above those that are all half numbers."""
    most = round(1 / FORMATS[asked.dtype].u)
    pairs = [(most + odd, most + odd - 1) for odd in (1, 3, 5, 7)]
    pairs += [
        (most * part // 64, most * part // 64 - 1) for part in (45, 50, 56)
    ]
    return [
        Probe(
            np.ones(2),
            np.array(
                [[min(x, most), x - min(x, most)] for x in pair], float
            ),
            np.array([1.0, -1.0]),
        )
        for pair in pairs
    ]


def crossed(asked: Asked) -> list[Probe]:
    """(ii)."""
    factor = FORMATS[asked.dtype].u ** -1 / 8
    generator = np.random.default_rng(5)
    return [
        Probe(
            np.array([x, y]),
            factor * np.array([[y, 0], [0, x]]),
            np.array([1.0, -1.0]),
        )
        for x, y in asked.half(generator.uniform(1, 2, (24, 2)))
    ]


def behind(asked: Asked, features: int) -> list[Probe]:
    """(iii)."""
    generator = np.random.default_rng(6)
    first = asked.half(generator.uniform(1, 2, 24))
    distance = generator.uniform(*BEHIND[asked.dtype], 24) * sqrt(features)
    return [
        Probe(np.array([x]), np.array([[0.0], [-y]]), np.array([0.0, 1.0]))
        for x, y in zip(first, asked.half(distance / first), strict=True)
    ]


def predicted(
    asked: Asked, probe: Probe, features: int, hypothesis
) -> float:
    """The output, if scores are computed as the hypothesis says."""
    scaled, rounded, scale_rounded = hypothesis
    scale = features**-0.5
    if scale_rounded:
        scale = float(asked.half(scale))
    before = {
        "nothing": (1.0, 1.0),
        "query": (scale, 1.0),
        "key": (1.0, scale),
        "both": (sqrt(scale), sqrt(scale)),
    }
    of_query, of_key = before[scaled]
    keys = asked.half(probe.keys * of_key)
    scores = keys @ asked.half(probe.query * of_query)
    if rounded in ("product", "both"):
        scores = asked.half(scores)
    if scaled == "nothing":
        scores = scores * scale
    if rounded in ("scaled score", "both"):
        scores = asked.half(scores)
    return weighted_mean(scores, probe.values)


def accumulation_of_scores(asked: Asked, features: int) -> Finding:
    r"""Whether products of query and key are added up in half precision.

    A key of B's, of as many -B's and of a few ones, in random order, where
    B + 1 is no half number: in float32 the sum is that of the ones, in
    half precision some ones are lost. The same ones without the B's are a
    control, exact in half precision, too: a kernel that fails it is
    wrong, and no accumulation excuses it.
    """
    big, u = 1 / FORMATS[asked.dtype].u, FORMATS[asked.dtype].u
    generator, eighth = np.random.default_rng(2), features // 8
    probes = []
    for size in (big, 0.0):
        for _ in range(16):
            key = np.zeros(features)
            key[: 6 * eighth : 2], key[1 : 6 * eighth : 2] = size, -size
            key[6 * eighth :] = 1
            generator.shuffle(key)
            keys = np.stack([key, 0 * key])
            values = np.array([1.0, -1.0])
            probes.append(Probe(np.ones(features), keys, values))
    outputs = asked.outputs(probes, features)
    expected = np.tanh(2 * eighth / sqrt(features) / 2)
    return in_float32(outputs, expected, 4 * u)


def in_float32(outputs, expected, tolerance) -> Finding:
    """Of probes of an accumulation: the second half are the control."""
    close = np.abs(outputs - expected) <= tolerance
    first, control = np.split(close, 2)
    fits = {
        "float32": float(first.mean()),
        "control": float(control.mean()),
    }
    if not control.all():
        return Finding(UNCLEAR, fits)
    return Finding("float32" if first.all() else "half", fits)
