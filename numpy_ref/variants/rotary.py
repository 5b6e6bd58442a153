r"""Rotary position embedding, RoPE: a position is an angle.

The features of a query or a key are taken in pairs, and each pair, a point
in a plane, is turned by an angle that grows with the position. A score is
a sum of dot products in these planes, and a dot product feels only the
difference of two angles: so it depends on the distance of two tokens, and
not on where they stand (Su et al. 2021, section 3).

Which features are a pair is a convention. `rotary_neighbours` turns
(0, 1), (2, 3), ... as the paper does, and as the weights of Meta's Llama
and of a GGUF file want it; `rotary_halves` turns (0, d/2), (1, d/2 + 1),
... as transformers does. One is the other on features in another order
(`neighbours_to_halves`), so with the wrong one nothing fails: the model
still speaks, only worse.

Axes: `pair` counts the pairs, d_head / 2; the rest as in `multi_head`.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from ..checked import check_at_least, check_even, check_positive, checked


@checked
def rotary_tables(
    positions: Float[Array, " position"],
    d_head: int,
    base: float,
) -> tuple[Float[Array, "position pair"], Float[Array, "position pair"]]:
    r"""Cosine and sine of every angle: by position and pair.

    $\theta_{pi} = p \, b^{-2i / d_\text{head}}$

    The first pair turns by one radian from a token to the next, the last
    by hardly more than 1 / `base`, b: 10,000 in the paper and in Llama 2,
    100,000 in SmolLM2, for longer texts. The angles are in float64
    whatever the dtype: in float32 one at position 100,000 would be off by
    up to 0.004. Raises ValueError for an odd `d_head`, and for a `base`
    that is not finite and above 0.
    """
    check_at_least("d_head", d_head, 1)
    check_even("d_head", d_head)
    check_positive("base", base)
    pair = np.arange(d_head // 2)
    frequency = base ** (-2 * pair / d_head)
    angle = positions.astype(np.float64)[:, None] * frequency
    cosine = np.cos(angle).astype(positions.dtype)
    sine = np.sin(angle).astype(positions.dtype)
    return cosine, sine


@checked
def rotary_halves(
    x: Float[Array, "*batch position d_head"],
    cosine: Float[Array, "position pair"],
    sine: Float[Array, "position pair"],
) -> Float[Array, "*batch position d_head"]:
    r"""RoPE by halves: feature i is paired with i + d_head / 2.

    $x'_i = x_i \cos\theta_i - x_{i + d/2} \sin\theta_i$,
    $x'_{i + d/2} = x_{i + d/2} \cos\theta_i + x_i \sin\theta_i$
    """
    check_even("d_head", x.shape[-1])
    first, second = np.split(x, 2, axis=-1)
    turned_first = first * cosine - second * sine
    turned_second = second * cosine + first * sine
    turned = np.concatenate([turned_first, turned_second], axis=-1)
    return turned


@checked
def rotary_halves_backward(
    d_turned: Float[Array, "*batch position d_head"],
    x: Float[Array, "*batch position d_head"],
    cosine: Float[Array, "position pair"],
    sine: Float[Array, "position pair"],
) -> Float[Array, "*batch position d_head"]:
    r"""Gradient with respect to x: the same pairs, turned back.

    The transpose of a rotation is its inverse, the rotation by $-\theta$.
    """
    d_x = rotary_halves(d_turned, cosine, -sine)
    return d_x


@checked
def rotary_neighbours(
    x: Float[Array, "*batch position d_head"],
    cosine: Float[Array, "position pair"],
    sine: Float[Array, "position pair"],
) -> Float[Array, "*batch position d_head"]:
    r"""RoPE by neighbours: features 2i and 2i + 1 are a pair.

    $x'_{2i} = x_{2i} \cos\theta_i - x_{2i + 1} \sin\theta_i$,
    $x'_{2i + 1} = x_{2i + 1} \cos\theta_i + x_{2i} \sin\theta_i$
    (Su et al. 2021, section 3.4.2, equation 34)
    """
    check_even("d_head", x.shape[-1])
    first, second = x[..., ::2], x[..., 1::2]
    turned_first = first * cosine - second * sine
    turned_second = second * cosine + first * sine
    pairs = np.stack([turned_first, turned_second], axis=-1)
    turned = pairs.reshape(x.shape)
    return turned


@checked
def rotary_neighbours_backward(
    d_turned: Float[Array, "*batch position d_head"],
    x: Float[Array, "*batch position d_head"],
    cosine: Float[Array, "position pair"],
    sine: Float[Array, "position pair"],
) -> Float[Array, "*batch position d_head"]:
    """Gradient with respect to x: the same pairs, turned back."""
    d_x = rotary_neighbours(d_turned, cosine, -sine)
    return d_x


@checked
def neighbours_to_halves(
    x: Float[Array, "*batch d_head"],
) -> Float[Array, "*batch d_head"]:
    """Features of neighbouring pairs, in the order that halves want.

    The first of every pair, then the second of every pair. Applied to the
    rows of a query's and a key's weights, it turns a checkpoint for one
    pairing into one for the other: scores stay the same, because query
    and key change their order together. Raises ValueError for an odd
    number of features.
    """
    check_even("d_head", x.shape[-1])
    reordered = np.concatenate([x[..., ::2], x[..., 1::2]], axis=-1)
    return reordered


@checked
def neighbours_to_halves_backward(
    d_reordered: Float[Array, "*batch d_head"],
    x: Float[Array, "*batch d_head"],
) -> Float[Array, "*batch d_head"]:
    """Gradient of the reordering: each feature is moved back."""
    first, second = np.split(d_reordered, 2, axis=-1)
    d_x = np.stack([first, second], axis=-1).reshape(x.shape)
    return d_x
