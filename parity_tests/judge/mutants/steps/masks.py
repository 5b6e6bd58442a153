"""Mutants of the causal mask and the padding mask."""

import numpy as np

from numpy_ref.masks import causal_mask, padding_mask

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

MUTANTS: dict[str, Mutants] = {
    "causal_mask": CAUSAL_MASK,
    "padding_mask": PADDING_MASK,
}
