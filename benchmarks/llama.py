"""Races of a real Llama: decoding and prefill, beside transformers.

SmolLM2's weights, read from its GGUF, beside transformers' eager model
with the same arrays. Limits as in `gpt2`. The first token is that of
`twice generate`, from the command to the first piece of text, in a
process of its own.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

os.environ["HF_HUB_OFFLINE"] = "1"

from numpy_ref.checkpoints.llama import (
    LlamaCheckpoint,
    load_llama,
    names_in,
)
from numpy_ref.checkpoints.llama_config import (
    llama_config_entries,
    llama_parameter_count,
)
from numpy_ref.checkpoints.model_folders import find_model
from numpy_ref.checkpoints.names import to_theirs
from numpy_ref.fast.prefill import on_threads
from numpy_ref.generation import generate
from numpy_ref.parameters import state_dict
from numpy_ref.variants.llama_cache import llama_decoding

from .gpt2 import (
    LENGTH,
    LONG,
    PROMPT,
    prompt,
    races_of_models,
    work_of,
)
from .races import WORKERS, Race, size_of

VOCABULARY = 49152
FIRST = (
    *(sys.executable, "-m", "study", "generate", "--model", "smollm2"),
    *("--prompt", "The capital of France is", "--temperature", "0"),
    *("--length", "1"),
)


def races(quick: bool = False) -> Iterator[Race]:
    checkpoint = load_llama(find_model("smollm2").path)
    works = {
        "NumPy": our_work(checkpoint),
        "transformers": their_work(checkpoint),
    }
    weights = llama_parameter_count(checkpoint.config)
    in_blocks = size_of(checkpoint.model.decoder)
    yield from races_of_models(works, weights, in_blocks, 1 / 1.5)
    first = {"NumPy": first_token}
    yield Race("from the command to a token", first, most_rounds=3)


def our_work(checkpoint: LlamaCheckpoint) -> dict[str, Callable]:
    """`decode` gives tokens one by one; `prefill` only reads."""
    config, ids = checkpoint.config, prompt(LONG, VOCABULARY)

    def decoding(positions: int):
        return llama_decoding(
            *(checkpoint.model, config.heads, config.key_heads),
            *(config.d_head, config.base, config.epsilon, positions),
        )

    def prefill():
        return on_threads(decoding(LONG), WORKERS).read(ids)

    def decode():
        return generate(ids[:PROMPT], decoding(PROMPT + LENGTH), LENGTH)

    return {"decode": decode, "prefill": prefill}


def their_work(checkpoint: LlamaCheckpoint) -> dict[str, Callable]:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    entries = llama_config_entries(checkpoint.config)
    config = LlamaConfig(**entries, attn_implementation="eager")
    with torch.device("meta"):
        model = LlamaForCausalLM(config).eval()
    arrays = to_theirs(
        names_in(checkpoint.config, "model."), state_dict(checkpoint.model)
    )
    tensors = {n: torch.from_numpy(a) for n, a in arrays.items()}
    model.load_state_dict(tensors, strict=False, assign=True)
    model.model.rotary_emb = type(model.model.rotary_emb)(config)
    model.tie_weights()
    return work_of(model, prompt(LONG, VOCABULARY))


def first_token() -> None:
    subprocess.run(FIRST, check=True, capture_output=True)
