"""Right: a table of its own, whose base only the main program gives."""

from types import SimpleNamespace

import torch
from torch import nn


class Angles(nn.Module):
    def __init__(self, width, base):
        super().__init__()
        self.rates = base ** -(torch.arange(0, width, 2).double() / width)

    def forward(self, x):
        places = torch.arange(x.shape[-2], dtype=torch.double)
        angles = torch.outer(places, self.rates)
        twice = torch.cat([angles, angles], dim=-1)
        return twice.cos().to(x.dtype), twice.sin().to(x.dtype)


def across(x):
    a, b = x.chunk(2, dim=-1)
    return torch.cat([-b, a], dim=-1)


class TurningAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.heads = config.num_attention_heads
        width = config.hidden_size
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)
        self.angles = Angles(width // self.heads, config.angle_base)

    def forward(self, x):
        q, k, v = (
            part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.q_proj, self.k_proj, self.v_proj)
        )
        cos, sin = self.angles(x)
        q = q * cos + across(q) * sin
        k = k * cos + across(k) * sin
        weights = (q @ k.mT / q.shape[-1] ** 0.5).softmax(dim=-1)
        return self.o_proj((weights @ v).transpose(1, 2).flatten(2))


if __name__ == "__main__":
    config = SimpleNamespace(
        hidden_size=64, num_attention_heads=4, angle_base=10_000.0
    )
    print(TurningAttention(config)(torch.randn(2, 9, 64)).shape)
