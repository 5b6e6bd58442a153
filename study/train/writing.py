"""Generating text: sampled tokens, as text that comes piece by piece."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array

from numpy_ref.checkpoints.gpt2_config import Gpt2Config
from numpy_ref.generation import choose, generate, greedy
from numpy_ref.gpt2 import Gpt2
from numpy_ref.tokenizers.text_stream import stream_text
from numpy_ref.tokenizers.token_bytes import TokenBytes


@dataclass(frozen=True)
class SamplingSettings:
    """Temperature, top-k and top-p; a temperature of 0 is greedy."""

    temperature: float = 0.8
    k: int = 50
    p: float = 0.95
    seed: int = 0


def write(
    ids: Array,
    params: Gpt2,
    config: Gpt2Config,
    tokenizer: TokenBytes,
    length: int,
    sampling: SamplingSettings,
    ends: tuple[int, ...],
) -> Iterator[str]:
    """Generate up to `length` tokens after `ids`, as text.

    After one of the ids in `ends`, the text is over.
    Raises ValueError as `generate` does, before the first piece.
    """
    generator = np.random.default_rng(sampling.seed)

    def sample(logits: Array) -> Array:
        uniform = np.asarray(generator.uniform(), logits.dtype)
        return choose(
            logits.reshape(-1),
            uniform,
            sampling.temperature,
            min(sampling.k, config.vocabulary),
            sampling.p,
        )

    tokens = generate(
        ids,
        params,
        config.heads,
        config.epsilon,
        length,
        sample if sampling.temperature else greedy,
        ends,
    )
    return stream_text(tokens, tokenizer.tokens)
