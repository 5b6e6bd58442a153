"""transformers' BERT, which judges ours, and both by the same names."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import transformers
from numpy import ndarray as Array
from torch import nn

from numpy_ref.bert import bert, masked_language_head, pooler
from numpy_ref.checkpoints.bert import BertCheckpoint
from numpy_ref.masks import padding_mask
from numpy_ref.tokenizers.wordpiece import Encoded


class Batch(NamedTuple):
    """Texts of different lengths, filled up with id 0."""

    ids: Array
    segments: Array
    lengths: Array


def padded(texts: list[Encoded]) -> Batch:
    """Encoded texts in one array; those that are short end with id 0."""
    lengths = np.array([len(one.ids) for one in texts])
    ids, segments = (
        np.zeros((len(texts), lengths.max()), np.int64) for _ in range(2)
    )
    for row, one in enumerate(texts):
        ids[row, : len(one.ids)] = one.ids
        segments[row, : len(one.ids)] = one.segments
    return Batch(ids, segments, lengths)


def ours(checkpoint: BertCheckpoint, batch: Batch) -> dict[str, Array]:
    """Everything that our model returns, in the open, by name."""
    config = checkpoint.config
    mask = padding_mask(batch.lengths, batch.ids.shape[-1])
    x, layers = bert(
        *(batch.ids, batch.segments, mask, checkpoint.model),
        *(config.heads, config.epsilon),
    )
    found = {"x": x}
    for number, layer in enumerate(layers):
        found |= {
            f"{number}/{part}": array
            for part, array in layer._asdict().items()
        }
    last = layers[-1].hidden
    if checkpoint.pooler is not None:
        found["pooled"] = pooler(last, checkpoint.pooler)
    if checkpoint.head is not None:
        found["logits"] = masked_language_head(
            last, checkpoint.head, config.epsilon
        )
    return found


def theirs(model: nn.Module, batch: Batch) -> dict[str, Array]:
    """The same from transformers, which must have been loaded eager.

    Queries, keys and values are caught on their way out of the layers
    that make them.
    """
    base = model.base_model
    found, hooks = {}, []
    for number, layer in enumerate(base.encoder.layer):
        for part in ("query", "key", "value"):
            name = f"{number}/{part}"
            keep = partial(keep_heads, found, name, base.config)
            linear = getattr(layer.attention.self, part)
            hooks.append(linear.register_forward_hook(keep))
    width = batch.ids.shape[-1]
    visible = np.arange(width) < batch.lengths[:, None]
    with torch.no_grad():
        output = model(
            torch.from_numpy(batch.ids),
            torch.from_numpy(visible),
            torch.from_numpy(batch.segments),
            output_hidden_states=True,
            output_attentions=True,
        )
    for hook in hooks:
        hook.remove()
    found["x"], *hidden = output.hidden_states
    for number, pair in enumerate(
        zip(output.attentions, hidden, strict=True)
    ):
        found[f"{number}/weights"], found[f"{number}/hidden"] = pair
    for name, field in (
        ("pooled", "pooler_output"),
        ("logits", "logits"),
        ("logits", "prediction_logits"),
    ):
        if getattr(output, field, None) is not None:
            found[name] = getattr(output, field)
    return {name: tensor.numpy() for name, tensor in found.items()}


def keep_heads(found, name, config, module, inputs, output):
    """What a linear layer gave, cut into heads."""
    heads = config.num_attention_heads
    found[name] = output.unflatten(-1, (heads, -1)).transpose(1, 2)


def judge(kind: str, folder: Path, dtype: str) -> nn.Module:
    """A model of transformers, its attention spelled out."""
    return (
        getattr(transformers, kind)
        .from_pretrained(
            folder,
            attn_implementation="eager",
            dtype=getattr(torch, dtype),
        )
        .eval()
    )
