"""Training of the transformer: first weights, steps of Adam, their mean.

Functions from one state to the next, as in `steps`; what is drawn is drawn
beforehand.
"""

from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from ..checked import check_at_least, checked
from ..embeddings import TokenEmbedding
from ..layers import FeedForward, Linear
from ..multi_head import MultiHeadAttention
from ..optimizer import gradient_norm
from ..parameters import from_state_dict, state_dict
from ..variants.post_norm import PostNormAttention, PostNormFeedForward
from ..variants.transformer import (
    Transformer,
    TransformerDecoder,
    TransformerDecoderBlock,
    TransformerEmbedding,
    TransformerEncoder,
    TransformerEncoderBlock,
)
from ..variants.transformer_training import transformer_loss_backward
from ..variants.warm_up import warm_up_rate
from .adamw import adamw
from .initial_weights import initial_norm
from .steps import StepMetrics, TrainState, check_has_not_diverged


@dataclass(frozen=True)
class TransformerConfig:
    """The sizes of a transformer; both halves have as many layers."""

    vocabulary: int
    d_model: int
    d_ff: int
    heads: int
    layers: int
    epsilon: float = 1e-5


@dataclass(frozen=True)
class TransformerSettings:
    """Training settings: those of the paper, but for its 4000 steps.

    Adam is AdamW without decay (Vaswani et al. 2017, sections 5.3, 5.4).
    """

    warm_up_steps: int = 4000
    smoothing: float = 0.1
    betas: tuple[float, float] = (0.9, 0.98)
    epsilon: float = 1e-9


class Pairs(NamedTuple):
    """A batch of sources and targets, padded behind each text.

    `target_ids` are what the decoder reads, `targets` what it is asked
    for: the same, one place on.
    """

    source_ids: Array
    target_ids: Array
    targets: Array
    source_mask: Array


def initial_transformer(
    config: TransformerConfig, generator: Generator, dtype: str = "float32"
) -> Transformer:
    r"""Initial weights: uniform by Glorot; biases 0, norms 1.

    $w \sim U(-a, a)$ with $a = \sqrt{6 / (d_\text{in} + d_\text{out})}$
    keeps the size of what goes through a layer, forward and backward
    (Glorot and Bengio 2010, section 4.2.1). The table of the tokens is
    normal, with rows of a length of about 1.
    """
    d_model = config.d_model

    def layer(d_out: int, d_in: int) -> Linear:
        most = sqrt(6 / (d_in + d_out))
        weight = generator.uniform(-most, most, (d_out, d_in))
        return Linear(weight.astype(dtype), np.zeros(d_out, dtype))

    def attention() -> PostNormAttention:
        layers = (layer(d_model, d_model) for _ in range(4))
        return PostNormAttention(
            MultiHeadAttention(*layers), initial_norm(d_model, dtype)
        )

    def feed_forward() -> PostNormFeedForward:
        network = FeedForward(
            layer(config.d_ff, d_model), layer(d_model, config.d_ff)
        )
        return PostNormFeedForward(network, initial_norm(d_model, dtype))

    table = generator.normal(
        scale=1 / sqrt(d_model), size=(config.vocabulary, d_model)
    )
    encoder = tuple(
        TransformerEncoderBlock(attention(), feed_forward())
        for _ in range(config.layers)
    )
    decoder = tuple(
        TransformerDecoderBlock(attention(), attention(), feed_forward())
        for _ in range(config.layers)
    )
    return Transformer(
        TransformerEmbedding(TokenEmbedding(table.astype(dtype))),
        TransformerEncoder(encoder),
        TransformerDecoder(decoder),
    )


@checked  # once for the step, and not for each of its arrays
def transformer_step(
    state: TrainState,
    pairs: Pairs,
    config: TransformerConfig,
    settings: TransformerSettings,
    ignored: int,
) -> tuple[TrainState, StepMetrics]:
    """Training step: Adam, by the gradients of a batch's smoothed loss.

    Raises ValueError, with the step, when training has diverged.
    """
    step = state.step + 1
    rate = warm_up_rate(step, config.d_model, settings.warm_up_steps)
    one = state.params.embedding.token.weight.dtype.type(1)
    with np.errstate(over="ignore", invalid="ignore"):  # it shows below
        loss, gradients = transformer_loss_backward(
            *(one, *pairs, state.params, settings.smoothing),
            *(config.heads, config.epsilon, ignored),
        )
        norm = gradient_norm(tuple(state_dict(gradients).values()))
    metrics = StepMetrics(step, float(loss), float(norm), rate)
    check_has_not_diverged(metrics, config.vocabulary)
    params, moments = adamw(
        *(state.params, gradients, state.moments, step, rate),
        *(settings.betas, settings.epsilon),
        decay=0.0,
    )
    return TrainState(params, moments, step), metrics


def averaged(models: list[Transformer]) -> Transformer:
    """Checkpoint averaging: the mean of each entry over several models.

    Of the last ones of a training, which the large steps of the schedule
    carry to and fro: the mean is nearer to where they are about (Vaswani
    et al. 2017, section 6.1). Raises ValueError for no model.
    """
    check_at_least("models", len(models), 1)
    arrays = [state_dict(model) for model in models]
    means = {
        name: np.mean([each[name] for each in arrays], axis=0)
        for name in arrays[0]
    }
    return from_state_dict(Transformer, means)
