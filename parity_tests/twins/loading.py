"""Loading: the PyTorch twin of a BERT that was read from a checkpoint."""

from typing import NamedTuple

import torch
from torch import nn

from numpy_ref.checkpoints.bert import BertCheckpoint
from numpy_ref.parameters import state_dict
from torch_impl.bert import Bert, MaskedLanguageHead, Pooler


class BertTwin(NamedTuple):
    """The same parts as modules, on the very memory of the arrays."""

    model: Bert
    pooler: Pooler | None
    head: MaskedLanguageHead | None


def bert_twin(checkpoint: BertCheckpoint) -> BertTwin:
    """The modules of a checkpoint, with its weights."""
    config = checkpoint.config
    # Meta tensors: what comes next takes their place.
    with torch.device("meta"):
        model = Bert(
            config.vocabulary,
            config.positions,
            config.segments,
            config.d_model,
            config.d_ff,
            config.layers,
        )
        pooler = Pooler(config.d_model)
        head = MaskedLanguageHead(config.vocabulary, config.d_model)
    return BertTwin(
        with_weights(model, checkpoint.model),
        with_weights(pooler, checkpoint.pooler),
        with_weights(head, checkpoint.head),
    )


def with_weights(module: nn.Module, params) -> nn.Module | None:
    """The module on the arrays of its namesake, or None without any."""
    if params is None:
        return None
    tensors = {
        name: torch.from_numpy(array)
        for name, array in state_dict(params).items()
    }
    module.load_state_dict(tensors, assign=True)
    return module.eval()
