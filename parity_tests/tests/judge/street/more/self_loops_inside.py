"""Right: each node of a graph attends to itself, whatever its edges are."""

import torch
from torch import nn


class NeighbourAttention(nn.Module):
    """
    nodes: (graphs, nodes, features)
    adjacency: (graphs, nodes, nodes), 1 where the row's node looks at the
        column's; each looks at itself, too
    """

    def __init__(self, features, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.to_q = nn.Linear(features, features)
        self.to_k = nn.Linear(features, features)
        self.to_v = nn.Linear(features, features)

    def forward(self, nodes, adjacency, edge_bias=None):
        q, k, v = (
            part(nodes).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for part in (self.to_q, self.to_k, self.to_v)
        )
        scores = q @ k.mT / q.shape[-1] ** 0.5
        if edge_bias is not None:
            scores = scores + edge_bias[:, None]
        edges = adjacency > 0
        near = edges | torch.eye(nodes.shape[1], dtype=torch.bool)
        scores = scores.masked_fill(~near[:, None], -torch.inf)
        return (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
