"""transformers' `eager_attention_forward`, that of Llama.

It takes a batch of heads, and a mask that is added; a model makes that
mask causal before. `pip install transformers torch`
"""

from types import SimpleNamespace

import torch
from transformers.models.llama.modeling_llama import (
    eager_attention_forward,
)


def scaled_dot_product_attention(
    query: torch.Tensor, key, value, attention_mask=None, scaling=None
):
    groups = query.shape[1] // key.shape[1]
    layer = SimpleNamespace(num_key_value_groups=groups, training=False)
    context, _ = eager_attention_forward(
        layer,
        query,
        key,
        value,
        attention_mask,
        query.shape[-1] ** -0.5 if scaling is None else scaling,
    )
    return context.transpose(1, 2)


def without_scale(query, key, value):
    layer = SimpleNamespace(num_key_value_groups=1, training=False)
    return eager_attention_forward(layer, query, key, value, None)[0]
