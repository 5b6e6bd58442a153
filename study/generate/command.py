"""`twice generate`: continue a text with a GPT-2, in NumPy."""

import sys
from typing import Annotated

import typer

HELP = """
Continue a text with a GPT-2, in NumPy alone.

The text appears token by token. A special token in the prompt, such as
<|endoftext|>, is that token. Which weights wrote the text is printed first,
to standard error.
"""


def generate(
    model: Annotated[
        str | None,
        typer.Option(
            help="Model: a folder, such as one from `twice train`, or a "
            "name on the Hugging Face hub, such as gpt2.",
            show_default=False,
        ),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(help="Text to continue.", show_default=False),
    ] = None,
    length: Annotated[
        int | None,
        typer.Option(
            help="Number of tokens to generate; default: 100, or as many "
            "as fit into the context."
        ),
    ] = None,
    temperature: Annotated[
        float,
        typer.Option(
            help="Sampling temperature: lower is safer; 0 always takes the "
            "most likely token."
        ),
    ] = 0.8,
    top_k: Annotated[
        int,
        typer.Option(
            help="Top-k sampling: sample from the k most likely tokens."
        ),
    ] = 50,
    top_p: Annotated[
        float,
        typer.Option(
            help="Top-p (nucleus) sampling: sample from the smallest set "
            "of tokens whose probability reaches p."
        ),
    ] = 0.95,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
) -> None:
    check_model_and_prompt(model, prompt)
    check_sampling(temperature, top_k, top_p, seed)
    from numpy_ref.checked import check_at_least
    from numpy_ref.checkpoints.byte_pair_files import byte_pair_of, end_ids
    from numpy_ref.checkpoints.gpt2 import load_gpt2
    from numpy_ref.checkpoints.model_folders import find_model

    from ..text.progress import progress
    from .writing import SamplingSettings, write

    folder = find_model(model)
    checkpoint = load_gpt2(folder.path, watch=progress("loading the model"))
    vocabulary = checkpoint.config.vocabulary
    tokenizer = byte_pair_of(folder.path, vocabulary)
    ids = tokenizer.encode(prompt)
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
        SamplingSettings(temperature, top_k, top_p, seed),
        end_ids(folder.path, vocabulary),
    )
    print(about_weights(folder), file=sys.stderr)
    if tokenizer.about:
        print(f"Tokens: {tokenizer.about}.", file=sys.stderr)
    print(prompt, end="", flush=True)
    for piece in pieces:
        print(piece, end="", flush=True)
    print()


def check_model_and_prompt(model: str | None, prompt: str | None) -> None:
    """Raise ValueError unless there is a model and a prompt."""
    if model is None:
        raise ValueError(
            "expected --model: a folder from `twice train` or of another "
            "GPT-2, or a name on the Hugging Face hub (gpt2), got none"
        )
    if not prompt:
        raise ValueError(f"expected --prompt with a text, got {prompt!r}")


def check_sampling(
    temperature: float, top_k: int, top_p: float, seed: int
) -> None:
    """Raise ValueError for settings that leave no token to sample."""
    if not 0 <= temperature < float("inf"):
        raise ValueError(
            "expected --temperature to be finite and at least 0, "
            f"got {temperature}"
        )
    if not 0 < top_p <= 1:
        raise ValueError(
            f"expected --top-p to be above 0 and at most 1, got {top_p}"
        )
    for name, value, least in (("--top-k", top_k, 1), ("--seed", seed, 0)):
        if value < least:
            raise ValueError(
                f"expected {name} to be at least {least}, got {value}"
            )


def about_weights(folder) -> str:
    """Where the weights come from, as far as it is known."""
    from numpy_ref.training.checkpoint import has_training, load_training

    if not has_training(folder.path):
        return f"Weights: {folder.about}, taken as they are."
    training = load_training(folder.path)
    step, steps = training.state.step, training.settings.steps
    if step == 0:
        return f"Weights: {folder.about}, random: not trained yet."
    return (
        f"Weights: {folder.about}, trained by `twice train` for {step:,} "
        f"of {steps:,} steps on {training.about} alone."
    )
