"""The softmax is taken in float32, whatever came in, as LLaMA has it."""

import torch
from torch.nn import functional


def eager_attention(query, key, value, attention_mask=None):
    """`attention_mask` is True where a query may attend to a key."""
    scores = torch.matmul(query, key.mT) * query.shape[-1] ** -0.5
    if attention_mask is not None:
        scores = torch.where(attention_mask, scores, -torch.inf)
    weights = functional.softmax(scores, dim=-1, dtype=torch.float32)
    return torch.matmul(weights.type_as(query), value)
