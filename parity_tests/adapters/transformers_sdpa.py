"""transformers' `sdpa_attention_forward`, around PyTorch's function.

It takes a batch of heads, and a mask that is causal already: beside one,
and for a single query, `is_causal` is dropped, so that the judge rejects
it. `pip install transformers torch`
"""

from types import SimpleNamespace

import torch
from transformers.integrations.sdpa_attention import (
    sdpa_attention_forward,
)


def scaled_dot_product_attention(
    query: torch.Tensor,
    key,
    value,
    attention_mask=None,
    is_causal=False,
    scaling=None,
):
    groups = query.shape[1] // key.shape[1]
    context, _ = sdpa_attention_forward(
        SimpleNamespace(num_key_value_groups=groups),
        query,
        key,
        value,
        attention_mask,
        scaling=scaling,
        is_causal=is_causal,
    )
    return context.transpose(1, 2)
