"""Wrong in its gradients only: the backward by hand lacks the scale."""

import torch


class Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, k, v):
        p = torch.softmax(q @ k.mT / q.size(-1) ** 0.5, dim=-1)
        ctx.save_for_backward(q, k, v, p)
        return p @ v

    @staticmethod
    def backward(ctx, grad):
        q, k, v, p = ctx.saved_tensors
        dp = grad @ v.mT
        ds = p * (dp - (dp * p).sum(dim=-1, keepdim=True))
        return ds @ k, ds.mT @ q, p.mT @ grad


def attention(q, k, v):
    return Attention.apply(q, k, v)
