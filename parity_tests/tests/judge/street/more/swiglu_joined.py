"""Right: one layer for the gate and what is gated, in a width of its
own."""

from torch import nn
from torch.nn.functional import silu


class SwiGLU(nn.Module):
    def __init__(self, dim, multiple_of=4):
        super().__init__()
        inner = multiple_of * -(-8 * dim // (3 * multiple_of))
        self.w12 = nn.Linear(dim, 2 * inner, bias=False)
        self.w3 = nn.Linear(inner, dim, bias=False)

    def forward(self, x):
        gate, up = self.w12(x).chunk(2, dim=-1)
        return self.w3(silu(gate) * up)
