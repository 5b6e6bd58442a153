"""PyTorch's own transformer, `nn.Transformer`, with our weights.

As in the paper its blocks are post-norm, with ReLU; the norm that PyTorch
puts after the last block of either half, which the paper has not, is left
out. Embedding, positions and output layer are spelled here: PyTorch's
module has none.
"""

from collections.abc import Callable, Mapping
from math import sqrt

import numpy as np
import torch
import torch.nn.functional as F
from numpy import ndarray as Array
from torch import Tensor, nn

from numpy_ref.parameters import state_dict
from numpy_ref.variants.transformer import Transformer

TABLE = "embedding.token.weight"


class TransformerOracle(nn.Module):
    """From ids to the last hidden states, logits and the smoothed loss."""

    def __init__(self, params: Transformer, heads: int, epsilon: float):
        super().__init__()
        arrays = state_dict(params)
        d_model = arrays[TABLE].shape[1]
        block = params.encoder.blocks[0]
        dtype = torch.from_numpy(arrays[TABLE]).dtype
        sizes = {
            "d_model": d_model,
            "nhead": heads,
            "dim_feedforward": len(
                block.feed_forward.feed_forward.inner.bias
            ),
            "dropout": 0.0,
            "layer_norm_eps": epsilon,
            "batch_first": True,
            "dtype": dtype,
        }
        layers = len(params.encoder.blocks)
        encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(**sizes),
            layers,
            enable_nested_tensor=False,
        )
        decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(**sizes), layers
        )
        self.blocks = nn.Transformer(
            **sizes, custom_encoder=encoder, custom_decoder=decoder
        )
        self.blocks.load_state_dict(
            {
                theirs: torch.from_numpy(
                    np.concatenate([arrays[name] for name in ours])
                )
                for theirs, ours in names(layers).items()
            }
        )
        self.table = nn.Parameter(torch.tensor(arrays[TABLE]))

    def forward(
        self,
        source_ids: Tensor,
        target_ids: Tensor,
        source_mask: Tensor,
        target_mask: Tensor | None = None,
    ) -> Tensor:
        """The logits. Masks are True for the tokens of a text."""
        causal = nn.Transformer.generate_square_subsequent_mask(
            target_ids.shape[1], dtype=self.table.dtype
        )
        hidden = self.blocks(
            self.embedded(source_ids),
            self.embedded(target_ids),
            tgt_mask=causal,
            src_key_padding_mask=additive(source_mask, self.table),
            memory_key_padding_mask=additive(source_mask, self.table),
            tgt_key_padding_mask=None
            if target_mask is None
            else additive(target_mask, self.table),
        )
        return F.linear(hidden, self.table)

    def embedded(self, ids: Tensor) -> Tensor:
        """Rows of the table, enlarged, and waves added, one by one."""
        d_model = self.table.shape[1]
        rows = F.embedding(ids, self.table) * sqrt(d_model)
        waves = [
            [
                np.sin(position / 10000 ** (feature / d_model))
                if feature % 2 == 0
                else np.cos(position / 10000 ** ((feature - 1) / d_model))
                for feature in range(d_model)
            ]
            for position in range(ids.shape[1])
        ]
        return rows + torch.tensor(waves, dtype=self.table.dtype)

    def loss(
        self,
        source_ids: Tensor,
        target_ids: Tensor,
        targets: Tensor,
        source_mask: Tensor,
        smoothing: float,
        ignored: int,
    ) -> Tensor:
        return F.cross_entropy(
            self(source_ids, target_ids, source_mask).flatten(0, 1),
            targets.flatten(),
            ignore_index=ignored,
            label_smoothing=smoothing,
        )

    def gradients(self) -> dict[str, Array]:
        """The gradient of each parameter, by our dotted names."""
        return self.by_our_names(lambda parameter: parameter.grad)

    def weights(self) -> dict[str, Array]:
        """Each parameter, by our dotted names."""
        return self.by_our_names(Tensor.detach)

    def by_our_names(self, of: Callable) -> dict[str, Array]:
        """What is asked of each parameter, by our dotted names."""
        theirs = {
            name: of(parameter).numpy()
            for name, parameter in self.blocks.named_parameters()
        }
        layers = len(self.blocks.encoder.layers)
        return {TABLE: of(self.table).numpy()} | split(
            theirs, names(layers)
        )


def additive(mask: Tensor, like: Tensor) -> Tensor:
    """What PyTorch adds to scores: 0 for a token, -inf for padding."""
    zeros = torch.zeros(mask.shape, dtype=like.dtype)
    return zeros.masked_fill(~mask, float("-inf"))


def names(layers: int) -> dict[str, tuple[str, ...]]:
    """PyTorch's names, and ours, whose arrays stand below each other."""
    named = {}
    for index in range(layers):
        for half, parts in HALVES.items():
            for theirs, ours in parts.items():
                named |= {
                    f"{half}.layers.{index}.{their_name}": tuple(
                        f"{half}.blocks.{index}.{ours}.{name}"
                        for name in our_names
                    )
                    for their_name, our_names in parts_of(theirs).items()
                }
    return named


HALVES = {
    "encoder": {
        "self_attn": "self_attention.attention",
        "norm1": "self_attention.norm",
        "linear1": "feed_forward.feed_forward.inner",
        "linear2": "feed_forward.feed_forward.output",
        "norm2": "feed_forward.norm",
    },
    "decoder": {
        "self_attn": "self_attention.attention",
        "norm1": "self_attention.norm",
        "multihead_attn": "cross_attention.attention",
        "norm2": "cross_attention.norm",
        "linear1": "feed_forward.feed_forward.inner",
        "linear2": "feed_forward.feed_forward.output",
        "norm3": "feed_forward.norm",
    },
}


def parts_of(theirs: str) -> dict[str, tuple[str, ...]]:
    """The arrays of one of PyTorch's layers, and ours within ours."""
    if not theirs.endswith("attn"):
        return {f"{theirs}.{kind}": (kind,) for kind in ("weight", "bias")}
    inner = ("query", "key", "value")
    joined = {
        f"{theirs}.in_proj_{kind}": tuple(
            f"{part}.{kind}" for part in inner
        )
        for kind in ("weight", "bias")
    }
    return joined | {
        f"{theirs}.out_proj.{kind}": (f"output.{kind}",)
        for kind in ("weight", "bias")
    }


def split(
    arrays: Mapping[str, Array], named: Mapping[str, tuple[str, ...]]
) -> dict[str, Array]:
    """PyTorch's arrays by our names: three in one are cut apart."""
    return {
        name: part
        for theirs, ours in named.items()
        for name, part in zip(
            ours, np.split(arrays[theirs], len(ours)), strict=True
        )
    }
