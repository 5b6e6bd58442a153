"""Order: what attention knows of it without positions."""

import numpy as np

from numpy_ref import example
from numpy_ref.attention import scaled_dot_product_attention
from numpy_ref.masks import causal_mask
from parity_tests.claims.order import order

from ..charts import Axis, Series, chart
from ..heat import beside

SEED, D_MODEL = 0, 5
POSITIONS = range(3, 17)
SWAP = [1, 0, 2, 3]
EVERY = np.ones((1, 1), dtype=bool)


def shown() -> dict:
    count = len(example.TOKENS)
    return {
        "unmasked": both(EVERY),
        "causal": both(causal_mask(count, count)),
        "plot": plot(),
        "largest": f"{largest_rounding():.1g}",
    }


def outputs(mask: np.ndarray, tokens: list[int]) -> np.ndarray:
    """The outputs of the example's tokens, in that order."""
    x = example.X[tokens]
    return scaled_dot_product_attention(
        x @ example.QUERY, x @ example.KEY, x @ example.VALUE, mask
    )


def both(mask: np.ndarray) -> str:
    """The outputs as the tokens stand, and with two of them swapped."""
    orders = {
        "as they stand": list(range(len(SWAP))),
        "the first two swapped": SWAP,
    }
    return beside(
        {name: outputs(mask, tokens) for name, tokens in orders.items()},
        {
            name: [example.TOKENS[token] for token in tokens]
            for name, tokens in orders.items()
        },
        axes=("token", "feature"),
    )


def measured() -> dict:
    return {
        positions: order(np.random.default_rng(SEED), positions, D_MODEL)
        for positions in POSITIONS
    }


def largest_rounding() -> float:
    return max(max(o.unmasked, o.one_layer) for o in measured().values())


KINDS = {
    "unmasked": ("no mask, put back in order", 1, "diamond"),
    "one_layer": ("one causal layer", 2, "square"),
    "two_layers": ("two causal layers", 0, "circle"),
}


def plot() -> str:
    x = Axis("tokens", 2, POSITIONS[-1], range(2, POSITIONS[-1] + 1, 2))
    y = Axis(
        "moved, in parts of the largest output",
        *(0, 0.3, (0, 0.1, 0.2, 0.3)),
        label="{:.0%}".format,
    )
    return chart(
        "How far outputs move when the first two tokens change places",
        "Without a mask, and after one causal layer, they stay where they "
        "are. After two causal layers, they move.",
        (x, y),
        [
            Series(
                name,
                [
                    (positions, getattr(o, kind) / o.size)
                    for positions, o in measured().items()
                ],
                hue,
                "solid",
                mark,
            )
            for kind, (name, hue, mark) in KINDS.items()
        ],
    )
