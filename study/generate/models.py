"""Models that write: a GPT-2 or a Llama, its tokenizer, its cache."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

from numpy_ref.checkpoints.chat_files import chat_tokenizer_of
from numpy_ref.checkpoints.llama_config import LLAMAS
from numpy_ref.checkpoints.model_folders import ModelFolder, find_model
from numpy_ref.checkpoints.names import Name
from numpy_ref.generation import Decoding
from numpy_ref.tokenizers.chat_tokenizer import ChatTokenizer
from numpy_ref.training.architectures import ARCHITECTURES, Config

# Which architecture computes a model_type.
WRITES = {"gpt2": "gpt2"} | dict.fromkeys(LLAMAS, "llama")


@dataclass(frozen=True, eq=False)
class WritingModel:
    """A model that writes.

    `decoding` makes one that has read nothing yet, with room for a number
    of positions, at most those of the model.
    """

    folder: ModelFolder
    config: Config
    tokenizer: ChatTokenizer
    decoding: Callable[[int], Decoding]


def load_model(
    name: str, watch: Callable[[tuple[Name, ...]], Iterable[Name]] = iter
) -> WritingModel:
    """Load the model of a name that `find_model` knows.

    Raises ValueError for a model that does not write.
    """
    folder = find_model(name)
    if folder.model_type not in WRITES:
        raise ValueError(
            f"expected a model that writes ({', '.join(WRITES)}), got "
            f"{folder.about}"
        )
    architecture = ARCHITECTURES[WRITES[folder.model_type]]
    checkpoint = architecture.load(folder.path, watch=watch)
    config = checkpoint.config
    decoding = partial(architecture.decoding, checkpoint.model, config)
    tokenizer = chat_tokenizer_of(folder.path, config.vocabulary)
    return WritingModel(folder, config, tokenizer, decoding)


def at_speed(decoding: Decoding) -> Decoding:
    """Prompts are read on threads, where the extra `fast` is installed."""
    if find_spec("threadpoolctl") is None:
        return decoding
    from numpy_ref.fast.prefill import on_threads

    return on_threads(decoding, os.cpu_count() or 1)
