"""The fused attention gets a dropout rate at evaluation, too.

Origin: huggingface/pytorch-image-models pull request 1978, "a recurring bug
I see around", and wenet-e2e/wenet issue 2699.

Cause: dropout left on at evaluation
"""

from torch import nn


class CausalSelfAttention(nn.Module):
    """GPT's attention: query, key and value from one linear layer.

    `config` has n_embd, n_head, block_size, dropout and bias.
    """

    def __init__(self, config):
        super().__init__()
        self.n_head = config.n_head
        self.n_embd = config.n_embd
        self.c_attn = nn.Linear(
            config.n_embd, 3 * config.n_embd, bias=config.bias
        )
        self.c_proj = nn.Linear(
            config.n_embd, config.n_embd, bias=config.bias
        )
        self.dropout = config.dropout
        self.resid_dropout = nn.Dropout(config.dropout)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = self.c_attn(x).split(self.n_embd, dim=2)
        q = q.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        k = k.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        v = v.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)

        y = nn.functional.scaled_dot_product_attention(
            q, k, v, dropout_p=self.dropout, is_causal=True
        )
        y = y.transpose(1, 2).contiguous().view(B, T, C)
        return self.resid_dropout(self.c_proj(y))
