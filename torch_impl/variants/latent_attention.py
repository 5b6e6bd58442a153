"""Multi-head latent attention, MLA: keys and values from one latent."""

from math import sqrt

from jaxtyping import Bool, Float
from torch import Tensor as Array
from torch import nn

from ..attention import masked_softmax
from ..checked import check_at_least, checked
from ..multi_head import merge_heads, split_heads
from .projection import Projection
from .rms_norm import RMSNorm
from .rotary import rotary_neighbours


class Compression(nn.Module):
    down: Projection
    norm: RMSNorm

    def __init__(self, d_model: int, d_latent: int):
        super().__init__()
        self.down = Projection(d_model, d_latent)
        self.norm = RMSNorm(d_latent)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        epsilon: float,
    ) -> Float[Array, "*batch position d_latent"]:
        compressed = self.down(x)
        latent = self.norm(compressed, epsilon)
        return latent


@checked
def decoupled_scores(
    similarity: Float[Array, "*batch head query key"],
    rotary_query: Float[Array, "*batch head query d_rotary"],
    rotary_key: Float[Array, "*batch key d_rotary"],
    d_head: int,
) -> Float[Array, "*batch head query key"]:
    check_at_least("d_head", d_head, 1)
    shared_key = rotary_key[..., None, :, :]  # the same for all heads
    rotary_similarity = rotary_query @ shared_key.transpose(-2, -1)
    features = d_head + rotary_query.shape[-1]
    scores = (similarity + rotary_similarity) / sqrt(features)
    return scores


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
    shared_latent = latent[..., None, :, :]  # the same for all heads
    key = shared_latent @ key_weight
    value = shared_latent @ value_weight
    similarity = query @ key.transpose(-2, -1)
    scores = decoupled_scores(
        similarity, rotary_query, rotary_key, query.shape[-1]
    )
    weights = masked_softmax(scores, mask)
    context = weights @ value
    return context


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
    shared_latent = latent[..., None, :, :]  # the same for all heads
    absorbed_query = query @ key_weight.transpose(-2, -1)
    similarity = absorbed_query @ shared_latent.transpose(-2, -1)
    scores = decoupled_scores(
        similarity, rotary_query, rotary_key, query.shape[-1]
    )
    weights = masked_softmax(scores, mask)
    mean_latent = weights @ shared_latent
    context = mean_latent @ value_weight
    return context


class MultiHeadLatentAttention(nn.Module):
    query: Projection
    rotary_query: Projection
    compression: Compression
    rotary_key: Projection
    key: Projection
    value: Projection
    output: Projection

    def __init__(
        self,
        d_model: int,
        d_query: int,
        d_latent: int,
        d_head: int,
        d_rotary: int,
        d_value: int,
        heads: int,
    ):
        super().__init__()
        self.query = Projection(d_query, heads * d_head)
        self.rotary_query = Projection(d_query, heads * d_rotary)
        self.compression = Compression(d_model, d_latent)
        self.rotary_key = Projection(d_model, d_rotary)
        self.key = Projection(d_latent, heads * d_head)
        self.value = Projection(d_latent, heads * d_value)
        self.output = Projection(heads * d_value, d_model)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        query_latent: Float[Array, "*batch position d_query"],
        mask: Bool[Array, "*#batch #position #position"],
        cosine: Float[Array, "position pair"],
        sine: Float[Array, "position pair"],
        heads: int,
        epsilon: float,
    ) -> Float[Array, "*batch position d_model"]:
        latent = self.compression(x, epsilon)
        query = split_heads(self.query(query_latent), heads)
        split_rotary_query = split_heads(
            self.rotary_query(query_latent), heads
        )
        rotary_query = rotary_neighbours(split_rotary_query, cosine, sine)
        projected_key = self.rotary_key(x)
        rotary_key = rotary_neighbours(projected_key, cosine, sine)
        key_weight = split_heads(self.key.weight.transpose(-2, -1), heads)
        value_weight = split_heads(
            self.value.weight.transpose(-2, -1), heads
        )
        head_mask = mask[..., None, :, :]  # the same for all heads
        context = latent_attention(
            *(query, rotary_query, latent, rotary_key),
            *(key_weight, value_weight, head_mask),
        )
        merged = merge_heads(context)
        y = self.output(merged)
        return y
