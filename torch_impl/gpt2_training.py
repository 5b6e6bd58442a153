"""GPT-2 while it learns: with dropout, up to the loss."""

from jaxtyping import Bool, Float, Int
from torch import Tensor as Array
from torch import Tensor as Scalar
from torch import nn

from .attention import attention_scores, masked_softmax
from .checked import checked
from .gpt2 import Decoder, DecoderBlock, Gpt2
from .layers import dropout, gelu_tanh
from .loss import cross_entropy
from .masks import causal_mask
from .multi_head import merge_heads, split_heads


class DecoderBlockWithDropout(DecoderBlock):
    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        keep_weights: Bool[Array, "*#batch #head #position #position"],
        keep_found: Bool[Array, "*#batch #position #d_model"],
        keep_fed: Bool[Array, "*#batch #position #d_model"],
        rate: float,
        heads: int,
        epsilon: float,
    ) -> Float[Array, "*batch position d_model"]:
        normed = self.attention_norm(x, epsilon)
        query = split_heads(self.attention.query(normed), heads)
        key = split_heads(self.attention.key(normed), heads)
        value = split_heads(self.attention.value(normed), heads)
        head_mask = mask[..., None, :, :]
        scores = attention_scores(query, key)
        weights = masked_softmax(scores, head_mask)
        dropped = dropout(weights, keep_weights, rate)
        context = dropped @ value
        merged = merge_heads(context)
        found = self.attention.output(merged)
        attended = x + dropout(found, keep_found, rate)
        ready = self.feed_forward_norm(attended, epsilon)
        inner = self.feed_forward.inner(ready)
        activated = gelu_tanh(inner)
        fed = self.feed_forward.output(activated)
        hidden = attended + dropout(fed, keep_fed, rate)
        return hidden


class DecoderWithDropout(Decoder):
    def __init__(self, d_model: int, d_ff: int, layers: int):
        super().__init__(d_model, d_ff, layers)
        self.blocks = nn.ModuleList(
            DecoderBlockWithDropout(d_model, d_ff) for _ in range(layers)
        )

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        keep_weights: Bool[
            Array, "layers *#batch #head #position #position"
        ],
        keep_found: Bool[Array, "layers *#batch #position #d_model"],
        keep_fed: Bool[Array, "layers *#batch #position #d_model"],
        rate: float,
        heads: int,
        epsilon: float,
    ) -> list[Float[Array, "*batch position d_model"]]:
        hidden = []
        for number, block in enumerate(self.blocks):
            x = block(
                x,
                mask,
                keep_weights[number],
                keep_found[number],
                keep_fed[number],
                rate,
                heads,
                epsilon,
            )
            hidden.append(x)
        return hidden


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
        keep_embedded: Bool[Array, "*#batch #position #d_model"],
        keep_weights: Bool[
            Array, "layers *#batch #head #position #position"
        ],
        keep_found: Bool[Array, "layers *#batch #position #d_model"],
        keep_fed: Bool[Array, "layers *#batch #position #d_model"],
        rate: float,
        heads: int,
        epsilon: float,
        ignored: int,
    ) -> Scalar:
        embedded = self.embedding(ids)
        x = dropout(embedded, keep_embedded, rate)
        mask = causal_mask(ids.shape[-1], ids.shape[-1]).to(x.device)
        hidden = self.decoder(
            x,
            mask,
            keep_weights,
            keep_found,
            keep_fed,
            rate,
            heads,
            epsilon,
        )
        last = hidden[-1]
        normed = self.norm(last, epsilon)
        table = self.embedding.token.weight
        logits = normed @ table.transpose(-2, -1)
        loss = cross_entropy(logits, targets, ignored)
        return loss
