"""A ring's walk: what all ranks have sent home, put together and held.

To one process, which attends to the whole text at once: the difference
may be what rounding explains, and the bound for the ring's side is that of
its own steps, one merge more for each rank. And to NumPy, call by call: it
replays each step of each rank on what the rank got.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array

from numpy_ref.attention import (
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
)
from numpy_ref.masks import causal_mask
from parity_tests.exact import exact_steps
from parity_tests.twins.comparing import Comparison, Tally, within
from parity_tests.twins.replaying import compare

from .rank import Inputs, RankWalk

GRADIENTS = ("d_query", "d_key", "d_value")


@dataclass(frozen=True)
class RingWalk:
    """The parts of all ranks, in their order."""

    inputs: Inputs
    parts: list[RankWalk]

    @property
    def ranks(self) -> int:
        return len(self.parts)

    def whole(self, name: str) -> Array:
        """The context, or a gradient, of the whole text."""
        rows = [part.rows[name] for part in self.parts]
        places = np.concatenate([part.positions for part in self.parts])
        return np.concatenate(rows, axis=-2)[..., np.argsort(places), :]

    def beside_one_process(self) -> Iterator[Comparison]:
        """Context and gradients beside those of one process."""
        expected, errors = one_process(self.inputs)
        ring_errors = errors_of_ring(self.inputs, self.ranks)
        for name, value in expected.items():
            yield within(
                f"ring of {self.ranks}/{name}",
                value,
                self.whole(name),
                errors[name] + ring_errors[name],
            )

    def replayed(self) -> list[Tally]:
        """Each rank's steps beside NumPy's, on the inputs it recorded."""
        tallies = []
        for part in self.parts:
            tally = Tally()
            for comparison in compare(part.calls):
                tally.add(comparison)
            tallies.append(tally)
        return tallies


def mask_of(inputs: Inputs) -> Array:
    """The mask of the whole text."""
    tokens = inputs.tokens
    mask = causal_mask(tokens, tokens)
    seen = mask if inputs.is_causal else np.ones_like(mask)
    return seen & inputs.attention_mask[..., None, :]


def one_process(inputs: Inputs) -> tuple[dict, dict]:
    """What one process gives for the whole text, and how far it is off."""
    arguments = {
        "query": inputs.query,
        "key": inputs.key,
        "value": inputs.value,
        "mask": mask_of(inputs),
    }
    upstream = {"d_context": inputs.d_context} | arguments
    context = scaled_dot_product_attention(**arguments)
    gradients = scaled_dot_product_attention_backward(**upstream)
    name = "scaled_dot_product_attention"
    exact = exact_steps(name, arguments)
    exact |= exact_steps(f"{name}_backward", upstream)
    values = {"context": context} | dict(
        zip(GRADIENTS, gradients, strict=True)
    )
    return values, {name: exact[name].error for name in values}


def errors_of_ring(inputs: Inputs, ranks: int) -> dict[str, Array]:
    """How far a ring may be off: by each of its steps, one on another."""
    arguments = {
        "query": inputs.query,
        "key": inputs.key,
        "value": inputs.value,
        "attention_mask": inputs.attention_mask,
        "ranks": ranks,
        "is_causal": inputs.is_causal,
    }
    upstream = {"d_context": inputs.d_context} | arguments
    exact = exact_steps("ring_attention", arguments)
    exact |= exact_steps("ring_attention_backward", upstream)
    names = ("context", *GRADIENTS)
    return {name: exact[name].error for name in names}


def bytes_by_formula(inputs: Inputs, parts: list[RankWalk], rank: int):
    """What a rank should send, there and back, counted in bytes.

    There, all keys and values, with one byte of the mask for each text,
    but for those of the next rank. Back, these again, and the gradients
    of all.
    """
    keys, values = inputs.key, inputs.value
    of_a_token = (keys[..., 0, :].nbytes, values[..., 0, :].nbytes)
    mask = inputs.attention_mask[..., 0].size
    after = len(parts[(rank + 1) % len(parts)].positions)
    there = (inputs.tokens - after) * (sum(of_a_token) + mask)
    back = there + inputs.tokens * sum(of_a_token)
    return (there, back) if len(parts) > 1 else (0, 0)
