"""`twice generate`: a GPT-2 writes on, in NumPy, as it goes."""

import sys
from typing import Annotated

import typer

HELP = """
Let a GPT-2 write on after a prompt. What its weights are is said first, on
the standard error; the text comes token by token.
"""


def generate(
    model: Annotated[
        str | None,
        typer.Option(
            help="A folder, of `twice train` for one, or a name on the "
            "hub: gpt2.",
            show_default=False,
        ),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(help="What it is to go on from.", show_default=False),
    ] = None,
    length: Annotated[
        int | None,
        typer.Option(
            help="Tokens to write; 100, or as many as there is room for."
        ),
    ] = None,
    temperature: Annotated[
        float, typer.Option(help="Below 1: safer; 0: always the likeliest.")
    ] = 0.8,
    top_k: Annotated[
        int, typer.Option(help="Of so many likeliest tokens.")
    ] = 50,
    top_p: Annotated[
        float,
        typer.Option(help="Of those that make up this share."),
    ] = 0.95,
    seed: Annotated[int, typer.Option(help="Seed of the choices.")] = 0,
) -> None:
    check_given(model, prompt)
    check_choices(temperature, top_k, top_p, seed)
    from numpy_ref.checked import check_at_least
    from numpy_ref.checkpoints.gpt2 import load_gpt2
    from numpy_ref.checkpoints.model_folders import find_model
    from numpy_ref.training.checkpoint import tokenizer_of

    from .writing import Choices, write

    folder = find_model(model)
    checkpoint = load_gpt2(folder.path)
    tokenizer = tokenizer_of(folder.path, checkpoint.config.vocabulary)
    ids = tokenizer.encode_ordinary(prompt)
    positions = checkpoint.config.positions
    if length is None:
        # A prompt without room for one more is refused below.
        length = max(1, min(100, positions - len(ids)))
    check_at_least("--length", length, 0)
    pieces = write(
        ids,
        checkpoint.model,
        checkpoint.config,
        tokenizer,
        length,
        Choices(temperature, top_k, top_p, seed),
    )
    print(about(folder), file=sys.stderr)
    print(prompt, end="", flush=True)
    for piece in pieces:
        print(piece, end="", flush=True)
    print()


def check_given(model: str | None, prompt: str | None) -> None:
    """Raise ValueError unless there is a model and a prompt."""
    if model is None:
        raise ValueError(
            "expected --model: a folder of `twice train`, another GPT-2's "
            "folder, or a name on the hub such as gpt2, got none"
        )
    if not prompt:
        raise ValueError(f"expected --prompt with a text, got {prompt!r}")


def check_choices(
    temperature: float, top_k: int, top_p: float, seed: int
) -> None:
    """Raise ValueError for a way to choose that leaves no choice."""
    if not 0 <= temperature < float("inf"):
        raise ValueError(
            f"expected --temperature from 0 on, got {temperature}"
        )
    if not 0 < top_p <= 1:
        raise ValueError(f"expected --top-p above 0, to 1, got {top_p}")
    for name, number, least in (("--top-k", top_k, 1), ("--seed", seed, 0)):
        if number < least:
            raise ValueError(
                f"expected {name} to be at least {least}, got {number}"
            )


def about(folder) -> str:
    """What the weights are, and what is not known of them."""
    from numpy_ref.training.checkpoint import has_training, load_training

    if not has_training(folder.path):
        return f"Weights: {folder.about}, read as they are."
    training = load_training(folder.path)
    step, steps = training.state.step, training.settings.steps
    if step == 0:
        return f"Weights: {folder.about}, random: no step has been taken."
    return (
        f"Weights: {folder.about}, trained by `twice train` for {step:,} "
        f"of {steps:,} steps on {training.about} alone."
    )
