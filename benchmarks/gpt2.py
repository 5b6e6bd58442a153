"""Races of GPT-2: decoding and prefill, beside transformers.

Random weights of the 124M model, read from one checkpoint by both sides.
Decoding a token reads every weight once, so the memory's rate is a limit
that nothing on this machine can pass. Each weight of a block takes
two operations a token.
"""

import os
import tempfile
from collections.abc import Callable, Iterator

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np

from numpy_ref.checkpoints.gpt2 import load_gpt2
from numpy_ref.checkpoints.gpt2_config import parameter_count
from numpy_ref.fast.prefill import on_threads
from numpy_ref.generation import generate, gpt2_decoding

from .races import WORKERS, Race, seconds_a_token, size_of

PROMPT, LENGTH, LONG = 64, 64, 512
SEED = 0


def races(quick: bool = False) -> Iterator[Race]:
    with tempfile.TemporaryDirectory() as folder:
        save_random_model(folder)
        checkpoint = load_gpt2(folder)
        weights = parameter_count(checkpoint.config)
        in_blocks = size_of(checkpoint.model.decoder)
        works = {
            "NumPy": our_work(folder),
            "transformers": their_work(folder),
        }
        yield from races_of_models(works, weights, in_blocks, 1 / 1.8)


def races_of_models(
    works: dict[str, dict[str, Callable]],
    weights: int,
    in_blocks: int,
    decode: float,
) -> Iterator[Race]:
    """Decoding, whose ratio should be at most `decode`, and prefill, which
    takes the table of tokens for the last one alone."""
    yield Race(
        f"a token, after {PROMPT}",
        {side: work["decode"] for side, work in works.items()},
        decode,
        bytes_read=4 * weights,
        timed=seconds_a_token,
    )
    yield Race(
        f"prefill of {LONG} tokens",
        {side: work["prefill"] for side, work in works.items()},
        1.0,
        operations=2 * in_blocks * LONG,
        bytes_read=4 * weights,
    )


def save_random_model(folder: str) -> None:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(SEED)
    GPT2LMHeadModel(GPT2Config()).save_pretrained(folder)


def our_work(folder: str) -> dict[str, Callable]:
    """`decode` gives tokens one by one; `prefill` only reads."""
    checkpoint = load_gpt2(folder)
    config, model = checkpoint.config, checkpoint.model
    ids = prompt(LONG)
    sizes = config.heads, config.epsilon

    def prefill():
        decoding = gpt2_decoding(model, *sizes, LONG)
        return on_threads(decoding, WORKERS).read(ids)

    def decode():
        decoding = gpt2_decoding(model, *sizes, PROMPT + LENGTH)
        return generate(ids[:PROMPT], decoding, LENGTH)

    return {"decode": decode, "prefill": prefill}


def their_work(folder: str) -> dict[str, Callable]:
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(
        folder, attn_implementation="eager"
    ).eval()
    return work_of(model, prompt(LONG))


def work_of(model, tokens: np.ndarray) -> dict[str, Callable]:
    """The work of a model of transformers, as in `our_work`."""
    import torch

    ids = torch.tensor(tokens)[None]

    @torch.no_grad()
    def prefill():
        return model(ids, use_cache=True, logits_to_keep=1).logits

    @torch.no_grad()
    def decode():
        """As their `generate` does it, without what it does besides."""
        new, past = ids[:, :PROMPT], None
        for _ in range(LENGTH):
            output = model(new, past_key_values=past, logits_to_keep=1)
            past = output.past_key_values
            new = output.logits[:, -1].argmax(dim=-1, keepdim=True)
            yield int(new)

    return {"decode": decode, "prefill": prefill}


def prompt(length: int, vocabulary: int = 50257) -> np.ndarray:
    return np.random.default_rng(SEED).integers(0, vocabulary, length)
