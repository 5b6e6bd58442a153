"""`twice train`: a small GPT-2 learns a text, in NumPy."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..text import corpus as texts

HELP = """
Train a small GPT-2 on a text, in NumPy alone. The folder is one that
transformers can read, and `twice generate --model FOLDER` writes with it.
Interrupted at any moment, it goes on from the last checkpoint when it is
started again.
"""


class Dtype(StrEnum):
    float32 = "float32"
    float64 = "float64"


class Vocabulary(StrEnum):
    bpe = "bpe"
    gpt2 = "gpt2"


def train(
    context: typer.Context,
    out: Annotated[
        Path, typer.Option(help="The folder of the model.")
    ] = Path("my-gpt2"),
    file: Annotated[
        Path | None,
        typer.Option(help="Learn the text of this file, UTF-8."),
    ] = None,
    corpus: Annotated[
        str, typer.Option(help="Learn a corpus.")
    ] = "the-verdict",
    tokenizer: Annotated[
        Vocabulary,
        typer.Option(help="Merges learned from the text, or GPT-2's."),
    ] = Vocabulary.bpe,
    vocabulary: Annotated[
        int, typer.Option(help="Tokens of a learned vocabulary, at most.")
    ] = 512,
    layers: Annotated[int, typer.Option(help="Blocks.")] = 4,
    d_model: Annotated[
        int, typer.Option(help="Features of a token.")
    ] = 128,
    heads: Annotated[
        int, typer.Option(help="Heads; a divisor of d-model.")
    ] = 4,
    context_length: Annotated[
        int, typer.Option(help="Tokens in a window: the model's positions.")
    ] = 128,
    batch_size: Annotated[int, typer.Option(help="Windows in a step.")] = 8,
    steps: Annotated[int, typer.Option(help="Steps in all.")] = 400,
    rate: Annotated[
        float, typer.Option(help="The highest learning rate.")
    ] = 3e-3,
    dropout: Annotated[
        float, typer.Option(help="The share that dropout drops.")
    ] = 0.1,
    dtype: Annotated[
        Dtype, typer.Option(help="Precision.")
    ] = Dtype.float32,
    seed: Annotated[int, typer.Option(help="Seed of all chance.")] = 0,
    save_every: Annotated[
        int, typer.Option(help="Steps from one checkpoint to the next.")
    ] = 50,
    sample_every: Annotated[
        int,
        typer.Option(help="Steps from one sample to the next; 0: none."),
    ] = 100,
) -> None:
    from .run import TrainOptions, run

    text = texts.read_corpus(corpus) if file is None else read(file)
    options = TrainOptions(
        tokenizer=tokenizer.value,
        vocabulary=vocabulary,
        layers=layers,
        d_model=d_model,
        heads=heads,
        context_length=context_length,
        batch_size=batch_size,
        steps=steps,
        rate=rate,
        dropout=dropout,
        dtype=dtype.value,
        seed=seed,
    )
    given = {
        name
        for name in context.params
        if context.get_parameter_source(name).name == "COMMANDLINE"
    }
    about = corpus if file is None else file.name
    done = run(out, text, about, options, given, save_every, sample_every)
    raise typer.Exit(0 if done else 130)


def read(file: Path) -> str:
    """The text of a file. Raises ValueError when there is none in it."""
    text = texts.read_file(file)
    if not text.strip():
        raise ValueError(f"expected a text in {file}, got none")
    return text
