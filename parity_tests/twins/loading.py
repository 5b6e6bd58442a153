"""Loading: the PyTorch twin of a model that was read from a checkpoint."""

import inspect
from typing import NamedTuple

import torch
from torch import nn

from numpy_ref.checkpoints.architecture import BertConfig
from numpy_ref.checkpoints.bert import BertCheckpoint
from numpy_ref.checkpoints.llama import LlamaCheckpoint
from numpy_ref.checkpoints.llama_config import LlamaConfig
from numpy_ref.parameters import state_dict
from torch_impl.bert import Bert, MaskedLanguageHead, Pooler
from torch_impl.variants.albert import Albert, MaskedLanguageHeadTanh
from torch_impl.variants.distilbert import DistilBert
from torch_impl.variants.llama import Llama
from torch_impl.variants.qwen2 import with_biases

from .finding import namesake

# The module of each kind of head, by the step that it is.
HEADS = {
    "masked_language_head": MaskedLanguageHead,
    "masked_language_head_tanh": MaskedLanguageHeadTanh,
}


class BertTwin(NamedTuple):
    """The same parts as modules, on the very memory of the arrays."""

    model: Bert | DistilBert | Albert
    pooler: Pooler | None
    head: MaskedLanguageHead | None


def bert_twin(checkpoint: BertCheckpoint) -> BertTwin:
    """The modules of a checkpoint, with its weights."""
    config = checkpoint.config
    kind = namesake(config.architecture.parameters, "torch_impl")
    # Meta tensors: what comes next takes their place.
    with torch.device("meta"):
        model = made(kind, config)
        pooler = made(Pooler, config)
        head = made(HEADS[config.architecture.head.__name__], config)
    return BertTwin(
        with_weights(model, checkpoint.model),
        with_weights(pooler, checkpoint.pooler),
        with_weights(head, checkpoint.head),
    )


def llama_twin(checkpoint: LlamaCheckpoint) -> Llama:
    """The module of a Llama's checkpoint, with its weights."""
    with torch.device("meta"):
        model = made(Llama, checkpoint.config)
        if checkpoint.config.biased:
            model = with_biases(model)
    return with_weights(model, checkpoint.model)


def made(
    kind: type[nn.Module], config: BertConfig | LlamaConfig
) -> nn.Module:
    """A module in the sizes of this configuration, taken by their names."""
    sizes = inspect.signature(kind).parameters
    return kind(**{name: getattr(config, name) for name in sizes})


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
