"""Online softmax: keys in chunks, logarithms of sums merged."""

import torch


def chunked_attention(q, k, v, chunk_size=8):
    """q (..., n, d), k (..., m, d), v (..., m, e), in chunks of keys"""
    q = q * q.shape[-1] ** -0.5
    out, lse = None, None
    pairs = zip(
        k.split(chunk_size, dim=-2),
        v.split(chunk_size, dim=-2),
        strict=True,
    )
    for k_chunk, v_chunk in pairs:
        s = q @ k_chunk.transpose(-2, -1)
        chunk_lse = s.logsumexp(dim=-1, keepdim=True)
        chunk_out = torch.exp(s - chunk_lse) @ v_chunk
        if out is None:
            out, lse = chunk_out, chunk_lse
            continue
        total = torch.logaddexp(lse, chunk_lse)
        out = (
            out * (lse - total).exp()
            + chunk_out * (chunk_lse - total).exp()
        )
        lse = total
    return out
