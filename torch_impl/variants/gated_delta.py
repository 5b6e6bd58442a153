"""Gated DeltaNet: a state that forgets, and that is corrected."""

from math import inf

import torch
from jaxtyping import Float
from torch import Tensor as Array

from ..checked import check_at_least, checked
from ..masks import causal_mask


@checked
def gated_delta_step(
    state: Float[Array, "*batch d_head d_value"],
    query: Float[Array, "*batch d_head"],
    key: Float[Array, "*batch d_head"],
    value: Float[Array, "*batch d_value"],
    log_decay: Float[Array, "*batch"],
    beta: Float[Array, "*batch"],
) -> tuple[
    Float[Array, "*batch d_value"],
    Float[Array, "*batch d_head d_value"],
]:
    decay = torch.exp(log_decay)[..., None, None]
    faded = decay * state
    recalled = (faded * key[..., :, None]).sum(dim=-2)
    missing = value - recalled
    correction = beta[..., None] * missing
    written = key[..., :, None] * correction[..., None, :]
    new_state = faded + written
    output = (new_state * query[..., :, None]).sum(dim=-2)
    return output, new_state


@checked
def recurrent_gated_delta(
    query: Float[Array, "*batch position d_head"],
    key: Float[Array, "*batch position d_head"],
    value: Float[Array, "*batch position d_value"],
    log_decay: Float[Array, "*batch position"],
    beta: Float[Array, "*batch position"],
    state: Float[Array, "*batch d_head d_value"],
) -> tuple[
    Float[Array, "*batch position d_value"],
    Float[Array, "*batch d_head d_value"],
]:
    outputs = []
    for position in range(query.shape[-2]):
        output, state = gated_delta_step(
            state,
            query[..., position, :],
            key[..., position, :],
            value[..., position, :],
            log_decay[..., position],
            beta[..., position],
        )
        outputs.append(output)
    context = torch.stack(outputs, dim=-2)
    new_state = state
    return context, new_state


@checked
def decay_ratios(
    log_decay: Float[Array, "*batch position"],
) -> Float[Array, "*batch position position"]:
    log_total = torch.cumsum(log_decay, dim=-1)
    log_ratio = log_total[..., :, None] - log_total[..., None, :]
    causal = causal_mask(log_decay.shape[-1], log_decay.shape[-1])
    allowed = log_ratio.masked_fill(~causal.to(log_ratio.device), -inf)
    ratios = torch.exp(allowed)
    return ratios


@checked
def forward_substitution(
    lower: Float[Array, "*batch row row"],
    right: Float[Array, "*batch row column"],
) -> Float[Array, "*batch row column"]:
    solution = torch.linalg.solve_triangular(
        lower, right, upper=False, unitriangular=True
    )
    return solution


@checked
def gated_delta_chunk(
    state: Float[Array, "*batch d_head d_value"],
    query: Float[Array, "*batch position d_head"],
    key: Float[Array, "*batch position d_head"],
    value: Float[Array, "*batch position d_value"],
    log_decay: Float[Array, "*batch position"],
    beta: Float[Array, "*batch position"],
) -> tuple[
    Float[Array, "*batch position d_value"],
    Float[Array, "*batch d_head d_value"],
]:
    row_beta = beta[..., :, None]
    ratios = decay_ratios(log_decay)
    left_of_state = torch.exp(torch.cumsum(log_decay, dim=-1))[..., :, None]
    lower = row_beta * ratios * (key @ key.transpose(-2, -1))
    new_values = forward_substitution(lower, row_beta * value)
    recall = forward_substitution(lower, row_beta * left_of_state * key)
    corrections = new_values - recall @ state
    earlier = (left_of_state * query) @ state
    weights = ratios * (query @ key.transpose(-2, -1))
    output = earlier + weights @ corrections
    faded = left_of_state[..., -1:, :] * state
    left_of_key = ratios[..., -1, :, None] * key
    new_state = faded + left_of_key.transpose(-2, -1) @ corrections
    return output, new_state


@checked
def chunkwise_gated_delta(
    query: Float[Array, "*batch position d_head"],
    key: Float[Array, "*batch position d_head"],
    value: Float[Array, "*batch position d_value"],
    log_decay: Float[Array, "*batch position"],
    beta: Float[Array, "*batch position"],
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
        output, state = gated_delta_chunk(
            state,
            query[..., rows, :],
            key[..., rows, :],
            value[..., rows, :],
            log_decay[..., rows],
            beta[..., rows],
        )
        outputs.append(output)
    context = torch.cat(outputs, dim=-2)
    new_state = state
    return context, new_state
