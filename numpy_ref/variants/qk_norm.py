"""QK-norm: queries and keys get one size before they meet.

Then a score can not grow with the size of either, which keeps large
models from one-hot attention in the midst of training. RMSNorm has a
weight for each feature of a head, the same in all heads.
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from numpy import ndarray as Array

from ..attention import (
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
)
from ..checked import checked
from .rms_norm import RMSNorm, rms_norm, rms_norm_backward


@checked
@dataclass(frozen=True, eq=False)
class QKNormAttention:
    """QK-norm: a norm for queries, and another one for keys."""

    query: RMSNorm
    key: RMSNorm


@checked
def qk_norm_attention(
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    params: QKNormAttention,
    mask: Bool[Array, "*#batch #query #key"],
    epsilon: float,
) -> Float[Array, "*batch query d_value"]:
    r"""Attention of normalised queries and keys.

    $O = \operatorname{attention}(\operatorname{norm}(Q),
    \operatorname{norm}(K), V)$ (Henry et al. 2020; by RMSNorm in Qwen 3 and
    Gemma 3)

    Values keep their size. Where positions are rotary, the norm comes
    before the rotation.
    """
    normed_query = rms_norm(query, params.query, epsilon)
    normed_key = rms_norm(key, params.key, epsilon)
    context = scaled_dot_product_attention(
        normed_query, normed_key, value, mask
    )
    return context


@checked
def qk_norm_attention_backward(
    d_context: Float[Array, "*batch query d_value"],
    query: Float[Array, "*batch query d_head"],
    key: Float[Array, "*batch key d_head"],
    value: Float[Array, "*batch key d_value"],
    params: QKNormAttention,
    mask: Bool[Array, "*#batch #query #key"],
    epsilon: float,
) -> tuple[
    Float[Array, "*batch query d_head"],
    Float[Array, "*batch key d_head"],
    Float[Array, "*batch key d_value"],
    QKNormAttention,
]:
    """Gradient of attention, and then through both norms."""
    normed_query = rms_norm(query, params.query, epsilon)
    normed_key = rms_norm(key, params.key, epsilon)
    d_normed_query, d_normed_key, d_value = (
        scaled_dot_product_attention_backward(
            d_context, normed_query, normed_key, value, mask
        )
    )
    d_query, d_params_query = rms_norm_backward(
        d_normed_query, query, params.query, epsilon
    )
    d_key, d_params_key = rms_norm_backward(
        d_normed_key, key, params.key, epsilon
    )
    d_params = QKNormAttention(d_params_query, d_params_key)
    return d_query, d_key, d_value, d_params
