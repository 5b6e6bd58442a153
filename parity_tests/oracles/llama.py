"""Oracle for Llama and its relatives: transformers' own, in our names.

Whatever the dtype, transformers computes RMSNorm, softmax and the angles
of RoPE in float32. `without_float32` takes these three casts away.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from unittest.mock import patch

import numpy as np
import torch
import transformers
from numpy import ndarray as Array
from torch import nn
from transformers.utils.logging import disable_progress_bar

from numpy_ref.checkpoints.llama import LlamaCheckpoint
from numpy_ref.variants.llama import LlamaLayer, llama

disable_progress_bar()

# Heads that are wider than d_model / heads, in groups of three.
SMALL = {
    "vocab_size": 31,
    "hidden_size": 24,
    "intermediate_size": 28,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 40,
    "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_type": "default", "rope_theta": 300.0},
    "attn_implementation": "eager",
}


def random_oracle(folder, kind="Llama", dtype="float64", **changes):
    """transformers' model, in evaluation mode, saved to a folder by it.

    Its weights are large enough that attention is far from uniform.
    """
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**SMALL | changes)
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    for parameter in model.parameters():
        parameter.data += 0.5 * torch.randn(parameter.shape)
    model.tie_weights()
    model.save_pretrained(folder)
    return model.to(getattr(torch, dtype))


def random_ids(*shape: int) -> Array:
    return np.random.default_rng(0).integers(0, 31, shape)


def run_llama(checkpoint: LlamaCheckpoint, ids: Array):
    """Our model on ids, its sizes from its configuration."""
    config = checkpoint.config
    return llama(
        *(ids, checkpoint.model, config.heads, config.key_heads),
        *(config.d_head, config.base, config.epsilon),
    )


def ours(checkpoint: LlamaCheckpoint, ids: Array) -> dict[str, Array]:
    """Everything that our model returns, by name."""
    x, layers, logits = run_llama(checkpoint, ids)
    return {"x": x, **by_name(layers), "logits": logits}


def by_name(layers: list[LlamaLayer]) -> dict[str, Array]:
    """What each layer returns, by name."""
    return {
        f"{index}/{part}": array
        for index, layer in enumerate(layers)
        for part, array in layer._asdict().items()
    }


def theirs(model: nn.Module, ids: Array, past=None) -> dict[str, Array]:
    """The same from transformers, with `attn_implementation="eager"`.

    With its cache as `past`, for new tokens, whose keys and values are
    the last of those in it. Queries are caught where they meet the keys,
    hidden states behind each layer: the last would come out normed.
    """
    queries, hidden, hooks = [], [], []
    code = sys.modules[type(model).__module__]
    attend = code.eager_attention_forward

    def watched(module, query, *args, **kwargs):
        queries.append(query)
        return attend(module, query, *args, **kwargs)

    def keep(module, inputs, output):
        hidden.append(output)

    for layer in model.model.layers:
        hooks.append(layer.register_forward_hook(keep))
    with (
        torch.no_grad(),
        patch.object(code, "eager_attention_forward", watched),
    ):
        output = model(
            torch.from_numpy(ids),
            past_key_values=past,
            output_attentions=True,
        )
    for hook in hooks:
        hook.remove()
    results = {}
    for index, weights in enumerate(output.attentions):
        cached, count = output.past_key_values.layers[index], ids.shape[-1]
        results |= {
            f"{index}/query": queries[index],
            f"{index}/key": cached.keys[..., -count:, :],
            f"{index}/value": cached.values[..., -count:, :],
            f"{index}/weights": weights,
            f"{index}/hidden": hidden[index],
        }
    results["logits"] = output.logits
    if past is None:
        results["x"] = model.model.embed_tokens(torch.from_numpy(ids))
    return {n: tensor.detach().numpy() for n, tensor in results.items()}


@contextmanager
def without_float32(model: nn.Module) -> Iterator[None]:
    """RMSNorm, softmax and angles in the dtype of what comes in."""
    softmax = nn.functional.softmax
    with ExitStack() as stack:
        stack.enter_context(
            patch.object(
                nn.functional,
                "softmax",
                lambda x, dim, dtype=None: softmax(x, dim),
            )
        )
        for module in model.modules():
            kind = type(module).__name__
            forward = None
            if kind.endswith("RMSNorm"):
                forward = partial(normed, module)
            if kind.endswith("RotaryEmbedding"):
                forward = partial(tables, model.config)
            if forward is not None:
                stack.enter_context(
                    patch.object(module, "forward", forward)
                )
        yield


def normed(module, x):
    """RMSNorm, as PyTorch has it."""
    return nn.functional.rms_norm(
        x, x.shape[-1:], module.weight, module.variance_epsilon
    )


def tables(config, x, position_ids):
    """Cosine and sine of RoPE's angles, in float64."""
    size = getattr(config, "head_dim", None)
    size = size or config.hidden_size // config.num_attention_heads
    exponents = torch.arange(0, size, 2, dtype=torch.float64) / size
    base = config.rope_parameters["rope_theta"]
    angles = position_ids[..., None].double() / base**exponents
    both = torch.cat([angles, angles], dim=-1)
    return both.cos().to(x.dtype), both.sin().to(x.dtype)
