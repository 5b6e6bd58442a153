r"""Claims about order, causality, bytes and parameter counts.

Each function measures one claim and returns numbers; the tests judge them.
`scale.py`, `softmax.py` and `heads.py` have the others, and a page can
call any of them.
"""

from math import inf
from typing import NamedTuple

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from numpy_ref.attention import masked_softmax, softmax
from numpy_ref.byte_pair_encoding import byte_ids, merge_all, merge_table
from numpy_ref.checkpoints.gpt2_config import Gpt2Config, parameter_count
from numpy_ref.layers import Linear
from numpy_ref.masks import causal_mask
from numpy_ref.self_attention import (
    SelfAttention,
    causal_attention,
    causal_attention_backward,
    self_attention,
    self_attention_backward,
)
from numpy_ref.tokenizers.bpe_tokenizer import BytePairTokenizer
from numpy_ref.tokenizers.gpt2_vocabulary import gpt2_tokenizer

SIZES = {  # layers and d_model of the four (Radford et al. 2019, table 2)
    "small": (12, 768),
    "medium": (24, 1024),
    "large": (36, 1280),
    "xl": (48, 1600),
}
KEEP_ALL = np.ones((1, 1), dtype=bool)


def random_head(generator: Generator, d_model: int) -> SelfAttention:
    """Three layers whose outputs are about as large as their inputs."""

    def layer() -> Linear:
        weight = generator.normal(size=(d_model, d_model)) / d_model**0.5
        return Linear(weight, generator.normal(size=d_model))

    return SelfAttention(layer(), layer(), layer())


def causal(x: Array, params: SelfAttention) -> Array:
    """`causal_attention` of which nothing is dropped."""
    return causal_attention(x, params, KEEP_ALL, 0.0)


def causal_backward(
    d_context: Array, x: Array, params: SelfAttention
) -> tuple[Array, SelfAttention]:
    return causal_attention_backward(d_context, x, params, KEEP_ALL, 0.0)


class Leak(NamedTuple):
    """Leak: what later tokens do to earlier outputs, and to later ones."""

    earlier: float
    later: float
    earlier_gradient: float
    later_gradient: float


def leak(
    generator: Generator,
    positions: int,
    d_model: int,
    since: int,
    masked: bool = True,
) -> Leak:
    r"""A causal mask lets nothing through from the future.

    Neither forwards nor backwards: with other tokens from `since` on, no
    output before changes by a single bit; and a gradient that comes from
    outputs before `since` is exactly 0 at the tokens from there on,
    $\partial y_t / \partial x_s = 0$ for $s > t$ (Vaswani et al. 2017,
    section 3.2.3). `earlier` and `later_gradient` are what leaks.

    The limit: values behind the mask must be finite, because 0 times NaN
    is NaN.
    """
    x, d_context = generator.normal(size=(2, positions, d_model))
    params = random_head(generator, d_model)
    others = generator.normal(size=(positions - since, d_model))
    changed = np.concatenate([x[:since], others])
    d_context[since:] = 0
    forward, backward = (
        (causal, causal_backward)
        if masked
        else (self_attention, self_attention_backward)
    )
    moved = forward(changed, params) - forward(x, params)
    d_x, _ = backward(d_context, x, params)
    return Leak(
        largest(moved[:since]),
        largest(moved[since:]),
        largest(d_x[:since]),
        largest(d_x[since:]),
    )


def influence(
    generator: Generator, positions: int, d_model: int, masked: bool = True
) -> Array:
    """How far each output moves when one token is another: output × token.

    Under a causal mask the upper triangle is 0, to the last bit.
    """
    x = generator.normal(size=(positions, d_model))
    params = random_head(generator, d_model)
    attend = causal if masked else self_attention
    before = attend(x, params)
    moved = []
    for token in range(positions):
        changed = x.copy()
        changed[token] = generator.normal(size=d_model)
        moved.append(np.abs(attend(changed, params) - before).max(axis=-1))
    return np.stack(moved, axis=-1)


def triangular_weights(scores: Array) -> tuple[Array, Array]:
    r"""The additive form of the causal mask, beside ours.

    $\operatorname{softmax}(S + U)$, with $U_{ij} = -\infty$ for $j > i$
    and 0 elsewhere: an upper triangle that is added. A large negative
    number in its place is not the same (`mutants.toml`).
    """
    triangle = np.triu(np.full(scores.shape[-2:], -inf), 1)
    mask = causal_mask(*scores.shape[-2:])
    return softmax(scores + triangle), masked_softmax(scores, mask)


class Order(NamedTuple):
    """How far outputs move when earlier tokens change places.

    `unmasked` is measured after the outputs have been put back in order;
    the others at the last output, whose token stays where it is. `size`
    is that of the outputs.
    """

    unmasked: float
    one_layer: float
    two_layers: float
    size: float


