"""The walk through a whole Llama, with a checkpoint's weights.

As in `run`: PyTorch goes from the ids to the logits on its own, and NumPy
replays each call.
"""

from dataclasses import replace

import torch

from numpy_ref.checkpoints.chat_files import chat_tokenizer_of
from numpy_ref.checkpoints.llama import load_llama
from numpy_ref.checkpoints.llama_config import LlamaConfig
from numpy_ref.checkpoints.model_folders import ModelFolder
from parity_tests.twins.loading import llama_twin
from parity_tests.twins.recording import record

from ..text.progress import progress
from .bert import most_likely
from .llama_stops import llama_stops
from .run import Walk, check_length, check_tokens, walked
from .tokenizing import distinct


def walk_llama(text: str, folder: ModelFolder, dtype: str) -> Walk:
    """From `text` to the logits of the Llama in that folder, compared.

    Raises ValueError for a text without words, and for one that is longer
    than the model.
    """
    checkpoint = load_llama(
        folder.path, dtype, progress("loading the model")
    )
    config, twin = checkpoint.config, llama_twin(checkpoint)
    tokenizer = chat_tokenizer_of(folder.path, config.vocabulary)
    ids = tokenizer.encode(text)
    check_tokens(text, len(ids))
    check_length(len(ids), config.positions)
    with torch.no_grad():
        (_, _, logits), calls = record(
            twin,
            torch.from_numpy(ids),
            *(config.heads, config.key_heads, config.d_head),
            *(config.base, config.epsilon),
        )
    counts = {
        "characters": len(text),
        "tokens": len(ids),
        "distinct_tokens": distinct(ids),
        "vocabulary": config.vocabulary,
        "positions": config.positions,
        "layers": config.layers,
        "heads": config.heads,
        "key_heads": config.key_heads,
    }

    def named(index: int) -> str:
        return repr(tokenizer.tokens[index].decode(errors="replace"))

    walk = walked(
        about_llama(folder.about, counts, config),
        counts,
        llama_stops(config.layers),
        calls,
        tokens=[named(index) for index in ids.tolist()],
        ids=ids.tolist(),
    )
    next_tokens = ", ".join(
        f"{named(index)} {probability:.2f}"
        for probability, index in most_likely(logits[-1])
    )
    return replace(walk, guesses=[f"next token: {next_tokens}"])


def about_llama(
    folder: str, counts: dict[str, int], config: LlamaConfig
) -> str:
    """Whose weights these are, and the counts, in sentences."""
    return (
        f"{folder}, {config.layers} blocks with {config.heads} heads and "
        f"{config.key_heads} key heads each. {counts['characters']:,} "
        f"characters; {counts['tokens']:,} tokens, of at most "
        f"{counts['positions']:,}. Positions are counted from 0."
    )
