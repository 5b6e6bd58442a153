"""Training form of the transformer: up to the loss."""

from jaxtyping import Bool, Int
from torch import Tensor as Array
from torch import Tensor as Scalar

from ..checked import checked
from ..masks import causal_mask
from .label_smoothing import smoothed_cross_entropy
from .transformer import Transformer


class TransformerLoss(Transformer):
    @checked
    def forward(
        self,
        source_ids: Int[Array, "*batch source"],
        target_ids: Int[Array, "*batch position"],
        targets: Int[Array, "*batch position"],
        source_mask: Bool[Array, "*batch source"],
        smoothing: float,
        heads: int,
        epsilon: float,
        ignored: int,
    ) -> Scalar:
        keys = source_mask[..., None, :]
        source_x = self.embedding(source_ids)
        encoder_layers = self.encoder(source_x, keys, heads, epsilon)
        source = encoder_layers[-1].hidden
        x = self.embedding(target_ids)
        mask = causal_mask(target_ids.shape[-1], target_ids.shape[-1]).to(
            x.device
        )
        decoder_layers = self.decoder(x, source, mask, keys, heads, epsilon)
        hidden = decoder_layers[-1].hidden
        table = self.embedding.token.weight
        logits = hidden @ table.transpose(-2, -1)
        loss = smoothed_cross_entropy(logits, targets, smoothing, ignored)
        return loss
