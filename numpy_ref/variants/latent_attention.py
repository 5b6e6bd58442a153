r"""Multi-head latent attention, MLA: keys and values from one latent.

A token is compressed to a few features, its latent, and every head makes
its key and its value from that. So a cache keeps the latent, and no keys
and no values: 512 numbers of a token in DeepSeek-V2, where 128 heads of
128 features each would keep 2 · 128 · 128.

The key need not be made at all. A score is a product of three, query, key
weights and latent, and a product may be taken from either end: with its
weights absorbed into the query, a head asks the latents themselves
(`absorbed_latent_attention`). The same goes for values and the context.

A rotation between weights and latent would be in the way, since it is
another one for each token. So positions are decoupled: a few features
more of the query, and of a key that all heads share, are turned
(`rotary`), and their products are added to the scores. The cache keeps
the turned key, too: 64 numbers in DeepSeek-V2, 576 in all.

Axes: `d_latent` counts the features of a latent, `d_rotary` those that
are turned, `d_query` those that queries are made from; the rest as in
`multi_head`.
"""

from dataclasses import dataclass
from math import sqrt

from jaxtyping import Bool, Float
from numpy import ndarray as Array

from ..attention import masked_softmax, masked_softmax_backward
from ..checked import check_at_least, checked
from ..multi_head import merge_heads, merge_heads_backward, split_heads
from .projection import Projection, projection, projection_backward
from .rms_norm import RMSNorm, rms_norm, rms_norm_backward
from .rotary import rotary_neighbours, rotary_neighbours_backward


@checked
@dataclass(frozen=True, eq=False)
class Compression:
    """Compression: a projection to a latent, and the latent's norm."""

    down: Projection
    norm: RMSNorm


@checked
def compression(
    x: Float[Array, "*batch position d_model"],
    params: Compression,
    epsilon: float,
) -> Float[Array, "*batch position d_latent"]:
    r"""Compression: a token as the few features of its latent.

    $c = \operatorname{norm}(x W_D^\top)$ (Liu et al. 2024, section 2.1.2;
    the norm in section 3.1.2)
    """
    compressed = projection(x, params.down)
    latent = rms_norm(compressed, params.norm, epsilon)
    return latent


@checked
def compression_backward(
    d_latent: Float[Array, "*batch position d_latent"],
    x: Float[Array, "*batch position d_model"],
    params: Compression,
    epsilon: float,
) -> tuple[Float[Array, "*batch position d_model"], Compression]:
    """Gradient: back through the norm and the projection."""
    compressed = projection(x, params.down)
    d_compressed, d_params_norm = rms_norm_backward(
        d_latent, compressed, params.norm, epsilon
    )
    d_x, d_params_down = projection_backward(d_compressed, x, params.down)
    d_params = Compression(d_params_down, d_params_norm)
    return d_x, d_params


@checked
def decoupled_scores(
    similarity: Float[Array, "*batch head query key"],
    rotary_query: Float[Array, "*batch head query d_rotary"],
    rotary_key: Float[Array, "*batch key d_rotary"],
    d_head: int,
) -> Float[Array, "*batch head query key"]:
    r"""Scores of decoupled positions: what is asked, and from how far.

    $S = (Q K^\top + Q_R K_R^\top) / \sqrt{d_\text{head} + d_R}$
    (Liu et al. 2024, section 2.1.3), with $Q K^\top$ as `similarity`, of
    `d_head` features, in whichever way it was found

    It is the score of queries and keys with $d_R$ features more. The root
    is that of both, however few features a latent has. Raises ValueError
    for a `d_head` below 1.
    """
    check_at_least("d_head", d_head, 1)
    shared_key = rotary_key[..., None, :, :]  # the same for all heads
    rotary_similarity = rotary_query @ shared_key.swapaxes(-2, -1)
    features = d_head + rotary_query.shape[-1]
    scores = (similarity + rotary_similarity) / sqrt(features)
    return scores


@checked
def decoupled_scores_backward(
    d_scores: Float[Array, "*batch head query key"],
    similarity: Float[Array, "*batch head query key"],
    rotary_query: Float[Array, "*batch head query d_rotary"],
    rotary_key: Float[Array, "*batch key d_rotary"],
    d_head: int,
) -> tuple[
    Float[Array, "*batch head query key"],
    Float[Array, "*batch head query d_rotary"],
    Float[Array, "*batch key d_rotary"],
]:
    """Gradient of those scores: the shared key gets a sum over heads."""
    check_at_least("d_head", d_head, 1)
    shared_key = rotary_key[..., None, :, :]
    features = d_head + rotary_query.shape[-1]
    d_similarity = d_scores / sqrt(features)
    d_rotary_similarity = d_similarity
    d_rotary_query = d_rotary_similarity @ shared_key
    by_head = d_rotary_similarity.swapaxes(-2, -1) @ rotary_query
    d_shared_key = by_head.sum(axis=-3, keepdims=True)
    d_rotary_key = d_shared_key[..., 0, :, :]
    return d_similarity, d_rotary_query, d_rotary_key


