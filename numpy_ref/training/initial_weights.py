"""Initial weights: a model before it has learned anything."""

from collections.abc import Callable
from math import sqrt

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from ..checkpoints.gpt2_config import Gpt2Config
from ..checkpoints.llama_config import LlamaConfig
from ..embeddings import InputEmbedding, PositionEmbedding, TokenEmbedding
from ..gpt2 import Decoder, DecoderBlock, Gpt2
from ..layers import FeedForward, LayerNorm, Linear
from ..multi_head import MultiHeadAttention
from ..sublayers import AttentionSublayer, FeedForwardSublayer
from ..variants.grouped_queries import GroupedQueryAttention
from ..variants.llama import (
    Llama,
    LlamaAttentionSublayer,
    LlamaBlock,
    LlamaDecoder,
    LlamaFeedForwardSublayer,
)
from ..variants.projection import Projection
from ..variants.rms_norm import RMSNorm
from ..variants.swiglu import SwiGLU

DEVIATION = 0.02


def initial_gpt2(
    config: Gpt2Config, generator: Generator, dtype: str = "float32"
) -> Gpt2:
    r"""Initial weights: normal, deviation 0.02; biases 0, norms 1.

    The layers whose output is added to a token begin with
    $0.02 / \sqrt{2 L}$: there are 2 L of them on the way, and their sum
    keeps its size (Radford et al. 2019, section 2.3).
    """

    def normal(*shape: int, deviation: float = DEVIATION) -> Array:
        drawn = generator.normal(scale=deviation, size=shape)
        return drawn.astype(dtype)

    d_model = config.d_model
    return Gpt2(
        InputEmbedding(
            TokenEmbedding(normal(config.vocabulary, d_model)),
            PositionEmbedding(normal(config.positions, d_model)),
        ),
        Decoder(
            tuple(
                initial_block(config, normal) for _ in range(config.layers)
            )
        ),
        initial_norm(d_model, dtype),
    )


def initial_block(
    config: Gpt2Config, normal: Callable[..., Array]
) -> DecoderBlock:
    """Initial weights of one block; `normal` draws a matrix."""
    d_model, d_ff = config.d_model, config.d_ff
    added = DEVIATION / sqrt(2 * config.layers)
    dtype = normal(0).dtype

    def layer(d_out: int, d_in: int, deviation: float = DEVIATION):
        weight = normal(d_out, d_in, deviation=deviation)
        return Linear(weight, np.zeros(d_out, dtype))

    attention = MultiHeadAttention(
        query=layer(d_model, d_model),
        key=layer(d_model, d_model),
        value=layer(d_model, d_model),
        output=layer(d_model, d_model, added),
    )
    feed_forward = FeedForward(
        inner=layer(d_ff, d_model),
        output=layer(d_model, d_ff, added),
    )
    norm = initial_norm(d_model, dtype)
    return DecoderBlock(
        AttentionSublayer(norm, attention),
        FeedForwardSublayer(initial_norm(d_model, dtype), feed_forward),
    )


def initial_norm(d_model: int, dtype) -> LayerNorm:
    return LayerNorm(np.ones(d_model, dtype), np.zeros(d_model, dtype))


def initial_llama(
    config: LlamaConfig, generator: Generator, dtype: str = "float32"
) -> Llama:
    """Initial weights of a Llama, as `initial_gpt2` draws them.

    The embeddings are not tied.
    """
    d_model, d_ff = config.d_model, config.d_ff
    added = DEVIATION / sqrt(2 * config.layers)
    queries = config.heads * config.d_head
    keys = config.key_heads * config.d_head

    def layer(d_out: int, d_in: int, deviation: float = DEVIATION):
        drawn = generator.normal(scale=deviation, size=(d_out, d_in))
        return Projection(drawn.astype(dtype))

    def norm() -> RMSNorm:
        return RMSNorm(np.ones(d_model, dtype))

    def block() -> LlamaBlock:
        attention = GroupedQueryAttention(
            query=layer(queries, d_model),
            key=layer(keys, d_model),
            value=layer(keys, d_model),
            output=layer(d_model, queries, added),
        )
        feed_forward = SwiGLU(
            gate=layer(d_ff, d_model),
            up=layer(d_ff, d_model),
            down=layer(d_model, d_ff, added),
        )
        return LlamaBlock(
            LlamaAttentionSublayer(norm(), attention),
            LlamaFeedForwardSublayer(norm(), feed_forward),
        )

    return Llama(
        TokenEmbedding(layer(config.vocabulary, d_model).weight),
        LlamaDecoder(tuple(block() for _ in range(config.layers))),
        norm(),
        layer(config.vocabulary, d_model),
    )
