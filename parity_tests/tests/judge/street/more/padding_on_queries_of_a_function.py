"""Wrong: of two masks of a function, the one of padding hides queries."""

import torch


def attention(query, key, value, pad_mask=None, seq_mask=None):
    """
    query, key, value: (batch, heads, tokens, d_k)
    pad_mask: (batch, keys), 1 is a real token and 0 is padding
    seq_mask: (1, queries, keys), 1 may be seen
    """
    scores = query @ key.mT / query.size(-1) ** 0.5
    if pad_mask is not None:
        hidden = pad_mask[:, None, :, None] == 0
        scores = scores.masked_fill(hidden, -1e9)
    if seq_mask is not None:
        scores = scores.masked_fill(seq_mask[:, None] == 0, -1e9)
    return torch.softmax(scores, dim=-1) @ value
