r"""Half precision: attention in bfloat16 or float16, and where it rounds.

A number of 16 bits has few of them for its digits: 8 in bfloat16, 11 in
float16, 24 in float32. Rounding a number to b bits moves it by at most
$2^{-b}$ of itself. So what matters is how often a step rounds, and where:
here each rounding is a line, and its result is called `..._rounded`.

Arrays in bfloat16 are those of ml_dtypes. A half is widened to float32
without any loss, because every half is a float32, too.
"""

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray as Array

from ..attention import (
    attention_scores,
    attention_scores_backward,
    masked_softmax,
    masked_softmax_backward,
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
)
from ..checked import Half, check_between, checked


@checked
def round_to(
    x: Float[Array, "*shape"],
    bits: int,
) -> Float[Array, "*shape"]:
    r"""Rounding: the nearest number with so many significant bits.

    $x = m \, 2^e$ with $\tfrac12 \le |m| < 1$, and then $\hat x =
    \operatorname{round}(m \, 2^b) \, 2^{e - b}$, a tie going to the even
    number

    With 8 bits a bfloat16, with 11 a float16, while $e$ is in their range.
    The relative error is at most $2^{-b}$, the unit roundoff (Higham 2002,
    section 2.1). Raises ValueError unless `bits` is from 1 to 53.

    >>> import numpy as np
    >>> round_to(np.array([1 / 7, 2 / 7, 4 / 7, 257.0]), 8)
    array([1.42578125e-01, 2.85156250e-01, 5.70312500e-01, 2.56000000e+02])
    """
    check_between("bits", bits, 1, 53)
    mantissa, exponent = np.frexp(x)
    steps = np.ldexp(mantissa, bits)
    whole = np.rint(steps)
    rounded = np.ldexp(whole, exponent - bits)
    return rounded


@checked
def add_in_half(
    total: Half[Array, "*batch feature"],
    term: Half[Array, "*batch feature"],
) -> Half[Array, "*batch feature"]:
    r"""Addition in half precision: exact, and then rounded.

    $\hat t = \operatorname{round}(t + a)$

    Libraries add in float32 and round that sum. It is as good as rounding
    once: 24 bits are at least $2 b + 2$ for both kinds of half (Figueroa
    1995).
    """
    total_rounded = total + term
    return total_rounded


@checked
def sum_in_half(
    total: Half[Array, "*batch feature"],
    terms: Half[Array, "*batch term feature"],
) -> Half[Array, "*batch feature"]:
    r"""Accumulation in half precision: a sum that is rounded at each term.

    $\hat t_i = \operatorname{round}(\hat t_{i - 1} + a_i)$

    A term below half the distance to the next number is lost whole: ones
    that are added to a bfloat16 get to 256 and no further. Therefore
    kernels accumulate in float32 (Micikevicius et al. 2018, section 3.3).
    """
    for index in range(terms.shape[-2]):
        total = add_in_half(total, terms[..., index, :])
    return total


