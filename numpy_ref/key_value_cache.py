r"""Key-value cache: what was computed once is kept.

The keys and values of earlier tokens never change, since no token sees a
later one. So a model that writes computes them once, and each step costs
one token's work, not the whole text's.

The functions here are those of `gpt2`, for tokens that have a past:
`past_key` and `past_value` are what earlier tokens left. They change
nothing; `KeyValueCache` is the one thing here that is written into.

Axes as in `gpt2`; `past` counts the earlier tokens, `position` the new
ones, `key` both.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from .attention import attention_scores, masked_softmax
from .bert import Layer
from .checked import check_at_least, check_divides, checked
from .embeddings import position_embedding, token_embedding
from .gpt2 import Decoder, DecoderBlock, Gpt2
from .layers import layer_norm, linear
from .masks import causal_mask
from .multi_head import (
    Heads,
    MultiHeadAttention,
    merge_heads,
    split_heads,
)
from .sublayers import AttentionSublayer, feed_forward_sublayer


@checked
def cached_heads(
    x: Float[Array, "*batch position d_model"],
    past_key: Float[Array, "*batch head past d_head"],
    past_value: Float[Array, "*batch head past d_head"],
    params: MultiHeadAttention,
    mask: Bool[Array, "*#batch #position #key"],
    heads: int,
) -> Heads:
    r"""Attention heads for new tokens, which see the earlier ones, too.

    $S = [Q K_\text{past}^\top, Q K^\top] / \sqrt{d_\text{head}}$,
    $O = A_\text{past} V_\text{past} + A_\text{new} V$

    Scores are joined, and sums taken in two parts, so that no key and no
    value is copied. The key and the value of the result are those of the
    new tokens.
    """
    query = split_heads(linear(x, params.query), heads)
    key = split_heads(linear(x, params.key), heads)
    value = split_heads(linear(x, params.value), heads)
    past_scores = attention_scores(query, past_key)
    new_scores = attention_scores(query, key)
    scores = np.concatenate([past_scores, new_scores], axis=-1)
    head_mask = mask[..., None, :, :]  # the same for all heads
    weights = masked_softmax(scores, head_mask)
    past = past_key.shape[-2]
    past_context = weights[..., :past] @ past_value
    context = past_context + weights[..., past:] @ value
    attention = Heads(query, key, value, weights, context)
    return attention


@checked
def cached_attention_sublayer(
    x: Float[Array, "*batch position d_model"],
    past_key: Float[Array, "*batch head past d_head"],
    past_value: Float[Array, "*batch head past d_head"],
    params: AttentionSublayer,
    mask: Bool[Array, "*#batch #position #key"],
    heads: int,
    epsilon: float,
) -> tuple[Float[Array, "*batch position d_model"], Heads]:
    """Attention sublayer for new tokens."""
    normed = layer_norm(x, params.norm, epsilon)
    attention = cached_heads(
        normed, past_key, past_value, params.attention, mask, heads
    )
    merged = merge_heads(attention.context)
    attention_output = linear(merged, params.attention.output)
    after_attention = x + attention_output
    return after_attention, attention


@checked
def cached_decoder_block(
    x: Float[Array, "*batch position d_model"],
    past_key: Float[Array, "*batch head past d_head"],
    past_value: Float[Array, "*batch head past d_head"],
    params: DecoderBlock,
    mask: Bool[Array, "*#batch #position #key"],
    heads: int,
    epsilon: float,
) -> Layer:
    """Decoder block for new tokens."""
    after_attention, attention = cached_attention_sublayer(
        *(x, past_key, past_value, params.attention_sublayer, mask),
        *(heads, epsilon),
    )
    hidden = feed_forward_sublayer(
        after_attention, params.feed_forward_sublayer, epsilon
    )
    layer = Layer(*attention[:4], hidden)
    return layer


@checked
def cached_decoder(
    x: Float[Array, "*batch position d_model"],
    past_key: Float[Array, "layers *batch head past d_head"],
    past_value: Float[Array, "layers *batch head past d_head"],
    params: Decoder,
    mask: Bool[Array, "*#batch #position #key"],
    heads: int,
    epsilon: float,
) -> list[Layer]:
    """Decoder for new tokens; each block has a past of its own."""
    layers = []
    for index, block in enumerate(params.blocks):
        layer = cached_decoder_block(
            x,
            past_key[index],
            past_value[index],
            block,
            mask,
            heads,
            epsilon,
        )
        layers.append(layer)
        x = layer.hidden
    return layers


@checked
def cached_gpt2(
    ids: Int[Array, "*batch position"],
    past_key: Float[Array, "layers *batch head past d_head"],
    past_value: Float[Array, "layers *batch head past d_head"],
    params: Gpt2,
    heads: int,
    epsilon: float,
) -> tuple[list[Layer], Float[Array, "*batch vocabulary"]]:
    """GPT-2 for new tokens: every layer, and the logits after the last.

    They are those that `gpt2` gives for the last position of the whole
    text. Raises ValueError as `gpt2` does.
    """
    past = past_key.shape[-2]
    positions = past + np.arange(ids.shape[-1])
    token_embeddings = token_embedding(ids, params.embedding.token)
    position_embeddings = position_embedding(
        positions, params.embedding.position
    )
    x = token_embeddings + position_embeddings
    mask = causal_mask(ids.shape[-1], past + ids.shape[-1], past)
    layers = cached_decoder(
        x, past_key, past_value, params.decoder, mask, heads, epsilon
    )
    last = layers[-1].hidden[..., -1, :]
    normed = layer_norm(last, params.norm, epsilon)
    logits = normed @ params.embedding.token.weight.swapaxes(-2, -1)
    return layers, logits


class KeyValueCache:
    """Key-value cache of one text, in memory that is allocated once."""

    def __init__(
        self,
        layers: int,
        heads: int,
        positions: int,
        d_head: int,
        dtype: np.dtype,
    ):
        check_at_least("positions", positions, 1)
        shape = (layers, heads, positions, d_head)
        self.keys = np.empty(shape, dtype)
        self.values = np.empty(shape, dtype)
        self.length = 0

    @classmethod
    def of_gpt2(cls, params: Gpt2, heads: int, positions: int):
        """Of the sizes of a GPT-2.

        The smallest keeps 2 · 12 · 768 numbers for each token.
        """
        table = params.embedding.token.weight
        check_divides("heads", heads, "d_model", table.shape[1])
        layers, d_head = len(params.decoder.blocks), table.shape[1] // heads
        return cls(layers, heads, positions, d_head, table.dtype)

    @property
    def past(self) -> tuple[Array, Array]:
        """What `cached_gpt2` takes: a view, and no copy."""
        kept = np.s_[..., : self.length, :]
        return self.keys[kept], self.values[kept]

    def cut(self, length: int) -> None:
        """Forget what stands behind the first `length` tokens."""
        self.length = min(self.length, length)

    def extend(self, layers: list[tuple]) -> None:
        """Keep the keys and values of new tokens, after the earlier.

        Layers are those of any model, with `key` and `value`. Raises
        ValueError when the cache is full.
        """
        end = self.length + layers[0].key.shape[-2]
        if end > self.keys.shape[-2]:
            raise ValueError(
                f"expected at most {self.keys.shape[-2]} positions in the "
                f"cache, got {end}"
            )
        for index, layer in enumerate(layers):
            self.keys[index, :, self.length : end] = layer.key
            self.values[index, :, self.length : end] = layer.value
        self.length = end
