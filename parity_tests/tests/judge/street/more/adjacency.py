"""Right: nodes of graphs attend along edges, and to themselves; heads are
left apart, for what comes after."""

import torch
from torch import nn


class GraphAttentionHeads(nn.Module):
    """
    nodes: (graphs, nodes, in_dim)
    adj: (graphs, nodes, nodes), with self-loops added
    """

    def __init__(self, in_dim, out_dim, num_heads):
        super().__init__()
        self.num_heads, self.out_dim = num_heads, out_dim
        self.query = nn.Linear(in_dim, num_heads * out_dim)
        self.key = nn.Linear(in_dim, num_heads * out_dim)
        self.value = nn.Linear(in_dim, num_heads * out_dim)

    def forward(self, nodes, adj):
        shape = (*nodes.shape[:2], self.num_heads, self.out_dim)
        q = self.query(nodes).view(shape)
        k = self.key(nodes).view(shape)
        v = self.value(nodes).view(shape)
        scores = torch.einsum("bihd,bjhd->bhij", q, k) / self.out_dim**0.5
        scores = scores.masked_fill(adj[:, None] == 0, -torch.inf)
        weights = torch.softmax(scores, dim=-1)
        return torch.einsum("bhij,bjhd->bihd", weights, v)
