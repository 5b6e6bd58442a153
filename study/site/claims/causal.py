"""The causal mask: what a token moves, forwards and backwards."""

import numpy as np

from parity_tests.claims.order import Leak, influence, leak

from ..charts import number, table
from ..heat import beside

SEED, POSITIONS, D_MODEL, SINCE = 0, 7, 5, 4
MEANING = {
    "earlier": "outputs before",
    "later": "outputs from there on",
    "earlier_gradient": "gradient at the tokens before",
    "later_gradient": "gradient at the tokens from there on",
}


def shown() -> dict:
    with_mask, without = measured(True), measured(False)
    return {
        "moved": moved(),
        "numbers": numbers(with_mask, without),
        "positions": POSITIONS,
        "since": SINCE,
        "leaks_forward": f"{with_mask.earlier:g}",
        "leaks": f"{with_mask.earlier:g} and {with_mask.later_gradient:g}",
        "leaks_without": (
            f"{without.earlier:.2f} and {without.later_gradient:.2f}"
        ),
    }


def generator() -> np.random.Generator:
    return np.random.default_rng(SEED)


def measured(masked: bool) -> Leak:
    return leak(generator(), POSITIONS, D_MODEL, SINCE, masked)


def moved() -> str:
    """How far each output moves, with the mask and without it."""
    tokens = [f"token {token}" for token in range(POSITIONS)]
    outputs = [f"output {token}" for token in range(POSITIONS)]
    tables = {
        name: influence(generator(), POSITIONS, D_MODEL, masked)
        for name, masked in (("with the mask", True), ("without it", False))
    }
    return beside(
        tables,
        dict.fromkeys(tables, outputs),
        columns=tokens,
        axes=("output", "token"),
    )


def numbers(with_mask: Leak, without: Leak) -> str:
    rows = [
        (
            words,
            number(getattr(with_mask, name)),
            number(getattr(without, name)),
        )
        for name, words in MEANING.items()
    ]
    heads = ("largest change", "with the mask", "without it")
    return table(heads, rows, "What comes through")
