"""Wrong: the layer is taken, and not looked at."""

import torch


class KVCache:
    def __init__(self):
        self.kept = {}

    def update(self, k, v, layer_idx):
        """k, v: (batch, heads, tokens, d)"""
        layer = 0
        old_k, old_v = self.kept.get(layer, (k[:, :, :0], v[:, :, :0]))
        joined = torch.cat([old_k, k], dim=2), torch.cat([old_v, v], dim=2)
        self.kept[layer] = joined
        return joined
