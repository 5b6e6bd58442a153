"""The walk through a real model: which one, by its kind."""

from numpy_ref.checkpoints.llama_config import LLAMAS
from numpy_ref.checkpoints.model_folders import find_model

from .bert import walk_bert
from .llama import walk_llama
from .run import Walk


def walk_model(text: str, name: str, dtype: str) -> Walk:
    """From `text` to the end of the model of that name, compared.

    `name` is one that `find_model` knows. Raises ValueError as
    `walk_bert` and `walk_llama` do.
    """
    folder = find_model(name)
    walk = walk_llama if folder.model_type in LLAMAS else walk_bert
    return walk(text, folder, dtype)
