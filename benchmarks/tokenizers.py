"""Races of tokenizers, beside tiktoken and Hugging Face's.

On one thread, as ours is; and ours with an empty cache each time.
"""

import ast
import os
import random
import sysconfig
import warnings
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path

os.environ["RAYON_NUM_THREADS"] = "1"  # before tokenizers is imported
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tiktoken
from tiktoken_ext.openai_public import r50k_pat_str
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from numpy_ref.tokenizers.bpe_tokenizer import BytePairTokenizer
from numpy_ref.tokenizers.bpe_training import train_bpe
from numpy_ref.tokenizers.gpt2_vocabulary import gpt2_merges
from study.text.corpus import read_corpus

from .races import Race

SIZE = 5_000_000  # characters
LENGTHS = (10**4, 10**5, 10**6)  # of one pre-token
ROUNDS = 7
MERGES = gpt2_merges()


def races(quick: bool = False) -> Iterator[Race]:
    size = SIZE // 50 if quick else SIZE
    english, python = english_text(size), python_text(size)
    texts = {"English": english, "Python": python}
    yield from encoding_races(texts)
    yield from training_races(texts)
    yield from long_races(english, LENGTHS[:1] if quick else LENGTHS)


def encoding_races(texts: dict[str, str]) -> Iterator[Race]:
    """Making a tokenizer, with an empty cache, is not timed."""
    peer = tiktoken_s_gpt2()
    for name, text in texts.items():
        yield Race(
            f"encode {len(text) / 1e6:g} MB of {name}",
            {
                "ours": partial(
                    BytePairTokenizer.encode_ordinary, text=text
                ),
                "tiktoken": lambda _, text=text: peer.encode_ordinary(text),
            },
            1.0,
            prepare=lambda: (BytePairTokenizer(MERGES),),
            most_rounds=ROUNDS,
        )


def training_races(texts: dict[str, str]) -> Iterator[Race]:
    short = read_corpus("the-verdict")
    yield training_race("The Verdict", short, 512, 5, ROUNDS)
    for name, text in texts.items():
        yield training_race(
            f"{len(text) / 1e6:g} MB of {name}", text, 8192, 10, 2
        )


def training_race(name, text, size, reach, rounds) -> Race:
    sides = {
        "ours": partial(train_bpe, text, size),
        "tokenizers": partial(train_with_tokenizers, text, size),
    }
    work = f"train {size:,} on {name}"
    return Race(work, sides, reach, most_rounds=rounds)


def long_races(english: str, lengths: tuple[int, ...]) -> Iterator[Race]:
    """One pre-token of many letters; none is kept in a cache."""
    ours, peer = BytePairTokenizer(MERGES), tiktoken_s_gpt2()
    letters = "".join(filter(str.isalpha, english))
    choices = random.Random(0).choices(
        "abcdefghijklmnopqrstuvwxyz", k=10**6
    )
    for name, text in (
        ("equal letters", "a" * 10**6),
        ("random letters", "".join(choices)),
        ("English without spaces", letters),
    ):
        for length in lengths:
            sides = {
                "ours": partial(ours.encode_ordinary, text[:length]),
                "tiktoken": partial(peer.encode_ordinary, text[:length]),
            }
            work = f"encode {length:,} {name}"
            yield Race(work, sides, 20, most_rounds=3)


def tiktoken_s_gpt2() -> tiktoken.Encoding:
    return tiktoken.Encoding(
        "gpt2",
        pat_str=r50k_pat_str,
        mergeable_ranks=BytePairTokenizer(MERGES).mergeable_ranks,
        special_tokens={},
    )


def train_with_tokenizers(text: str, size: int) -> Tokenizer:
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=level.alphabet(),
        show_progress=False,
    )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = level
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def python_text(size: int) -> str:
    """The sources of the standard library, and of what is installed."""
    return collected(sources(), size)


def english_text(size: int) -> str:
    """The docstrings of the same sources."""
    return collected(chain.from_iterable(map(docstrings, sources())), size)


def collected(texts: Iterator[str], size: int) -> str:
    parts, length = [], 0
    for text in texts:
        parts.append(text + "\n")
        length += len(text) + 1
        if length > size:
            break
    return "".join(parts)[:size]


def sources() -> Iterator[str]:
    for name in ("stdlib", "purelib"):
        folder = Path(sysconfig.get_path(name))
        for path in sorted(folder.rglob("*.py")):
            inside = path.relative_to(folder).parts
            if name == "stdlib" and "site-packages" in inside:
                continue
            try:
                yield path.read_text(encoding="utf-8")
            except (UnicodeDecodeError, OSError):
                continue


def docstrings(source: str) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""
