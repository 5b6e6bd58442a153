"""Mutants of token and position embeddings, learned and sinusoidal."""

from collections.abc import Callable
from math import sqrt

import numpy as np

from .pieces import Mutants

TOKEN_EMBEDDING: Mutants = {
    "the rows are multiplied by √d_model": lambda ids, params: (
        params.weight[ids] * sqrt(params.weight.shape[-1])
    ),
    "the row before the token's is taken": (
        lambda ids, params: params.weight[ids - 1]
    ),
    "the row after the token's is taken": (
        lambda ids, params: np.roll(params.weight, -1, axis=0)[ids]
    ),
    "token 0 is taken for padding and gets zeros": (
        lambda ids, params: params.weight[ids] * (ids != 0)[..., None]
    ),
}

POSITION_EMBEDDING: Mutants = {
    "the row before the position's is taken": (
        lambda positions, params: params.weight[positions - 1]
    ),
    "the row after the position's is taken": (
        lambda positions, params: np.roll(params.weight, -1, axis=0)[
            positions
        ]
    ),
    "the positions given are ignored: 0, 1, 2 … are taken": (
        lambda positions, params: params.weight[: len(positions)]
    ),
}


def placed(positions: Callable) -> Callable:
    """Tokens, and what is made of their ids and the position table."""
    return lambda ids, params: (
        params.token.weight[ids] + positions(ids, params.position.weight)
    )


INPUT_EMBEDDING: Mutants = {
    "positions are left out": placed(lambda ids, table: 0),
    "tokens are left out": lambda ids, params: (
        params.position.weight[: ids.shape[-1]] + np.zeros((*ids.shape, 1))
    ),
    "positions are counted from 1": placed(
        lambda ids, table: table[1 : ids.shape[-1] + 1]
    ),
    "every token gets position 0": placed(lambda ids, table: table[0]),
    "positions are looked up by the token's id": placed(
        lambda ids, table: table[ids]
    ),
    "positions are counted along the batch": placed(
        lambda ids, table: table[: len(ids), None]
    ),
    "tokens are multiplied by √d_model": lambda ids, params: (
        sqrt(params.token.weight.shape[-1]) * params.token.weight[ids]
        + params.position.weight[: ids.shape[-1]]
    ),
}


def waves(angle, even=np.sin, odd=np.cos):
    """Sines and cosines in turn."""
    is_even = np.arange(angle.shape[-1]) % 2 == 0
    return np.where(is_even, even(angle), odd(angle))


def waved(exponent: Callable, base=10000, **functions) -> Callable:
    """The angle is p / base^exponent; `exponent(feature, pair, d)`."""

    def encoded(positions, d_model):
        feature = np.arange(d_model)
        power = exponent(feature, feature // 2, d_model)
        return waves(
            positions[:, None] * float(base) ** -power, **functions
        )

    return encoded


def pair(_, i, d):
    """As it is in the paper."""
    return 2 * i / d


def to_the_end(_, i, d):
    return i / (d / 2 - 1)


def in_halves(encoded: Callable) -> Callable:
    """The even features first, then the odd ones."""

    def ordered(positions, d_model):
        turns = encoded(positions, d_model)
        return np.concatenate([turns[:, ::2], turns[:, 1::2]], axis=-1)

    return ordered


SINUSOIDAL_POSITIONS: Mutants = {
    "sines come first, then cosines, not in turn": in_halves(waved(pair)),
    "cosines come first, then sines, not in turn": in_halves(
        waved(pair, even=np.cos, odd=np.sin)
    ),
    "sine and cosine are swapped": waved(pair, even=np.cos, odd=np.sin),
    "all features are sines": waved(pair, odd=np.sin),
    "the cosine has a frequency of its own: 2i + 1, not 2i": waved(
        lambda feature, i, d: feature / d
    ),
    "the exponent is 4i/d, not 2i/d": waved(lambda _, i, d: 4 * i / d),
    "the exponent is 2f/d for each feature f": waved(
        lambda feature, i, d: 2 * feature / d
    ),
    "the exponent is i/d, not 2i/d: as with the base 100": waved(
        lambda _, i, d: i / d
    ),
    "positions are multiplied by 10000^(2i/d), not divided": waved(
        pair, base=1e-4
    ),
    "the exponent is i/(d/2 - 1), not 2i/d": waved(to_the_end),
    "the exponent is i/(d/2 - 1), and sines come first": in_halves(
        waved(to_the_end)
    ),
    "positions are counted from 1": (
        lambda positions, d: waved(pair)(positions + 1, d)
    ),
    "every position is taken for the first": (
        lambda positions, d: waved(pair)(0 * positions, d)
    ),
    "the positions given are ignored: 0, 1, 2 … are taken": (
        lambda positions, d: waved(pair)(np.arange(len(positions)), d)
    ),
} | {
    f"the base is {base}, not 10000": waved(pair, base=base)
    for base in (1000, 1024, 100000)
}

MUTANTS: dict[str, Mutants] = {
    "input_embedding": INPUT_EMBEDDING,
    "one_hot_embedding": TOKEN_EMBEDDING,
    "position_embedding": POSITION_EMBEDDING,
    "sinusoidal_positions": SINUSOIDAL_POSITIONS,
    "token_embedding": TOKEN_EMBEDDING,
}
