r"""Linear attention: a state of one size, in place of all the keys.

Without the softmax a context is $\sum_j (q_i \cdot k_j) \, v_j$, and that
is $q_i^\top \sum_j k_j v_j^\top$: what earlier tokens have left is one
matrix, the state, whatever their number. So a token costs the same
wherever it stands, and there is no cache to grow.

1. Token by token the state gets one product more: for writing.
2. Chunk by chunk: within a chunk as attention does it, query by key; what
   is further back by the state. Few large products in place of many small
   ones: for training.

Both are the same sums, taken in another order.

Without a softmax weights may be negative, and need not sum to 1.
`kernel_attention` takes features of queries and keys that are positive,
and divides by what the weights sum to.

Axes: `state` is (..., d_head, d_value); the rest as in `attention`.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from ..checked import check_at_least, checked


@checked
def linear_attention_step(
    state: Float[Array, "*batch d_head d_value"],
    query: Float[Array, "*batch d_head"],
    key: Float[Array, "*batch d_head"],
    value: Float[Array, "*batch d_value"],
) -> tuple[
    Float[Array, "*batch d_value"],
    Float[Array, "*batch d_head d_value"],
]:
    r"""Linear attention for one token: write it, then ask.

    $S_i = S_{i-1} + k_i v_i^\top$, $o_i = S_i^\top q_i$
    (Katharopoulos et al. 2020, section 3.4)

    The token sees itself, since it is written first.
    """
    written = key[..., :, None] * value[..., None, :]
    new_state = state + written
    output = (new_state * query[..., :, None]).sum(axis=-2)
    return output, new_state


@checked
def recurrent_linear_attention(
    query: Float[Array, "*batch position d_head"],
    key: Float[Array, "*batch position d_head"],
    value: Float[Array, "*batch position d_value"],
    state: Float[Array, "*batch d_head d_value"],
) -> tuple[
    Float[Array, "*batch position d_value"],
    Float[Array, "*batch d_head d_value"],
]:
    r"""Linear attention token by token, and the state that is left.

    $o_i = S_0^\top q_i + \sum_{j \le i} (q_i \cdot k_j) \, v_j$
    (Katharopoulos et al. 2020, sections 3.2 and 3.4)

    `state` is what an earlier text has left, zeros without one.
    """
    outputs = []
    for position in range(query.shape[-2]):
        output, state = linear_attention_step(
            state,
            query[..., position, :],
            key[..., position, :],
            value[..., position, :],
        )
        outputs.append(output)
    context = np.stack(outputs, axis=-2)
    new_state = state
    return context, new_state


@checked
def recurrent_linear_attention_backward(
    d_context: Float[Array, "*batch position d_value"],
    query: Float[Array, "*batch position d_head"],
    key: Float[Array, "*batch position d_head"],
    value: Float[Array, "*batch position d_value"],
    state: Float[Array, "*batch d_head d_value"],
) -> tuple[
    Float[Array, "*batch position d_head"],
    Float[Array, "*batch position d_head"],
    Float[Array, "*batch position d_value"],
    Float[Array, "*batch d_head d_value"],
]:
    r"""Gradient of the context: the sums that it is, all at once.

    With $A = [\,j \le i\,] \, q_i \cdot k_j$: $O = Q S_0 + A V$, so
    $dA = [\,j \le i\,] \, dO \, V^\top$, $dQ = dO \, S_0^\top + dA \, K$,
    $dK = dA^\top Q$, $dV = A^\top dO$ and $dS_0 = Q^\top dO$

    In the paper they are cumulative sums, as the context is (section
    3.3.1).
    """
    weights = np.tril(query @ key.swapaxes(-2, -1))
    upstream = np.tril(d_context @ value.swapaxes(-2, -1))
    d_query = d_context @ state.swapaxes(-2, -1) + upstream @ key
    d_key = upstream.swapaxes(-2, -1) @ query
    d_value = weights.swapaxes(-2, -1) @ d_context
    d_state = query.swapaxes(-2, -1) @ d_context
    return d_query, d_key, d_value, d_state


@checked
def linear_attention_chunk(
    state: Float[Array, "*batch d_head d_value"],
    query: Float[Array, "*batch position d_head"],
    key: Float[Array, "*batch position d_head"],
    value: Float[Array, "*batch position d_value"],
) -> tuple[
    Float[Array, "*batch position d_value"],
    Float[Array, "*batch d_head d_value"],
]:
    r"""Linear attention for a chunk: the past by its state, then itself.

    $O = Q S + ((Q K^\top) \odot M) V$, $S' = S + K^\top V$, with the
    causal mask M (Yang et al. 2025, section 2.1)
    """
    earlier = query @ state
    weights = np.tril(query @ key.swapaxes(-2, -1))
    output = earlier + weights @ value
    new_state = state + key.swapaxes(-2, -1) @ value
    return output, new_state


@checked
def chunkwise_linear_attention(
    query: Float[Array, "*batch position d_head"],
    key: Float[Array, "*batch position d_head"],
    value: Float[Array, "*batch position d_value"],
    state: Float[Array, "*batch d_head d_value"],
    chunk: int,
) -> tuple[
    Float[Array, "*batch position d_value"],
    Float[Array, "*batch d_head d_value"],
]:
    """Linear attention chunk by chunk, and the state that is left.

    The numbers are those of `recurrent_linear_attention`. The last chunk
    may be shorter. Raises ValueError for a `chunk` below 1.
    """
    check_at_least("chunk", chunk, 1)
    outputs = []
    for start in range(0, query.shape[-2], chunk):
        rows = slice(start, start + chunk)
        output, state = linear_attention_chunk(
            state,
            query[..., rows, :],
            key[..., rows, :],
            value[..., rows, :],
        )
        outputs.append(output)
    context = np.concatenate(outputs, axis=-2)
    new_state = state
    return context, new_state


@checked
def chunkwise_linear_attention_backward(
    d_context: Float[Array, "*batch position d_value"],
    query: Float[Array, "*batch position d_head"],
    key: Float[Array, "*batch position d_head"],
    value: Float[Array, "*batch position d_value"],
    state: Float[Array, "*batch d_head d_value"],
    chunk: int,
) -> tuple[
    Float[Array, "*batch position d_head"],
    Float[Array, "*batch position d_head"],
    Float[Array, "*batch position d_value"],
    Float[Array, "*batch d_head d_value"],
]:
    """Gradient: that of the same sums, whatever the chunks."""
    check_at_least("chunk", chunk, 1)
    d_query, d_key, d_value, d_state = recurrent_linear_attention_backward(
        d_context, query, key, value, state
    )
    return d_query, d_key, d_value, d_state


@checked
def elu_plus_one(
    x: Float[Array, "*batch d_head"],
) -> Float[Array, "*batch d_head"]:
    r"""Feature map: ELU plus one, which is positive everywhere.

    $\phi(x) = \operatorname{elu}(x) + 1 = e^{\min(x, 0)} + \max(x, 0)$
    (Katharopoulos et al. 2020, section 3.2.1)

    Below 0 it is $e^x$, and computed as that. As $(e^x - 1) + 1$ it would
    be 0 in float32 below -17.4, and a sum to divide by might be 0, too.
    """
    slope = np.exp(np.minimum(x, 0))
    features = slope + np.maximum(x, 0)
    return features


@checked
def elu_plus_one_backward(
    d_features: Float[Array, "*batch d_head"],
    x: Float[Array, "*batch d_head"],
) -> Float[Array, "*batch d_head"]:
    r"""Gradient of the feature map: $e^x$ below 0, and 1 above.

    $\phi'(x) = e^{\min(x, 0)}$
    """
    slope = np.exp(np.minimum(x, 0))
    d_x = d_features * slope
    return d_x


@checked
def kernel_attention(
    query: Float[Array, "*batch position d_head"],
    key: Float[Array, "*batch position d_head"],
    value: Float[Array, "*batch position d_value"],
    state: Float[Array, "*batch d_head d_value"],
    normaliser: Float[Array, "*batch d_head"],
) -> tuple[
    Float[Array, "*batch position d_value"],
    Float[Array, "*batch d_head d_value"],
    Float[Array, "*batch d_head"],
]:
    r"""Linear attention with a feature map, its weights summing to 1.

    $o_i = \phi(q_i)^\top S_i / \phi(q_i)^\top z_i$, $S_i = S_{i-1} +
    \phi(k_i) v_i^\top$, $z_i = z_{i-1} + \phi(k_i)$ (Katharopoulos et al.
    2020, equations 16 to 20)

    The normaliser z is the state of one more value, which is 1 for every
    token, and not negative.
    """
    query_features = elu_plus_one(query)
    key_features = elu_plus_one(key)
    ones = np.ones_like(value[..., :1])
    value_and_one = np.concatenate([value, ones], axis=-1)
    both_states = np.concatenate([state, normaliser[..., None]], axis=-1)
    sums, left = recurrent_linear_attention(
        query_features, key_features, value_and_one, both_states
    )
    weighted, total = sums[..., :-1], sums[..., -1:]
    context = weighted / total
    new_state, new_normaliser = left[..., :-1], left[..., -1]
    return context, new_state, new_normaliser


@checked
def kernel_attention_backward(
    d_context: Float[Array, "*batch position d_value"],
    query: Float[Array, "*batch position d_head"],
    key: Float[Array, "*batch position d_head"],
    value: Float[Array, "*batch position d_value"],
    state: Float[Array, "*batch d_head d_value"],
    normaliser: Float[Array, "*batch d_head"],
) -> tuple[
    Float[Array, "*batch position d_head"],
    Float[Array, "*batch position d_head"],
    Float[Array, "*batch position d_value"],
    Float[Array, "*batch d_head d_value"],
    Float[Array, "*batch d_head"],
]:
    r"""Gradient: of the quotient, then of both sums at once.

    With $O = W / T$: $dW = dO / T$, $dT = -\sum dW \odot O$
    """
    query_features = elu_plus_one(query)
    key_features = elu_plus_one(key)
    ones = np.ones_like(value[..., :1])
    value_and_one = np.concatenate([value, ones], axis=-1)
    both_states = np.concatenate([state, normaliser[..., None]], axis=-1)
    sums, _ = recurrent_linear_attention(
        query_features, key_features, value_and_one, both_states
    )
    weighted, total = sums[..., :-1], sums[..., -1:]
    context = weighted / total
    d_weighted = d_context / total
    d_total = -(d_weighted * context).sum(axis=-1, keepdims=True)
    d_sums = np.concatenate([d_weighted, d_total], axis=-1)
    d_query_features, d_key_features, d_value_and_one, d_both_states = (
        recurrent_linear_attention_backward(
            d_sums,
            query_features,
            key_features,
            value_and_one,
            both_states,
        )
    )
    d_query = elu_plus_one_backward(d_query_features, query)
    d_key = elu_plus_one_backward(d_key_features, key)
    d_value = d_value_and_one[..., :-1]
    d_state = d_both_states[..., :-1]
    d_normaliser = d_both_states[..., -1]
    return d_query, d_key, d_value, d_state, d_normaliser


@checked
def chunkwise_kernel_attention(
    query: Float[Array, "*batch position d_head"],
    key: Float[Array, "*batch position d_head"],
    value: Float[Array, "*batch position d_value"],
    state: Float[Array, "*batch d_head d_value"],
    normaliser: Float[Array, "*batch d_head"],
    chunk: int,
) -> tuple[
    Float[Array, "*batch position d_value"],
    Float[Array, "*batch d_head d_value"],
    Float[Array, "*batch d_head"],
]:
    """Linear attention with a feature map, chunk by chunk.

    The numbers are those of `kernel_attention`. Raises ValueError for a
    `chunk` below 1.
    """
    query_features = elu_plus_one(query)
    key_features = elu_plus_one(key)
    ones = np.ones_like(value[..., :1])
    value_and_one = np.concatenate([value, ones], axis=-1)
    both_states = np.concatenate([state, normaliser[..., None]], axis=-1)
    sums, left = chunkwise_linear_attention(
        query_features, key_features, value_and_one, both_states, chunk
    )
    weighted, total = sums[..., :-1], sums[..., -1:]
    context = weighted / total
    new_state, new_normaliser = left[..., :-1], left[..., -1]
    return context, new_state, new_normaliser
