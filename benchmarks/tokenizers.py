"""Benchmark of tokenizers, beside tiktoken and Hugging Face's.

    python -m benchmarks.tokenizers

The two sides of a row run in turn, in this one process and on one
thread, and ours with an empty cache each time. The ratio is our time by
theirs, best by best: below 1 we are faster. Seconds differ from machine
to machine; ratios do so less.
"""

import ast
import gc
import os
import random
import sysconfig
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

os.environ["RAYON_NUM_THREADS"] = "1"  # before tokenizers is imported
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tiktoken
from rich.console import Console
from rich.table import Table
from tiktoken_ext.openai_public import r50k_pat_str
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from numpy_ref.tokenizers.bpe_tokenizer import BytePairTokenizer
from numpy_ref.tokenizers.bpe_training import train_bpe
from numpy_ref.tokenizers.gpt2_vocabulary import gpt2_merges
from study.text.corpus import read_corpus

SIZE = 5_000_000  # characters
ROUNDS = 7
MERGES = gpt2_merges()


class Race(NamedTuple):
    """The same work on both sides; `reach` is the ratio to stay below."""

    work: str
    ours: Callable[[], object]
    theirs: Callable[[], object]
    reach: float
    rounds: int = ROUNDS


def main() -> None:
    english, python = english_text(SIZE), python_text(SIZE)
    table = Table("work", "ours, s", "theirs, s", "ratio", "reach")
    for race in chain(
        encoding_races({"English": english, "Python": python}),
        training_races({"English": english, "Python": python}),
        long_races(english),
    ):
        table.add_row(*run(race))
    console = Console()
    console.print(table)
    for name, text in (("English", english), ("Python", python)):
        share = peak(text) / len(text.encode())
        console.print(f"encode {name}: at most {share:.1f} times the text")


def run(race: Race) -> list[str]:
    """A row: best and slowest of each side, and the ratio of the best."""
    ours, theirs = [], []
    for _ in range(race.rounds):
        ours.append(seconds(race.ours))
        theirs.append(seconds(race.theirs))
    spans = [
        f"{min(side):.4f} - {max(side):.4f}" for side in (ours, theirs)
    ]
    ratio = min(ours) / min(theirs)
    return [race.work, *spans, f"{ratio:.2f}", f"{race.reach:g}"]


def seconds(work: Callable[[], object]) -> float:
    gc.collect()
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def encoding_races(texts: dict[str, str]) -> Iterator[Race]:
    """Making the tokenizer is not timed, on either side."""
    peer = tiktoken_s_gpt2()
    for name, text in texts.items():
        cold = [BytePairTokenizer(MERGES) for _ in range(ROUNDS)]
        yield Race(
            f"encode 5 MB of {name}",
            lambda cold=cold, text=text: cold.pop().encode_ordinary(text),
            partial(peer.encode_ordinary, text),
            2,
        )


def training_races(texts: dict[str, str]) -> Iterator[Race]:
    short = read_corpus("the-verdict")
    yield training_race("The Verdict", short, 512, 5, ROUNDS)
    for name, text in texts.items():
        yield training_race(f"5 MB of {name}", text, 8192, 10, 2)


def training_race(name, text, size, reach, rounds) -> Race:
    return Race(
        f"train {size:,} on {name}",
        partial(train_bpe, text, size),
        partial(train_with_tokenizers, text, size),
        reach,
        rounds,
    )


def long_races(english: str) -> Iterator[Race]:
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
        for length in (10**4, 10**5, 10**6):
            yield Race(
                f"encode {length:,} {name}",
                partial(ours.encode_ordinary, text[:length]),
                partial(peer.encode_ordinary, text[:length]),
                20,
                3,
            )


def peak(text: str) -> int:
    """The most bytes that encoding needs at once, its result included."""
    tokenizer = BytePairTokenizer(MERGES)
    tracemalloc.start()
    tokenizer.encode_ordinary(text)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


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


if __name__ == "__main__":
    main()
