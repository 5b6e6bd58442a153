"""What one rank does: its part of the way there and back, recorded."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy import ndarray as Array
from torch import Tensor

from parity_tests.twins.recording import Call, record
from parity_tests.twins.replaying import to_numpy
from torch_impl.fast.ring_of_ranks import Ring, ring_attention_of_rank


@dataclass(frozen=True)
class Inputs:
    """A text's queries, keys and values, and its context's gradient."""

    query: Array
    key: Array
    value: Array
    attention_mask: Array
    d_context: Array
    is_causal: bool

    @property
    def tokens(self) -> int:
        return self.query.shape[-2]


@dataclass(frozen=True)
class RankWalk:
    """What a rank sends home: its rows, its traffic, and its record."""

    positions: Array
    rows: dict[str, Array]  # of the context, and of each gradient
    sent_there: int  # bytes
    sent_back: int
    calls: list[Call]


def walk_rank(inputs: Inputs) -> RankWalk:
    """Take a rank's part of the text there and back.

    Called in a process of a group; each of the others must call it, too.
    """
    ring = Ring()
    positions = ring.positions(inputs.tokens, rounds=0).numpy()
    arrays = (inputs.query, inputs.key, inputs.value)
    parts = [
        torch.tensor(array[..., positions, :], requires_grad=True)
        for array in arrays
    ]
    mask = torch.tensor(inputs.attention_mask[..., positions])
    d_context = torch.tensor(inputs.d_context[..., positions, :])

    def there_and_back() -> tuple[Tensor, int]:
        context = ring_attention_of_rank(
            *(*parts, mask, inputs.tokens, inputs.is_causal, ring)
        )
        sent = ring.sent_bytes
        context.backward(d_context)
        return context, sent

    (context, sent), calls = record(there_and_back)
    gradients = [part.grad for part in parts]
    names = ("context", "d_query", "d_key", "d_value")
    rows = dict(zip(names, to_numpy([context, *gradients]), strict=True))
    back = ring.sent_bytes - sent
    return RankWalk(positions, rows, sent, back, [*map(packed, calls)])


def packed(call: Call) -> Call:
    """A call to send home: without gradients, in NumPy's arrays."""
    return Call(
        *(call.path, call.name, None),
        *(to_numpy(call.arguments), to_numpy(call.steps)),
    )


def random_inputs(
    tokens: int, seed: int, heads: int = 2, d_head: int = 4
) -> Inputs:
    """A causal text of random numbers, in float64."""
    rng = np.random.default_rng(seed)
    query, key, value, d_context = rng.normal(
        size=(4, heads, tokens, d_head)
    )
    mask = np.ones((1, tokens), bool)
    return Inputs(query, key, value, mask, d_context, True)
