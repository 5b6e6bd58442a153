"""Embeddings: from token ids to vectors that know their position."""

from math import log

import torch
from jaxtyping import Float, Int
from torch import Tensor as Array
from torch import nn

from .checked import check_at_least, check_indices, checked


class TokenEmbedding(nn.Embedding):
    """Token embedding: `nn.Embedding`, its look-up spelled out."""

    weight: Float[Array, "vocabulary d_model"]

    def __init__(self, vocabulary: int, d_model: int):
        super().__init__(vocabulary, d_model)

    @checked
    def forward(
        self,
        ids: Int[Array, "*batch position"],
    ) -> Float[Array, "*batch position d_model"]:
        check_indices("ids", ids, len(self.weight))
        embedded = self.weight[ids]
        return embedded


class OneHotEmbedding(TokenEmbedding):
    @checked
    def forward(
        self,
        ids: Int[Array, "*batch position"],
    ) -> Float[Array, "*batch position d_model"]:
        check_indices("ids", ids, len(self.weight))
        known = torch.arange(len(self.weight), device=ids.device)
        one_hot = (ids[..., None] == known).to(self.weight.dtype)
        embedded = one_hot @ self.weight
        return embedded


class PositionEmbedding(nn.Embedding):
    """Position embedding: `nn.Embedding`, for positions, not tokens."""

    weight: Float[Array, "positions d_model"]

    def __init__(self, positions: int, d_model: int):
        super().__init__(positions, d_model)

    @checked
    def forward(
        self,
        positions: Int[Array, "*batch position"],
    ) -> Float[Array, "*batch position d_model"]:
        check_indices("positions", positions, len(self.weight))
        embedded = self.weight[positions]
        return embedded


@checked
def sinusoidal_positions(
    positions: Float[Array, " position"],
    d_model: int,
) -> Float[Array, "position d_model"]:
    check_at_least("d_model", d_model, 1)
    feature = torch.arange(d_model).to(positions)
    pair_start = feature - feature % 2
    frequency = torch.exp(-log(10000) / d_model * pair_start)
    angle = positions[:, None] * frequency
    encoded = torch.where(
        feature % 2 == 0, torch.sin(angle), torch.cos(angle)
    )
    return encoded


class InputEmbedding(nn.Module):
    token: TokenEmbedding
    position: PositionEmbedding

    def __init__(self, vocabulary: int, positions: int, d_model: int):
        super().__init__()
        self.token = TokenEmbedding(vocabulary, d_model)
        self.position = PositionEmbedding(positions, d_model)

    @checked
    def forward(
        self,
        ids: Int[Array, "*batch position"],
    ) -> Float[Array, "*batch position d_model"]:
        token_embeddings = self.token(ids)
        positions = torch.arange(ids.shape[-1], device=ids.device)
        position_embeddings = self.position(positions)
        x = token_embeddings + position_embeddings
        return x
