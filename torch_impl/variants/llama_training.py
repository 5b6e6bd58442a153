"""Training form of Llama: up to the loss."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor as Array
from torch import Tensor as Scalar

from ..checked import checked
from ..loss import cross_entropy
from ..masks import causal_mask
from .llama import Llama, LlamaBlock, LlamaDecoder
from .rotary import rotary_tables


class TrainedLlamaBlock(LlamaBlock):
    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        cosine: Float[Array, "position pair"],
        sine: Float[Array, "position pair"],
        heads: int,
        key_heads: int,
        epsilon: float,
    ) -> tuple[
        Float[Array, "*batch position d_model"],
        Float[Array, "*batch position d_model"],
    ]:
        after_attention = self.attention_sublayer(
            x, mask, cosine, sine, heads, key_heads, epsilon
        )[0]
        hidden = self.feed_forward_sublayer(after_attention, epsilon)
        return hidden, after_attention


class TrainedLlamaDecoder(LlamaDecoder):
    def __init__(
        self,
        d_model: int,
        d_head: int,
        d_ff: int,
        heads: int,
        key_heads: int,
        layers: int,
    ):
        super().__init__(d_model, d_head, d_ff, heads, key_heads, 0)
        self.blocks.extend(
            TrainedLlamaBlock(d_model, d_head, d_ff, heads, key_heads)
            for _ in range(layers)
        )

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        cosine: Float[Array, "position pair"],
        sine: Float[Array, "position pair"],
        heads: int,
        key_heads: int,
        epsilon: float,
    ) -> tuple[
        list[Float[Array, "*batch position d_model"]],
        list[Float[Array, "*batch position d_model"]],
    ]:
        hidden, after_attention = [], []
        for block in self.blocks:
            x, within = block(
                x, mask, cosine, sine, heads, key_heads, epsilon
            )
            hidden.append(x)
            after_attention.append(within)
        return hidden, after_attention


class LlamaLoss(Llama):
    def __init__(
        self,
        vocabulary: int,
        d_model: int,
        d_head: int,
        d_ff: int,
        heads: int,
        key_heads: int,
        layers: int,
    ):
        super().__init__(
            vocabulary, d_model, d_head, d_ff, heads, key_heads, 0
        )
        self.decoder = TrainedLlamaDecoder(
            d_model, d_head, d_ff, heads, key_heads, layers
        )

    @checked
    def forward(
        self,
        ids: Int[Array, "*batch position"],
        targets: Int[Array, "*batch position"],
        heads: int,
        key_heads: int,
        d_head: int,
        base: float,
        epsilon: float,
        ignored: int,
    ) -> Scalar:
        x = self.embedding(ids)
        positions = torch.arange(
            ids.shape[-1], dtype=x.dtype, device=x.device
        )
        cosine, sine = rotary_tables(positions, d_head, base)
        mask = causal_mask(ids.shape[-1], ids.shape[-1]).to(x.device)
        hidden = self.decoder(
            x, mask, cosine, sine, heads, key_heads, epsilon
        )[0]
        last = hidden[-1]
        normed = self.norm(last, epsilon)
        logits = self.output(normed)
        loss = cross_entropy(logits, targets, ignored)
        return loss
