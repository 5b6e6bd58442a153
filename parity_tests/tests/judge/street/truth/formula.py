"""The formula, in float64: PyTorch's own attention, head by head."""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


def uniform(*shape: int) -> Tensor:
    """Numbers from -2 to 2, in float64."""
    return 4 * torch.rand(shape, dtype=torch.float64) - 2


def some(*shape: int) -> Tensor:
    """A boolean mask, True in most places and in each row's first."""
    mask = torch.rand(*shape) > 0.3
    mask[..., 0] = True
    return mask


def past(queries: int, keys: int) -> Tensor:
    """True up to the query; the last query stands at the last key."""
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)


def dot_product(
    q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None = None
) -> Tensor:
    return scaled_dot_product_attention(q, k, v, attn_mask=seen)


def multi_head(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    heads: int,
    seen: Tensor | None = None,
) -> Tensor:
    """Heads side by side, of projected queries, keys and values.

    Where the keys have fewer heads, neighbouring queries share one.
    """
    queries = q.chunk(heads, dim=-1)
    keys = k.split(queries[0].shape[-1], dim=-1)
    values = v.chunk(len(keys), dim=-1)
    share = heads // len(keys)
    contexts = [
        dot_product(query, keys[head // share], values[head // share], seen)
        for head, query in enumerate(queries)
    ]
    return torch.cat(contexts, dim=-1)


def built(layer: nn.Module) -> nn.Module:
    """The layer at evaluation, with weights that show every mistake."""
    layer = layer.double().eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(uniform(*parameter.shape) / 2)
    return layer
