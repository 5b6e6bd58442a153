"""Oracle for GPT-2: transformers' model, with random weights."""

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.utils.logging import disable_progress_bar

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