@checked
def latent_attention(
    query: Float[Array, "*batch head query d_head"],
    rotary_query: Float[Array, "*batch head query d_rotary"],
    latent: Float[Array, "*batch key d_latent"],
    rotary_key: Float[Array, "*batch key d_rotary"],
    key_weight: Float[Array, "head d_latent d_head"],
    value_weight: Float[Array, "head d_latent d_value"],
    mask: Bool[Array, "*#batch #head #query #key"],
) -> Float[Array, "*batch head query d_value"]:
    r"""Latent attention: keys and values are made from the latents.

    $K_h = C W_{K,h}$, $V_h = C W_{V,h}$, $O = A V$ (Liu et al. 2024,
    section 2.1.2), with the weights $A$ of the decoupled scores
    """
    shared_latent = latent[..., None, :, :]  # the same for all heads
    key = shared_latent @ key_weight
    value = shared_latent @ value_weight
    similarity = query @ key.swapaxes(-2, -1)
    scores = decoupled_scores(
        similarity, rotary_query, rotary_key, query.shape[-1]
    )
    weights = masked_softmax(scores, mask)
    context = weights @ value
    return context


@checked
def latent_attention_backward(
    d_context: Float[Array, "*batch head query d_value"],
    query: Float[Array, "*batch head query d_head"],
    rotary_query: Float[Array, "*batch head query d_rotary"],
    latent: Float[Array, "*batch key d_latent"],
    rotary_key: Float[Array, "*batch key d_rotary"],
    key_weight: Float[Array, "head d_latent d_head"],
    value_weight: Float[Array, "head d_latent d_value"],
    mask: Bool[Array, "*#batch #head #query #key"],
) -> tuple[
    Float[Array, "*batch head query d_head"],
    Float[Array, "*batch head query d_rotary"],
    Float[Array, "*batch key d_latent"],
    Float[Array, "*batch key d_rotary"],
    Float[Array, "head d_latent d_head"],
    Float[Array, "head d_latent d_value"],
]:
    r"""Gradient: a latent gets what its keys and its values get, summed.

    $dC = \sum_h (dK_h W_{K,h}^\top + dV_h W_{V,h}^\top)$, and the weights
    $dW_{K,h} = C^\top dK_h$, $dW_{V,h} = C^\top dV_h$, summed over texts
    """
    shared_latent = latent[..., None, :, :]
    key = shared_latent @ key_weight
    value = shared_latent @ value_weight
    similarity = query @ key.swapaxes(-2, -1)
    scores = decoupled_scores(
        similarity, rotary_query, rotary_key, query.shape[-1]
    )
    weights = masked_softmax(scores, mask)
    d_value = weights.swapaxes(-2, -1) @ d_context
    d_weights = d_context @ value.swapaxes(-2, -1)
    d_scores = masked_softmax_backward(d_weights, scores, mask)
    d_similarity, d_rotary_query, d_rotary_key = decoupled_scores_backward(
        d_scores, similarity, rotary_query, rotary_key, query.shape[-1]
    )
    d_query = d_similarity @ key
    d_key = d_similarity.swapaxes(-2, -1) @ query
    from_key = d_key @ key_weight.swapaxes(-2, -1)
    from_value = d_value @ value_weight.swapaxes(-2, -1)
    d_shared_latent = (from_key + from_value).sum(axis=-3, keepdims=True)
    d_latent = d_shared_latent[..., 0, :, :]
    key_products = shared_latent.swapaxes(-2, -1) @ d_key
    d_key_weight = key_products.reshape(-1, *key_weight.shape).sum(axis=0)
    value_products = shared_latent.swapaxes(-2, -1) @ d_value
    d_value_weight = value_products.reshape(-1, *value_weight.shape).sum(
        axis=0
    )
    return (
        d_query,
        d_rotary_query,
        d_latent,
        d_rotary_key,
        d_key_weight,
        d_value_weight,
    )


