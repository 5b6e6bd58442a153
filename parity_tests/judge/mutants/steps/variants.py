"""Mutants of a Llama's steps: RMSNorm, SiLU, SwiGLU, RoPE, key heads."""

from collections.abc import Callable
from functools import partial

import numpy as np

from numpy_ref.variants.projection import projection
from numpy_ref.variants.rotary import neighbours_to_halves
from numpy_ref.variants.swiglu import silu
from parity_tests.judge.subject.rotary import PAIRS

from .pieces import Mutants, mean, nothing_done, sigmoid, total


def rescaled(x, params, size: Callable, weighted: bool = True):
    """Divided by a size of the token, or of all of them."""
    return x / size(x) * (params.weight if weighted else 1)


def by(size: Callable) -> Callable:
    """The mutant that divides by another size, of x and epsilon."""
    return lambda x, params, epsilon: rescaled(
        x, params, lambda a: size(a, epsilon)
    )


RMS_NORM: Mutants = {
    "epsilon is added outside the root": by(
        lambda x, epsilon: np.sqrt(mean(x * x)) + epsilon
    ),
    "epsilon is left out, or next to nothing": by(
        lambda x, _: np.sqrt(mean(x * x))
    ),
    "epsilon is 1e-5, whatever is given": by(
        lambda x, _: np.sqrt(mean(x * x) + 1e-5)
    ),
    "epsilon is 1e-6, whatever is given": by(
        lambda x, _: np.sqrt(mean(x * x) + 1e-6)
    ),
    "the mean is subtracted: that is layer norm": (
        lambda x, params, epsilon: (
            (x - mean(x))
            / np.sqrt(x.var(-1, keepdims=True) + epsilon)
            * params.weight
        )
    ),
    "the mean is subtracted in the size only: the deviation, not the root "
    "mean square": by(
        lambda x, epsilon: np.sqrt(x.var(-1, keepdims=True) + epsilon)
    ),
    "the squares are summed, not averaged": by(
        lambda x, epsilon: np.sqrt(total(x * x) + epsilon)
    ),
    "it is divided by the mean square, not by its root": by(
        lambda x, epsilon: mean(x * x) + epsilon
    ),
    "it is multiplied by the root, not divided": by(
        lambda x, epsilon: 1 / np.sqrt(mean(x * x) + epsilon)
    ),
    "it is divided by the mean of the magnitudes": by(
        lambda x, epsilon: mean(np.abs(x)) + epsilon
    ),
    "the norm runs along the positions, not the features": by(
        lambda x, epsilon: np.sqrt(
            (x * x).mean(axis=-2, keepdims=True) + epsilon
        )
    ),
    "the norm runs along everything, the batch included": by(
        lambda x, epsilon: np.sqrt((x * x).mean() + epsilon)
    ),
    "the weight is left out": (
        lambda x, params, epsilon: rescaled(
            x, params, lambda a: np.sqrt(mean(a * a) + epsilon), False
        )
    ),
    "1 is added to the weight, as only Gemma does": (
        lambda x, params, epsilon: (
            x / np.sqrt(mean(x * x) + epsilon) * (1 + params.weight)
        )
    ),
}

SILU: Mutants = {
    "it is the sigmoid alone, not multiplied by x": sigmoid,
    "it is a ReLU": lambda x: np.where(x < 0, 0, x),
    "the sign in the exponent is missing: x / (1 + exp(x))": (
        lambda x: x * sigmoid(-x)
    ),
    "it is a GELU with a sigmoid, x / (1 + exp(-1.702 x))": (
        lambda x: x * sigmoid(1.702 * x)
    ),
    "it is multiplied by tanh, not by the sigmoid": (
        lambda x: x * np.tanh(x)
    ),
    "nothing is done": nothing_done,
}


def gated(x, params, activation=silu, up=None, join=np.multiply):
    """A feed-forward network with a gate, of any parts."""
    opened = activation(projection(x, params.gate))
    side = projection(x, params.up)
    return projection(
        join(opened, side if up is None else up(side)), params.down
    )


SWIGLU: Mutants = {
    f"the gate: {cause}": partial(gated, activation=mutant)
    for cause, mutant in SILU.items()
    if mutant is not nothing_done
} | {
    "gate and up are swapped": lambda x, params: projection(
        projection(x, params.gate) * silu(projection(x, params.up)),
        params.down,
    ),
    "both are activated, the gate and what it gates": partial(
        gated, up=silu
    ),
    "the activation is left out": partial(gated, activation=nothing_done),
    "the gate is added, not multiplied": partial(gated, join=np.add),
    "what the gate lets through is left out": partial(
        gated, up=lambda side: np.ones_like(side)
    ),
    "there is no gate: only the other layer is activated": (
        lambda x, params: projection(
            silu(projection(x, params.up)), params.down
        )
    ),
    "the activation comes after the product": lambda x, params: projection(
        silu(projection(x, params.gate) * projection(x, params.up)),
        params.down,
    ),
}

