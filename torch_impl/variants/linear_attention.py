"""Linear attention: a state of one size, in place of all the keys."""

import torch
from jaxtyping import Float
from torch import Tensor as Array

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
    written = key[..., :, None] * value[..., None, :]
    new_state = state + written
    output = (new_state * query[..., :, None]).sum(dim=-2)
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
    outputs = []
    for position in range(query.shape[-2]):
        output, state = linear_attention_step(
            state,
            query[..., position, :],
            key[..., position, :],
            value[..., position, :],
        )
        outputs.append(output)
    context = torch.stack(outputs, dim=-2)
    new_state = state
    return context, new_state


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
    earlier = query @ state
    weights = torch.tril(query @ key.transpose(-2, -1))
    output = earlier + weights @ value
    new_state = state + key.transpose(-2, -1) @ value
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
    context = torch.cat(outputs, dim=-2)
    new_state = state
    return context, new_state


@checked
def elu_plus_one(
    x: Float[Array, "*batch d_head"],
) -> Float[Array, "*batch d_head"]:
    slope = torch.exp(x.clamp(max=0))
    features = slope + torch.relu(x)
    return features


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
    query_features = elu_plus_one(query)
    key_features = elu_plus_one(key)
    ones = torch.ones_like(value[..., :1])
    value_and_one = torch.cat([value, ones], dim=-1)
    both_states = torch.cat([state, normaliser[..., None]], dim=-1)
    sums, left = recurrent_linear_attention(
        query_features, key_features, value_and_one, both_states
    )
    weighted, total = sums[..., :-1], sums[..., -1:]
    context = weighted / total
    new_state, new_normaliser = left[..., :-1], left[..., -1]
    return context, new_state, new_normaliser


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
    query_features = elu_plus_one(query)
    key_features = elu_plus_one(key)
    ones = torch.ones_like(value[..., :1])
    value_and_one = torch.cat([value, ones], dim=-1)
    both_states = torch.cat([state, normaliser[..., None]], dim=-1)
    sums, left = chunkwise_linear_attention(
        query_features, key_features, value_and_one, both_states, chunk
    )
    weighted, total = sums[..., :-1], sums[..., -1:]
    context = weighted / total
    new_state, new_normaliser = left[..., :-1], left[..., -1]
    return context, new_state, new_normaliser
