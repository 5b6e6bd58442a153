"""Wrong: everything is computed in float16, whatever came in."""

import torch


def attention(q, k, v):
    dtype = q.dtype
    q, k, v = q.half(), k.half(), v.half()
    scores = torch.matmul(q, k.transpose(-2, -1)) * q.size(-1) ** -0.5
    return torch.matmul(scores.softmax(dim=-1), v).to(dtype)
