"""Right: three layers with numbers for names, sizes from a dict."""

from torch import nn
from torch.nn.functional import silu


class FeedForward(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        width, inner = cfg["emb_dim"], cfg["hidden_dim"]
        self.fc1 = nn.Linear(width, inner, dtype=cfg["dtype"], bias=False)
        self.fc2 = nn.Linear(width, inner, dtype=cfg["dtype"], bias=False)
        self.fc3 = nn.Linear(inner, width, dtype=cfg["dtype"], bias=False)

    def forward(self, x):
        return self.fc3(silu(self.fc1(x)) * self.fc2(x))
