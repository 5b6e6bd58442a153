"""x-transformers' `Attend`, with PyTorch's fused attention inside.

It takes a batch of heads. `pip install x-transformers torch packaging`
"""

import torch
from x_transformers.attend import Attend


def scaled_dot_product_attention(
    query, key, value, mask=None, is_causal=False
):
    if mask is not None:
        mask = torch.broadcast_to(mask, (*query.shape[:-1], key.shape[-2]))
    attend = Attend(flash=True, causal=is_causal)
    return attend(query, key, value, mask=mask)[0]
