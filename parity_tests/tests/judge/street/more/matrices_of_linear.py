"""A layer as a function: F.linear takes matrices of (out, in)."""

import torch
import torch.nn.functional as F


def multi_head_attention(x, W_kv, b_kv, W_q, b_q, W_o, b_o, *, n_head):
    """x [batch, time, model]"""
    batch, time, _ = x.shape
    k, v = F.linear(x, W_kv, b_kv).tensor_split(2, dim=2)
    q = F.linear(x, W_q, b_q)
    q, k, v = (
        part.reshape(batch, time, n_head, -1).movedim(2, 1)
        for part in (q, k, v)
    )
    logits = torch.einsum("bhid,bhjd->bhij", q, k) * k.shape[3] ** -0.5
    context = torch.einsum("bhij,bhjd->bihd", logits.softmax(3), v)
    return F.linear(context.flatten(2), W_o, b_o)
