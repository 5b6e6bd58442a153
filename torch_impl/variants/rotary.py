"""Rotary position embedding, RoPE: a position is an angle."""

import torch
from jaxtyping import Float
from torch import Tensor as Array

from ..checked import check_at_least, check_even, check_positive, checked


@checked
def rotary_tables(
    positions: Float[Array, " position"],
    d_head: int,
    base: float,
) -> tuple[Float[Array, "position pair"], Float[Array, "position pair"]]:
    check_at_least("d_head", d_head, 1)
    check_even("d_head", d_head)
    check_positive("base", base)
    pair = torch.arange(d_head // 2, device=positions.device)
    frequency = base ** (-2 * pair.double() / d_head)
    angle = positions.double()[:, None] * frequency
    cosine = torch.cos(angle).to(positions.dtype)
    sine = torch.sin(angle).to(positions.dtype)
    return cosine, sine


@checked
def rotary_halves(
    x: Float[Array, "*batch position d_head"],
    cosine: Float[Array, "position pair"],
    sine: Float[Array, "position pair"],
) -> Float[Array, "*batch position d_head"]:
    check_even("d_head", x.shape[-1])
    first, second = x.chunk(2, dim=-1)
    turned_first = first * cosine - second * sine
    turned_second = second * cosine + first * sine
    turned = torch.cat([turned_first, turned_second], dim=-1)
    return turned


@checked
def rotary_neighbours(
    x: Float[Array, "*batch position d_head"],
    cosine: Float[Array, "position pair"],
    sine: Float[Array, "position pair"],
) -> Float[Array, "*batch position d_head"]:
    check_even("d_head", x.shape[-1])
    first, second = x[..., ::2], x[..., 1::2]
    turned_first = first * cosine - second * sine
    turned_second = second * cosine + first * sine
    pairs = torch.stack([turned_first, turned_second], dim=-1)
    turned = pairs.flatten(-2)
    return turned


@checked
def neighbours_to_halves(
    x: Float[Array, "*batch d_head"],
) -> Float[Array, "*batch d_head"]:
    check_even("d_head", x.shape[-1])
    reordered = torch.cat([x[..., ::2], x[..., 1::2]], dim=-1)
    return reordered