REPEAT_HEADS: Mutants = {
    "the heads are tiled, 0 1 0 1, not each repeated, 0 0 1 1": (
        lambda x, repeats: np.concatenate([x] * repeats, axis=-3)
    ),
    "the positions are repeated, not the heads": (
        lambda x, repeats: np.repeat(x, repeats, axis=-2)
    ),
    "nothing is repeated": nothing_done,
}


# --- rotary positions ----------------------------------------------------


def laid_out(angles: np.ndarray, pairs: str) -> np.ndarray:
    """A number for each feature, where one for each pair is given."""
    if pairs == "halves":
        return np.concatenate([angles, angles], axis=-1)
    return np.repeat(angles, 2, axis=-1)


def partners(x: np.ndarray, pairs: str, sign: int = -1) -> np.ndarray:
    """(-b, a) in place of each pair (a, b)."""
    first, second = PAIRS[pairs](x.shape[-1])
    other = np.empty_like(x)
    other[..., first] = sign * x[..., second]
    other[..., second] = x[..., first]
    return other


def rotary(x, cosine, sine, pairs, table=None, sign=-1):
    """x cos + (its partner) sin, the angles laid out for any pairs."""
    cosines, sines = (laid_out(a, table or pairs) for a in (cosine, sine))
    return x * cosines + partners(x, pairs, sign) * sines


OTHER = {"halves": "neighbours", "neighbours": "halves"}


def rotary_mutants(pairs: str, in_order: bool = True) -> Mutants:
    """The mutants of a rotation of these pairs, by x, cosine and sine;
    among them, if it matters, what changes the order of features."""
    other = OTHER[pairs]
    reordered: Mutants = {
        "neighbours are turned, and come out in halves": (
            lambda x, cosine, sine: neighbours_to_halves(
                rotary(x, cosine, sine, "neighbours")
            )
        ),
    }
    mutants: Mutants = {
        f"the angles are laid out for {other}, and the pairs are {pairs}": (
            partial(rotary, pairs=pairs, table=other)
        ),
        "it turns backwards: the sign of the sines is wrong": (
            lambda x, cosine, sine: rotary(x, cosine, -sine, pairs)
        ),
        "the partner has no minus: (b, a), not (-b, a)": partial(
            rotary, pairs=pairs, sign=1
        ),
        "sine and cosine are swapped": (
            lambda x, cosine, sine: rotary(x, sine, cosine, pairs)
        ),
        "a feature has no partner: x cos + x sin": (
            lambda x, cosine, sine: (
                x * (laid_out(cosine, pairs) + laid_out(sine, pairs))
            )
        ),
        "the sines are left out: x cos": (
            lambda x, cosine, _: x * laid_out(cosine, pairs)
        ),
        "nothing is turned": lambda x, *_: x,
    }
    return mutants | (reordered if in_order else {})


def angled(
    exponent: Callable, moved: Callable = lambda places: places
) -> Callable:
    """Angles p / base^exponent; `exponent(pair, d)`, and other places."""

    def angles(positions, d_head, base):
        power = exponent(np.arange(d_head // 2), d_head)
        return np.multiply.outer(
            moved(np.asarray(positions)), float(base) ** -power
        )

    return angles


def as_it_is(pair, d_head):
    return 2 * pair / d_head


# The angle of each position and pair, by positions, d_head and base.
TABLE_MUTANTS: dict[str, Callable] = {
    "the exponent is i/d, not 2i/d": angled(lambda i, d: i / d),
    "the exponent is 4i/d, not 2i/d": angled(lambda i, d: 4 * i / d),
    "the exponent is i/(d/2 - 1), not 2i/d": angled(
        lambda i, d: i / max(d / 2 - 1, 1)
    ),
    "positions are multiplied by the base's power, not divided": angled(
        lambda i, d: -2 * i / d
    ),
    "all pairs are turned by the same angle: the base is forgotten": (
        angled(lambda i, d: 0 * i)
    ),
    "positions are counted from 1": angled(as_it_is, lambda p: p + 1),
    "the positions given are ignored: 0, 1, 2 … are taken": angled(
        as_it_is, lambda p: np.arange(len(p))
    ),
    "the positions are counted from the other end": angled(
        as_it_is, lambda p: p[::-1]
    ),
    "each token gets the position of the first": angled(
        as_it_is, lambda p: np.full_like(p, p[0])
    ),
}


MUTANTS: dict[str, Mutants] = {
    "repeat_heads": REPEAT_HEADS,
    "rms_norm": RMS_NORM,
    "rotary_halves": rotary_mutants("halves"),
    "rotary_neighbours": rotary_mutants("neighbours"),
    "silu": SILU,
    "swiglu": SWIGLU,
}
