"""Wrong: the activation is on what should be gated."""

from torch import nn


class LlamaMLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)
        self.act_fn = nn.SiLU()

    def forward(self, x):
        opened = self.act_fn(self.up_proj(x))
        return self.down_proj(opened * self.gate_proj(x))
