"""Mutants of masks, and of the positions that one gives."""

import numpy as np

from numpy_ref.masks import (
    causal_mask,
    causal_padding_mask,
    padding_mask,
    positions_of_mask,
)

from .pieces import Mutants

CAUSAL_MASK: Mutants = {
    "the mask is inverted: True is what is masked": (
        lambda *sizes: ~causal_mask(*sizes)
    ),
    "a token does not see itself": (
        lambda queries, keys, past: np.tri(queries, keys, past - 1) > 0
    ),
    "one future position is visible": (
        lambda queries, keys, past: np.tri(queries, keys, past + 1) > 0
    ),
    "the mask shows the future, not the past": (
        lambda queries, keys, past: np.tri(queries, keys, past - 1) == 0
    ),
    "the past is ignored": (
        lambda queries, keys, _: causal_mask(queries, keys)
    ),
    "the past is subtracted, not added": (
        lambda queries, keys, past: np.tri(queries, keys, -past) > 0
    ),
    "the past is taken to be keys - queries": (
        lambda queries, keys, _: np.tri(queries, keys, keys - queries) > 0
    ),
    "everything is visible": (
        lambda queries, keys, _: np.ones((queries, keys), bool)
    ),
}

PADDING_MASK: Mutants = {
    "the mask is inverted: True is what is padding": (
        lambda lengths, keys: ~padding_mask(lengths, keys)
    ),
    "one padding token is visible": (
        lambda lengths, keys: padding_mask(lengths + 1, keys)
    ),
    "the last token is masked": (
        lambda lengths, keys: padding_mask(np.maximum(lengths - 1, 0), keys)
    ),
    "the padding is taken to stand before the text": (
        lambda lengths, keys: padding_mask(lengths, keys)[..., ::-1]
    ),
    "the padding lies along the queries, not the keys": (
        lambda lengths, keys: padding_mask(lengths, keys).swapaxes(-2, -1)
    ),
    "the axis of the queries is missing": (
        lambda lengths, keys: padding_mask(lengths, keys)[:, 0]
    ),
    "everything is visible": (
        lambda lengths, keys: padding_mask(lengths * 0 + keys, keys)
    ),
}

CAUSAL_PADDING_MASK: Mutants = {
    "the mask is inverted: True is what is masked": (
        lambda attention_mask: ~causal_padding_mask(attention_mask)
    ),
    "padding is visible": (
        lambda attention_mask: causal_padding_mask(attention_mask | True)
    ),
    "one future position is visible": lambda attention_mask: (
        np.tri(*2 * attention_mask.shape[-1:], 1, dtype=bool)
        & attention_mask[..., None, :]
    ),
    "the future is visible": lambda attention_mask: np.repeat(
        attention_mask[..., None, :], attention_mask.shape[-1], axis=-2
    ),
    "the padding lies along the queries, not the keys": (
        lambda attention_mask: (
            causal_padding_mask(attention_mask | True)
            & attention_mask[..., None]
        )
    ),
    "padding counts as tokens, and tokens as padding": (
        lambda attention_mask: causal_padding_mask(~attention_mask)
    ),
}

POSITIONS_OF_MASK: Mutants = {
    "padding is counted": lambda attention_mask: positions_of_mask(
        attention_mask | True
    ),
    "positions are counted from 1": (
        lambda attention_mask: positions_of_mask(attention_mask) + 1
    ),
    "padding before the text is at position -1": (
        lambda attention_mask: attention_mask.cumsum(axis=-1) - 1
    ),
    "padding counts as tokens, and tokens as padding": (
        lambda attention_mask: positions_of_mask(~attention_mask)
    ),
}

MUTANTS: dict[str, Mutants] = {
    "causal_mask": CAUSAL_MASK,
    "causal_padding_mask": CAUSAL_PADDING_MASK,
    "padding_mask": PADDING_MASK,
    "positions_of_mask": POSITIONS_OF_MASK,
}
