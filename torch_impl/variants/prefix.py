"""Prefix mask: a text's beginning is seen whole, and the rest in order."""

from jaxtyping import Bool, Int
from torch import Tensor as Array

from ..checked import check_at_least, checked
from ..masks import causal_mask, padding_mask


@checked
def prefix_mask(
    lengths: Int[Array, " batch"],
    keys: int,
) -> Bool[Array, "batch key key"]:
    check_at_least("keys", keys, 0)
    causal = causal_mask(keys, keys).to(lengths.device)
    in_prefix = padding_mask(lengths, keys)
    mask = causal | in_prefix
    return mask
