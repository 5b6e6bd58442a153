"""Oracle for BERT: transformers' model, its results under our names."""

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
    """Texts of different lengths, padded with id 0."""

    ids: Array
    segments: Array
    lengths: Array


def padded(texts: list[Encoded]) -> Batch:
    """Encoded texts in one array, padded with id 0."""
    lengths = np.array([len(text.ids) for text in texts])
    ids, segments = (
        np.zeros((len(texts), lengths.max()), np.int64) for _ in range(2)
    )
    for row, text in enumerate(texts):
        ids[row, : len(text.ids)] = text.ids
        segments[row, : len(text.ids)] = text.segments
    return Batch(ids, segments, lengths)


def ours(checkpoint: BertCheckpoint, batch: Batch) -> dict[str, Array]:
    """Everything that our model returns, by name."""
    config = checkpoint.config
    mask = padding_mask(batch.lengths, batch.ids.shape[-1])
    x, layers = bert(
        *(batch.ids, batch.segments, mask, checkpoint.model),
        *(config.heads, config.epsilon),
    )
    results = {"x": x}
    for index, layer in enumerate(layers):
        results |= {
            f"{index}/{part}": array
            for part, array in layer._asdict().items()
        }
    last = layers[-1].hidden
    if checkpoint.pooler is not None:
        results["pooled"] = pooler(last, checkpoint.pooler)
    if checkpoint.head is not None:
        results["logits"] = masked_language_head(
            last, checkpoint.head, config.epsilon
        )
    return results


def theirs(model: nn.Module, batch: Batch) -> dict[str, Array]:
    """The same from transformers, with `attn_implementation="eager"`.

    Queries, keys and values are caught by hooks on the layers that make
    them.
    """
    base = model.base_model
    results, hooks = {}, []
    for index, layer in enumerate(base.encoder.layer):
        for part in ("query", "key", "value"):
            name = f"{index}/{part}"
            keep = partial(keep_heads, results, name, base.config)
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
    results["x"], *hidden = output.hidden_states
    for index, pair in enumerate(
        zip(output.attentions, hidden, strict=True)
    ):
        results[f"{index}/weights"], results[f"{index}/hidden"] = pair
    for name, field in (
        ("pooled", "pooler_output"),
        ("logits", "logits"),
        ("logits", "prediction_logits"),
    ):
        if getattr(output, field, None) is not None:
            results[name] = getattr(output, field)
    return {name: tensor.numpy() for name, tensor in results.items()}


def keep_heads(results, name, config, module, inputs, output):
    """Keep the output of a linear layer, split into heads."""
    heads = config.num_attention_heads
    results[name] = output.unflatten(-1, (heads, -1)).transpose(1, 2)


def oracle_model(kind: str, folder: Path, dtype: str) -> nn.Module:
    """A model of transformers that returns its attention weights."""
    return (
        getattr(transformers, kind)
        .from_pretrained(
            folder,
            attn_implementation="eager",
            dtype=getattr(torch, dtype),
        )
        .eval()
    )
