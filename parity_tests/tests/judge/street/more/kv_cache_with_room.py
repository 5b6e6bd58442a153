"""Right: room for all tokens, written from a position on."""

import numpy as np


class KVCache:
    def __init__(self, max_batch_size, max_seq_len, n_kv_heads, head_dim):
        shape = (max_batch_size, max_seq_len, n_kv_heads, head_dim)
        self.k, self.v = np.zeros((2, *shape), dtype=np.float32)

    def update(self, xk, xv, start_pos):
        """xk, xv: (batch, tokens, heads, head_dim)"""
        batch, tokens = xk.shape[:2]
        end = start_pos + tokens
        self.k[:batch, start_pos:end] = xk
        self.v[:batch, start_pos:end] = xv
        return self.k[:batch, :end].copy(), self.v[:batch, :end].copy()