def order(generator: Generator, positions: int, d_model: int) -> Order:
    r"""Without positions, attention does not know the order; or does it?

    Unmasked it cannot: $f(P X) = P f(X)$ for every permutation P, which
    is to be *equivariant*. One causal layer cannot at its last output,
    which is a mean over all tokens, in whatever order. Two causal layers
    can: after the first, a token is a mean of those before it, and so
    says who came early (Haviv et al. 2022).
    """
    x = generator.normal(size=(positions, d_model))
    first, second = (random_head(generator, d_model) for _ in range(2))
    swap = [1, 0, *range(2, positions)]
    swapped = x[swap]
    back = self_attention(swapped, first)[swap]
    once, once_swapped = causal(x, first), causal(swapped, first)
    twice, twice_swapped = (
        causal(hidden, second) for hidden in (once, once_swapped)
    )
    return Order(
        largest(back - self_attention(x, first)),
        largest(once_swapped[-1] - once[-1]),
        largest(twice_swapped[-1] - twice[-1]),
        largest(twice[-1]),
    )


class RoundTrips(NamedTuple):
    """Round trips: how many byte strings and texts come back the same."""

    byte_strings: int
    byte_strings_same: int
    texts: int
    texts_same: int


def round_trips(
    generator: Generator, count: int, length: int
) -> RoundTrips:
    """Byte-level BPE needs no unknown token: any bytes have ids.

    All 256 bytes are tokens, and a merge loses nothing, so any bytes come
    back: also those that are no text. Texts are of any characters that
    Unicode has room for, assigned or not (Radford et al. 2019, section
    2.2). The limit: half a surrogate pair is no character and has no
    bytes; it is refused.
    """
    tokenizer = gpt2_tokenizer()
    table = merge_table(tokenizer.merges)
    strings = [bytes([value]) for value in range(256)]
    strings += [generator.bytes(length) for _ in range(count)]
    texts = [random_text(generator, length) for _ in range(count)]
    return RoundTrips(
        len(strings),
        sum(
            tokenizer.decode_bytes(merge_all(byte_ids(data), table)) == data
            for data in strings
        ),
        len(texts),
        sum(comes_back(text, tokenizer) for text in texts),
    )


def comes_back(text: str, tokenizer: BytePairTokenizer) -> bool:
    return tokenizer.decode(tokenizer.encode_ordinary(text)) == text


def random_text(generator: Generator, length: int) -> str:
    """Characters from all of Unicode, and as many from ASCII."""
    numbers = generator.integers(0, 0x110000 - 0x800, size=length)
    above_surrogates = np.where(numbers < 0xD800, numbers, numbers + 0x800)
    ascii_numbers = generator.integers(0, 128, size=length)
    either = generator.uniform(size=length) < 0.5
    chosen = np.where(either, above_surrogates, ascii_numbers)
    return "".join(map(chr, chosen.tolist()))


class Vocabulary(NamedTuple):
    single_bytes: int
    merges: int
    specials: int
    tokens: int


def gpt2_vocabulary() -> Vocabulary:
    """50,257 = 256 bytes + 50,000 merges + `<|endoftext|>`."""
    tokenizer = gpt2_tokenizer()
    ordinary = tokenizer.mergeable_ranks
    return Vocabulary(
        sum(len(token) == 1 for token in ordinary),
        len(tokenizer.merges),
        len(tokenizer.special_tokens),
        len(tokenizer.tokens),
    )


def gpt2_config(size: str, heads: int = 1) -> Gpt2Config:
    """GPT-2 in one of its four sizes; heads change no count."""
    layers, d_model = SIZES[size]
    return Gpt2Config(
        50257, 1024, d_model, 4 * d_model, layers, heads, 1e-5
    )


def honest_counts(size: str) -> dict[str, int]:
    r"""Ways to count the parameters of a GPT-2, each of them defensible.

    All of it: $V d + T d + L (12 d^2 + 13 d) + 2 d$. For "small" that is
    124,439,808. The often printed 117M is none of these: its authors say
    in their repository that their counts were wrong "due to an error".
    """
    config = gpt2_config(size)
    layers, d_model = config.layers, config.d_model
    every = parameter_count(config)
    table = config.vocabulary * d_model
    wide_biases = layers * 3 * d_model
    linear_biases = layers * 9 * d_model
    norm_biases = (2 * layers + 1) * d_model
    return {
        "all": every,
        "without query, key and value biases": every - wide_biases,
        "with a head of its own": every + table,
        "both": every + table - wide_biases,
        "without biases of linear layers": every - linear_biases,
        "without any bias": every - linear_biases - norm_biases,
        "without positions": every - config.positions * d_model,
        "12 L d² alone": 12 * layers * d_model**2,
    }


def largest(x: Array) -> float:
    return float(np.abs(x).max())
