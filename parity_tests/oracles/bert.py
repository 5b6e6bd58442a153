"""Oracle for BERT and its relatives: transformers' own, in our names."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import transformers
from numpy import ndarray as Array
from torch import nn

from numpy_ref.bert import pooler
from numpy_ref.checkpoints.bert import BertCheckpoint, run_model
from numpy_ref.masks import padding_mask
from numpy_ref.tokenizers.wordpiece import Encoded

# How the names of the layers end that make queries, keys and values.
PROJECTIONS = {
    "query": (".query", ".q_lin"),
    "key": (".key", ".k_lin"),
    "value": (".value", ".v_lin"),
}


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
    x, layers = run_model(checkpoint, batch.ids, batch.segments, mask)
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
        results["logits"] = config.architecture.head(
            last, checkpoint.head, config.epsilon
        )
    return results


def theirs(model: nn.Module, batch: Batch) -> dict[str, Array]:
    """The same from transformers, with `attn_implementation="eager"`.

    Queries, keys and values are caught by hooks on the layers that make
    them; an ALBERT has one of each, which is called for every layer.
    """
    base = model.base_model
    caught, hooks = {part: [] for part in PROJECTIONS}, []
    for name, module in base.named_modules():
        for part, endings in PROJECTIONS.items():
            if name.endswith(endings):
                keep = partial(keep_heads, caught[part], base.config)
                hooks.append(module.register_forward_hook(keep))
    width = batch.ids.shape[-1]
    visible = np.arange(width) < batch.lengths[:, None]
    segments = {}
    if base.config.model_type in ("bert", "albert"):
        segments = {"token_type_ids": torch.from_numpy(batch.segments)}
    with torch.no_grad():
        output = model(
            torch.from_numpy(batch.ids),
            torch.from_numpy(visible),
            **segments,
            output_hidden_states=True,
            output_attentions=True,
        )
    for hook in hooks:
        hook.remove()
    results = {
        f"{index}/{part}": heads
        for part, layers in caught.items()
        for index, heads in enumerate(layers)
    }
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


def keep_heads(layers, config, module, inputs, output):
    """Keep the output of a linear layer, split into heads."""
    heads = config.num_attention_heads
    layers.append(output.unflatten(-1, (heads, -1)).transpose(1, 2))


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
