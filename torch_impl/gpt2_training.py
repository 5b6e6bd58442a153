"""Training form of GPT-2: with dropout, up to the loss."""

from typing import NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor as Array
from torch import Tensor as Scalar

from .checked import checked
from .gpt2 import Decoder, DecoderBlock, Gpt2
from .layers import dropout
from .loss import cross_entropy
from .masks import causal_mask
from .sublayers import (
    AttentionSublayerWithDropout,
    DropoutMasks,
    FeedForwardSublayerWithDropout,
)


class DecoderBlockWithDropout(DecoderBlock):
    def __init__(self, d_model: int, d_ff: int):
        super().__init__(d_model, d_ff)
        self.attention_sublayer = AttentionSublayerWithDropout(d_model)
        self.feed_forward_sublayer = FeedForwardSublayerWithDropout(
            d_model, d_ff
        )

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        dropout_masks: DropoutMasks,
        rate: float,
        heads: int,
        epsilon: float,
    ) -> tuple[
        Float[Array, "*batch position d_model"],
        Float[Array, "*batch position d_model"],
    ]:
        after_attention = self.attention_sublayer(
            x, mask, dropout_masks, rate, heads, epsilon
        )
        hidden = self.feed_forward_sublayer(
            after_attention, dropout_masks, rate, epsilon
        )
        return hidden, after_attention


class DecoderWithDropout(Decoder):
    def __init__(self, d_model: int, d_ff: int, layers: int):
        super().__init__(d_model, d_ff, 0)
        self.blocks.extend(
            DecoderBlockWithDropout(d_model, d_ff) for _ in range(layers)
        )

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        dropout_masks: tuple[DropoutMasks, ...],
        rate: float,
        heads: int,
        epsilon: float,
    ) -> tuple[
        list[Float[Array, "*batch position d_model"]],
        list[Float[Array, "*batch position d_model"]],
    ]:
        hidden, after_attention = [], []
        for block, block_masks in zip(
            self.blocks, dropout_masks, strict=True
        ):
            x, within = block(x, mask, block_masks, rate, heads, epsilon)
            hidden.append(x)
            after_attention.append(within)
        return hidden, after_attention


class Gpt2DropoutMasks(NamedTuple):
    """Dropout masks of the embedded tokens, and of each block."""

    embedded: Bool[Array, "*#batch #position #d_model"]
    blocks: tuple[DropoutMasks, ...]


class Gpt2Loss(Gpt2):
    def __init__(
        self,
        vocabulary: int,
        positions: int,
        d_model: int,
        d_ff: int,
        layers: int,
    ):
        super().__init__(vocabulary, positions, d_model, d_ff, layers)
        self.decoder = DecoderWithDropout(d_model, d_ff, layers)

    @checked
    def forward(
        self,
        ids: Int[Array, "*batch position"],
        targets: Int[Array, "*batch position"],
        dropout_masks: Gpt2DropoutMasks,
        rate: float,
        heads: int,
        epsilon: float,
        ignored: int,
    ) -> Scalar:
        embedded = self.embedding(ids)
        x = dropout(embedded, dropout_masks.embedded, rate)
        mask = causal_mask(ids.shape[-1], ids.shape[-1]).to(x.device)
        hidden = self.decoder(
            x, mask, dropout_masks.blocks, rate, heads, epsilon
        )[0]
        last = hidden[-1]
        normed = self.norm(last, epsilon)
        table = self.embedding.token.weight
        logits = normed @ table.transpose(-2, -1)
        loss = cross_entropy(logits, targets, ignored)
        return loss
