"""`twice train`: train a small GPT-2 or Llama on a text, in NumPy."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..text import corpus as texts

HELP = """
Train a small GPT-2 or Llama on a text, in NumPy alone. Needs the extra
`bert`.

The model is saved in a folder that transformers can read, and that
`twice generate --model FOLDER` generates text with. Ctrl-C saves a
checkpoint and stops; the same command resumes from there, with the numbers
that it would have had without the stop.
"""


class Dtype(StrEnum):
    float32 = "float32"
    float64 = "float64"


class Architecture(StrEnum):
    gpt2 = "gpt2"
    llama = "llama"


class Vocabulary(StrEnum):
    bpe = "bpe"
    gpt2 = "gpt2"


def train(
    context: typer.Context,
    out: Annotated[
        Path,
        typer.Option(help="Folder for the model and its checkpoints."),
    ] = Path("my-gpt2"),
    architecture: Annotated[
        Architecture,
        typer.Option(
            help="Architecture: a GPT-2, or a Llama (RMSNorm, RoPE, "
            "grouped queries, SwiGLU)."
        ),
    ] = Architecture.gpt2,
    file: Annotated[
        Path | None,
        typer.Option(help="Train on the text of this UTF-8 file."),
    ] = None,
    corpus: Annotated[
        str, typer.Option(help="Train on this corpus.")
    ] = "the-verdict",
    tokenizer: Annotated[
        Vocabulary,
        typer.Option(
            help="Tokenizer: byte-pair encoding with merges learned from "
            "the text (bpe), or with GPT-2's."
        ),
    ] = Vocabulary.bpe,
    vocabulary: Annotated[
        int,
        typer.Option(help="Vocabulary size at most, for --tokenizer bpe."),
    ] = 512,
    layers: Annotated[int, typer.Option(help="Number of layers.")] = 4,
    d_model: Annotated[
        int, typer.Option(help="Features per token (d_model).")
    ] = 128,
    heads: Annotated[
        int,
        typer.Option(
            help="Number of attention heads; must divide d-model."
        ),
    ] = 4,
    key_heads: Annotated[
        int | None,
        typer.Option(
            help="Number of key heads of a Llama; must divide heads. "
            "Default: half of them.",
            show_default=False,
        ),
    ] = None,
    context_length: Annotated[
        int, typer.Option(help="Context length in tokens.")
    ] = 128,
    batch_size: Annotated[int, typer.Option(help="Windows per batch.")] = 8,
    steps: Annotated[
        int, typer.Option(help="Number of training steps.")
    ] = 400,
    rate: Annotated[
        float, typer.Option(help="Learning rate at its peak.")
    ] = 3e-3,
    dropout: Annotated[
        float | None,
        typer.Option(
            help="Dropout rate; default: 0.1 for a GPT-2, 0 for a Llama.",
            show_default=False,
        ),
    ] = None,
    dtype: Annotated[
        Dtype, typer.Option(help="Floating-point precision.")
    ] = Dtype.float32,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    save_every: Annotated[
        int, typer.Option(help="Steps between checkpoints.")
    ] = 50,
    sample_every: Annotated[
        int,
        typer.Option(help="Steps between text samples; 0 for none."),
    ] = 100,
) -> None:
    from .run import TrainOptions, run

    text = texts.read_corpus(corpus) if file is None else read(file)
    options = TrainOptions(
        architecture=architecture.value,
        tokenizer=tokenizer.value,
        vocabulary=vocabulary,
        layers=layers,
        d_model=d_model,
        heads=heads,
        key_heads=key_heads,
        context_length=context_length,
        batch_size=batch_size,
        steps=steps,
        rate=rate,
        dropout=dropout,
        dtype=dtype.value,
        seed=seed,
    )
    explicit = {
        name
        for name in context.params
        if context.get_parameter_source(name).name == "COMMANDLINE"
    }
    about = corpus if file is None else file.name
    stopped_by = run(
        out, text, about, options, explicit, save_every, sample_every
    )
    raise typer.Exit(128 + stopped_by if stopped_by else 0)


def read(file: Path) -> str:
    """The text of a file. Raises ValueError when it has no words."""
    text = texts.read_file(file)
    if not text.strip():
        raise ValueError(f"expected a text in {file}, got none")
    return text