@checked
def absorbed_latent_attention(
    query: Float[Array, "*batch head query d_head"],
    rotary_query: Float[Array, "*batch head query d_rotary"],
    latent: Float[Array, "*batch key d_latent"],
    rotary_key: Float[Array, "*batch key d_rotary"],
    key_weight: Float[Array, "head d_latent d_head"],
    value_weight: Float[Array, "head d_latent d_value"],
    mask: Bool[Array, "*#batch #head #query #key"],
) -> Float[Array, "*batch head query d_value"]:
    r"""Latent attention, absorbed: no key and no value is made.

    $Q_h K_h^\top = Q_h (C W_{K,h})^\top = (Q_h W_{K,h}^\top) C^\top$ and
    $A_h V_h = A_h (C W_{V,h}) = (A_h C) W_{V,h}$ (Liu et al. 2024,
    section 2.1.2)

    The heads attend to the latents as if these were one key head, which
    is its own value. One new token costs less by far, since its past is
    not made into keys; many at once cost more, since a latent has more
    features than a head. The numbers are those of `latent_attention`.
    """
    shared_latent = latent[..., None, :, :]  # the same for all heads
    absorbed_query = query @ key_weight.swapaxes(-2, -1)
    similarity = absorbed_query @ shared_latent.swapaxes(-2, -1)
    scores = decoupled_scores(
        similarity, rotary_query, rotary_key, query.shape[-1]
    )
    weights = masked_softmax(scores, mask)
    mean_latent = weights @ shared_latent
    context = mean_latent @ value_weight
    return context


@checked
def absorbed_latent_attention_backward(
    d_context: Float[Array, "*batch head query d_value"],
    query: Float[Array, "*batch head query d_head"],
    rotary_query: Float[Array, "*batch head query d_rotary"],
    latent: Float[Array, "*batch key d_latent"],
    rotary_key: Float[Array, "*batch key d_rotary"],
    key_weight: Float[Array, "head d_latent d_head"],
    value_weight: Float[Array, "head d_latent d_value"],
    mask: Bool[Array, "*#batch #head #query #key"],
) -> tuple[
    Float[Array, "*batch head query d_head"],
    Float[Array, "*batch head query d_rotary"],
    Float[Array, "*batch key d_latent"],
    Float[Array, "*batch key d_rotary"],
    Float[Array, "head d_latent d_head"],
    Float[Array, "head d_latent d_value"],
]:
    r"""Gradient: the latent as key and as value, summed over heads.

    $dC = \sum_h (dS'^\top_h Q_h W_{K,h}^\top + A_h^\top \, d(A_h C))$,
    with the similarities $S'$
    """
    shared_latent = latent[..., None, :, :]
    absorbed_query = query @ key_weight.swapaxes(-2, -1)
    similarity = absorbed_query @ shared_latent.swapaxes(-2, -1)
    scores = decoupled_scores(
        similarity, rotary_query, rotary_key, query.shape[-1]
    )
    weights = masked_softmax(scores, mask)
    mean_latent = weights @ shared_latent
    d_mean_latent = d_context @ value_weight.swapaxes(-2, -1)
    d_weights = d_mean_latent @ shared_latent.swapaxes(-2, -1)
    d_scores = masked_softmax_backward(d_weights, scores, mask)
    d_similarity, d_rotary_query, d_rotary_key = decoupled_scores_backward(
        d_scores, similarity, rotary_query, rotary_key, query.shape[-1]
    )
    d_absorbed_query = d_similarity @ shared_latent
    d_query = d_absorbed_query @ key_weight
    from_key = d_similarity.swapaxes(-2, -1) @ absorbed_query
    from_value = weights.swapaxes(-2, -1) @ d_mean_latent
    d_shared_latent = (from_key + from_value).sum(axis=-3, keepdims=True)
    d_latent = d_shared_latent[..., 0, :, :]
    key_products = d_absorbed_query.swapaxes(-2, -1) @ query
    d_key_weight = key_products.reshape(-1, *key_weight.shape).sum(axis=0)
    value_products = mean_latent.swapaxes(-2, -1) @ d_context
    d_value_weight = value_products.reshape(-1, *value_weight.shape).sum(
        axis=0
    )
    return (
        d_query,
        d_rotary_query,
        d_latent,
        d_rotary_key,
        d_key_weight,
        d_value_weight,
    )


@checked
@dataclass(frozen=True, eq=False)
class MultiHeadLatentAttention:
    """Multi-head latent attention: what queries, latents and keys need."""

    query: Projection
    rotary_query: Projection
    compression: Compression
    rotary_key: Projection
    key: Projection
    value: Projection
    output: Projection


