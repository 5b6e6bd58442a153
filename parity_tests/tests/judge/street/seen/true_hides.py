"""A mask whose True hides, as in PyTorch's own layer."""

import torch
import torch.nn.functional as F
from torch import Tensor


def attend(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor) -> Tensor:
    """
    Args:
        attn_mask: boolean, (query, key). Positions that are ``True`` are
            not allowed to attend.
    """
    logits = torch.matmul(q, k.transpose(-1, -2)).div(k.size(-1) ** 0.5)
    logits.masked_fill_(attn_mask, float("-inf"))
    return torch.matmul(F.softmax(logits, dim=-1), v)