@checked
def attention_inside_float32(
    query: Half[Array, "*batch query d_head"],
    key: Half[Array, "*batch key d_head"],
    value: Half[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
) -> Half[Array, "*batch query d_value"]:
    r"""Attention in half precision, in float32 inside: one rounding.

    $\hat O = \operatorname{round}(A V)$

    Only what comes in and goes out takes 16 bits. An output is off by the
    last rounding, $2^{-b}$ of itself, and float32's errors beside it.
    """
    wide_query = query.astype(np.float32)
    wide_key = key.astype(np.float32)
    wide_value = value.astype(np.float32)
    context = scaled_dot_product_attention(
        wide_query, wide_key, wide_value, mask
    )
    context_rounded = context.astype(query.dtype)
    return context_rounded


@checked
def attention_inside_float32_backward(
    d_context_rounded: Half[Array, "*batch query d_value"],
    query: Half[Array, "*batch query d_head"],
    key: Half[Array, "*batch key d_head"],
    value: Half[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
) -> tuple[
    Half[Array, "*batch query d_head"],
    Half[Array, "*batch key d_head"],
    Half[Array, "*batch key d_value"],
]:
    r"""Gradient: rounded where the input was widened, and nowhere else.

    The derivative of a rounding is taken to be 1: a gradient goes straight
    through, and is rounded to the type of what it belongs to.
    """
    wide_query = query.astype(np.float32)
    wide_key = key.astype(np.float32)
    wide_value = value.astype(np.float32)
    d_context = d_context_rounded.astype(np.float32)
    d_wide_query, d_wide_key, d_wide_value = (
        scaled_dot_product_attention_backward(
            d_context, wide_query, wide_key, wide_value, mask
        )
    )
    d_query = d_wide_query.astype(query.dtype)
    d_key = d_wide_key.astype(key.dtype)
    d_value = d_wide_value.astype(value.dtype)
    return d_query, d_key, d_value


@checked
def attention_rounded_within(
    query: Half[Array, "*batch query d_head"],
    key: Half[Array, "*batch key d_head"],
    value: Half[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
) -> Half[Array, "*batch query d_value"]:
    r"""Attention in half precision, rounded within: scores and weights too.

    $\hat S = \operatorname{round}(S)$, $\hat A = \operatorname{round}
    (\operatorname{softmax}(\hat S))$, $\hat O = \operatorname{round}
    (\hat A V)$

    As where each operation gives back a half: sums are still float32's. A
    rounded score is off by $2^{-b} |S|$, and softmax makes of that a
    relative error of the weight: the greater the scores, the more is lost.
    The rounded weights need not sum to 1.
    """
    wide_query = query.astype(np.float32)
    wide_key = key.astype(np.float32)
    wide_value = value.astype(np.float32)
    scores = attention_scores(wide_query, wide_key)
    scores_rounded = scores.astype(query.dtype)
    wide_scores = scores_rounded.astype(np.float32)
    weights = masked_softmax(wide_scores, mask)
    weights_rounded = weights.astype(query.dtype)
    wide_weights = weights_rounded.astype(np.float32)
    context = wide_weights @ wide_value
    context_rounded = context.astype(query.dtype)
    return context_rounded


@checked
def attention_rounded_within_backward(
    d_context_rounded: Half[Array, "*batch query d_value"],
    query: Half[Array, "*batch query d_head"],
    key: Half[Array, "*batch key d_head"],
    value: Half[Array, "*batch key d_value"],
    mask: Bool[Array, "*#batch #query #key"],
) -> tuple[
    Half[Array, "*batch query d_head"],
    Half[Array, "*batch key d_head"],
    Half[Array, "*batch key d_value"],
]:
    r"""Gradient: rounded at every place where the forward rounds.

    $d\hat A = \operatorname{round}(dO \, V^\top)$, $d\hat S =
    \operatorname{round}(\operatorname{d softmax}(d\hat A))$
    """
    wide_query = query.astype(np.float32)
    wide_key = key.astype(np.float32)
    wide_value = value.astype(np.float32)
    scores = attention_scores(wide_query, wide_key)
    scores_rounded = scores.astype(query.dtype)
    wide_scores = scores_rounded.astype(np.float32)
    weights = masked_softmax(wide_scores, mask)
    weights_rounded = weights.astype(query.dtype)
    wide_weights = weights_rounded.astype(np.float32)
    d_context = d_context_rounded.astype(np.float32)
    d_wide_value = wide_weights.swapaxes(-2, -1) @ d_context
    d_value = d_wide_value.astype(value.dtype)
    d_wide_weights = d_context @ wide_value.swapaxes(-2, -1)
    d_weights_rounded = d_wide_weights.astype(query.dtype)
    d_weights = d_weights_rounded.astype(np.float32)
    d_wide_scores = masked_softmax_backward(d_weights, wide_scores, mask)
    d_scores_rounded = d_wide_scores.astype(query.dtype)
    d_scores = d_scores_rounded.astype(np.float32)
    d_wide_query, d_wide_key = attention_scores_backward(
        d_scores, wide_query, wide_key
    )
    d_query = d_wide_query.astype(query.dtype)
    d_key = d_wide_key.astype(key.dtype)
    return d_query, d_key, d_value