@checked
def multi_head_latent_attention(
    x: Float[Array, "*batch position d_model"],
    query_latent: Float[Array, "*batch position d_query"],
    params: MultiHeadLatentAttention,
    mask: Bool[Array, "*#batch #position #position"],
    cosine: Float[Array, "position pair"],
    sine: Float[Array, "position pair"],
    heads: int,
    epsilon: float,
) -> Float[Array, "*batch position d_model"]:
    r"""Multi-head latent attention: a layer, from tokens to tokens.

    $Q = C_Q W_Q^\top$ and $Q_R = R(C_Q W_{QR}^\top)$, both split into
    heads; $K_R = R(X W_{KR}^\top)$, one for all heads; $C$ by
    `compression` of $X$; $Y = \operatorname{merge}(O) W_O^\top$
    (Liu et al. 2024, section 2.1 and appendix C), with R the rotation of
    each position, of neighbouring pairs

    Queries are made from a latent of their own, by another compression of
    x; or from x itself, as in DeepSeek-V2-Lite. A cache keeps `latent`
    and `rotary_key`.
    """
    latent = compression(x, params.compression, epsilon)
    query = split_heads(projection(query_latent, params.query), heads)
    split_rotary_query = split_heads(
        projection(query_latent, params.rotary_query), heads
    )
    rotary_query = rotary_neighbours(split_rotary_query, cosine, sine)
    projected_key = projection(x, params.rotary_key)
    rotary_key = rotary_neighbours(projected_key, cosine, sine)
    key_weight = split_heads(params.key.weight.swapaxes(-2, -1), heads)
    value_weight = split_heads(params.value.weight.swapaxes(-2, -1), heads)
    head_mask = mask[..., None, :, :]  # the same for all heads
    context = latent_attention(
        *(query, rotary_query, latent, rotary_key),
        *(key_weight, value_weight, head_mask),
    )
    merged = merge_heads(context)
    y = projection(merged, params.output)
    return y


@checked
def multi_head_latent_attention_backward(
    d_y: Float[Array, "*batch position d_model"],
    x: Float[Array, "*batch position d_model"],
    query_latent: Float[Array, "*batch position d_query"],
    params: MultiHeadLatentAttention,
    mask: Bool[Array, "*#batch #position #position"],
    cosine: Float[Array, "position pair"],
    sine: Float[Array, "position pair"],
    heads: int,
    epsilon: float,
) -> tuple[
    Float[Array, "*batch position d_model"],
    Float[Array, "*batch position d_query"],
    MultiHeadLatentAttention,
]:
    """Gradient: back through output, heads, rotations and projections."""
    latent = compression(x, params.compression, epsilon)
    query = split_heads(projection(query_latent, params.query), heads)
    split_rotary_query = split_heads(
        projection(query_latent, params.rotary_query), heads
    )
    rotary_query = rotary_neighbours(split_rotary_query, cosine, sine)
    projected_key = projection(x, params.rotary_key)
    rotary_key = rotary_neighbours(projected_key, cosine, sine)
    key_weight = split_heads(params.key.weight.swapaxes(-2, -1), heads)
    value_weight = split_heads(params.value.weight.swapaxes(-2, -1), heads)
    head_mask = mask[..., None, :, :]
    arguments = (
        *(query, rotary_query, latent, rotary_key),
        *(key_weight, value_weight, head_mask),
    )
    context = latent_attention(*arguments)
    merged = merge_heads(context)
    d_merged, d_params_output = projection_backward(
        d_y, merged, params.output
    )
    d_context = merge_heads_backward(d_merged, context)
    (
        d_query,
        d_rotary_query,
        d_latent,
        d_rotary_key,
        d_key_weight,
        d_value_weight,
    ) = latent_attention_backward(d_context, *arguments)
    d_params_key = Projection(merge_heads(d_key_weight).swapaxes(-2, -1))
    d_params_value = Projection(
        merge_heads(d_value_weight).swapaxes(-2, -1)
    )
    d_projected_key = rotary_neighbours_backward(
        d_rotary_key, projected_key, cosine, sine
    )
    as_rotary_key, d_params_rotary_key = projection_backward(
        d_projected_key, x, params.rotary_key
    )
    as_latent, d_params_compression = compression_backward(
        d_latent, x, params.compression, epsilon
    )
    d_x = as_rotary_key + as_latent
    d_split_rotary_query = rotary_neighbours_backward(
        d_rotary_query, split_rotary_query, cosine, sine
    )
    as_query, d_params_query = projection_backward(
        merge_heads(d_query), query_latent, params.query
    )
    as_rotary_query, d_params_rotary_query = projection_backward(
        merge_heads(d_split_rotary_query), query_latent, params.rotary_query
    )
    d_query_latent = as_query + as_rotary_query
    d_params = MultiHeadLatentAttention(
        *(d_params_query, d_params_rotary_query, d_params_compression),
        *(d_params_rotary_key, d_params_key, d_params_value),
        d_params_output,
    )
    return d_x, d_query_latent, d_params
