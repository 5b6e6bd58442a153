"""Oracle for GPT-2: transformers' model, its results under our names."""

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.utils.logging import disable_progress_bar

from numpy_ref.bert import Layer
from numpy_ref.checkpoints.gpt2 import Gpt2Checkpoint, load_gpt2

disable_progress_bar()

SMALL = {"vocab_size": 31, "n_positions": 20, "n_embd": 24, "n_head": 4}
END = 30  # the token that ends a text


def random_oracle(folder, dtype="float64", seed=0, **sizes):
    """transformers' model, in evaluation mode, saved to a folder by it."""
    torch.manual_seed(seed)
    config = GPT2Config(
        **SMALL
        | {"n_layer": 2, "bos_token_id": END, "eos_token_id": END}
        | {"initializer_range": 0.2, "attn_implementation": "eager"}
        | sizes
    )
    model = GPT2LMHeadModel(config).eval()
    # Biases and norms begin with 0 and 1, which would hide bugs.
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
        # Otherwise it would repeat its first token for ever.
        model.transformer.wpe.weight.mul_(4)
    model.save_pretrained(folder)
    return model.to(getattr(torch, dtype))


def oracle_and_ours(
    folder, dtype="float64", **sizes
) -> tuple[GPT2LMHeadModel, Gpt2Checkpoint]:
    """The oracle, and our model from the same checkpoint."""
    oracle = random_oracle(folder, dtype, **sizes)
    return oracle, load_gpt2(folder, dtype)


def random_ids(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, END, shape)


def ours(
    x: np.ndarray, layers: list[Layer], logits: np.ndarray
) -> dict[str, np.ndarray]:
    """What our model returns, by name, as far as `theirs` returns it."""
    results = {"x": x, "logits": logits}
    for index, layer in enumerate(layers):
        for part in ("weights", "key", "value", "hidden"):
            results[f"{index}/{part}"] = getattr(layer, part)
    del results[f"{len(layers) - 1}/hidden"]
    return results


def theirs(
    oracle: GPT2LMHeadModel, ids: np.ndarray, **more: np.ndarray
) -> dict[str, np.ndarray]:
    """The same from transformers, whose last hidden states are normed."""
    with torch.no_grad():
        output = oracle(
            torch.from_numpy(ids),
            output_hidden_states=True,
            output_attentions=True,
            **{
                name: torch.from_numpy(array)
                for name, array in more.items()
            },
        )
    x, *hidden = output.hidden_states
    results = {"x": x, "logits": output.logits}
    for index, weights in enumerate(output.attentions):
        cached = output.past_key_values.layers[index]
        results |= {
            f"{index}/weights": weights,
            f"{index}/key": cached.keys,
            f"{index}/value": cached.values,
            f"{index}/hidden": hidden[index],
        }
    del results[f"{len(hidden) - 1}/hidden"]
    return {name: tensor.numpy() for name, tensor in results.items()}
