"""A script: a small attention learns to copy, as soon as it is run."""

import torch
from torch import nn


class Reverser(nn.Module):
    def __init__(self, dim=12):
        super().__init__()
        self.linear_q = nn.Linear(dim, dim)
        self.linear_k = nn.Linear(dim, dim)
        self.linear_v = nn.Linear(dim, dim)

    def forward(self, x):
        q, k, v = self.linear_q(x), self.linear_k(x), self.linear_v(x)
        attn = torch.softmax(q @ k.transpose(1, 2) / q.shape[-1] ** 0.5, -1)
        return attn @ v


torch.manual_seed(1)
model = Reverser()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for step in range(20):
    batch = torch.randn(4, 6, 12)
    loss = nn.functional.mse_loss(model(batch), batch)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 0:
        print(f"step {step}: {loss.item():.3f}")
