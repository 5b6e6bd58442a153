"""Packed documents: several short texts in one row, which do not mix."""

from jaxtyping import Bool, Int
from torch import Tensor as Array

from ..checked import checked
from ..masks import causal_mask


@checked
def packed_mask(
    documents: Int[Array, "*batch position"],
) -> Bool[Array, "*batch position position"]:
    positions = documents.shape[-1]
    causal = causal_mask(positions, positions).to(documents.device)
    same = documents[..., :, None] == documents[..., None, :]
    mask = causal & same
    return mask


@checked
def packed_positions(
    documents: Int[Array, "*batch position"],
) -> Int[Array, "*batch position"]:
    mask = packed_mask(documents)
    positions = mask.sum(dim=-1) - 1
    return positions
