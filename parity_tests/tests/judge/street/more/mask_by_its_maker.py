"""Right: the docs name what makes the mask, which is True at padding."""

from torch import nn


def mask_from_ids(ids, pad=0):
    """True where a token is padding; one axis more for heads, one for
    queries: (texts, 1, 1, tokens)."""
    return (ids == pad)[:, None, None]


class MultiHeadAttention(nn.Module):
    """The mask comes from `mask_from_ids`: padding gets no weight."""

    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.w_q = nn.Linear(d_model, d_model)
        self.w_k = nn.Linear(d_model, d_model)
        self.w_v = nn.Linear(d_model, d_model)
        self.w_o = nn.Linear(d_model, d_model)

    def forward(self, query, key, value, mask=None):
        q, k, v = (
            part(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for part, x in (
                (self.w_q, query),
                (self.w_k, key),
                (self.w_v, value),
            )
        )
        scores = q @ k.mT / q.shape[-1] ** 0.5
        if mask is not None:
            scores = scores.masked_fill(mask != 0, -1e9)
        context = scores.softmax(dim=-1) @ v
        return self.w_o(context.transpose(1, 2).flatten(2))
