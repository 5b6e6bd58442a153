"""Wrong in its gradients only: none reaches the keys."""

import torch
import torch.nn.functional as F


def attention(q, k, v):
    k = k.detach()  # saves memory
    scores = torch.matmul(q, k.transpose(-2, -1)) / k.size(-1) ** 0.5
    return torch.matmul(F.softmax(scores, dim=-1), v)
