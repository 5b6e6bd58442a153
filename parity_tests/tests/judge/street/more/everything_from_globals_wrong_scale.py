"""Wrong: the scale is that of the whole width; all sizes are the file's,
residual and norm are inside."""

from torch import nn

model_dim, n_heads = 64, 4
d_k = model_dim // n_heads


class MultiHeadAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.to_q = nn.Linear(model_dim, n_heads * d_k, bias=False)
        self.to_k = nn.Linear(model_dim, n_heads * d_k, bias=False)
        self.to_v = nn.Linear(model_dim, n_heads * d_k, bias=False)
        self.fc = nn.Linear(n_heads * d_k, model_dim, bias=False)
        self.layer_norm = nn.LayerNorm(model_dim)

    def heads(self, x):
        return x.unflatten(-1, (n_heads, d_k)).transpose(1, 2)

    def forward(self, Q, K, V, attn_mask):
        q, k, v = map(
            self.heads, (self.to_q(Q), self.to_k(K), self.to_v(V))
        )
        scores = q @ k.mT / model_dim**0.5
        scores = scores.masked_fill(attn_mask.unsqueeze(1), -1e9)
        context = (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
        return self.layer_norm(self.fc(context) + Q)
