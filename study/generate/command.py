"""`twice generate`: continue a text with a GPT-2 or a Llama, in NumPy."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from . import options

if TYPE_CHECKING:
    from .models import WritingModel

HELP = """
Continue a text with a GPT-2 or a Llama, in NumPy alone.

The text appears token by token. A special token in the prompt, such as
<|endoftext|>, is that token. Which weights wrote the text is printed first,
to standard error. With --break one thing in a Llama is broken, and which
layer, head and logit moved is printed after the text.
"""


def generate(
    model: Annotated[
        str | None,
        typer.Option(
            help="Model: smollm2, a folder such as one from `twice train`, "
            "a GGUF file, or a name on the Hugging Face hub such as gpt2.",
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
    temperature: options.Temperature = 0.8,
    top_k: options.TopK = 50,
    top_p: options.TopP = 0.95,
    min_p: options.MinP = 0.0,
    repetition_penalty: options.RepetitionPenalty = 1.0,
    stop: options.Stop = None,
    seed: options.Seed = 0,
    break_: Annotated[
        str | None,
        typer.Option(
            "--break",
            help="Break one thing in a Llama: pairing, grouping, mask, "
            "offset or scale.",
            show_default=False,
        ),
    ] = None,
) -> None:
    check_model_and_prompt(model, prompt)
    options.check_sampling(
        *(temperature, top_k, top_p, min_p),
        *(repetition_penalty, stop, seed),
    )
    from contextlib import nullcontext

    from numpy_ref.checked import check_at_least

    from ..text.progress import progress
    from .breaking import broken, check_breaks
    from .models import at_speed, load_model
    from .writing import SamplingSettings, write

    if break_ is not None:
        check_breaks(break_)
    loaded = load_model(model, progress("loading the model"))
    if break_ is not None and not hasattr(loaded.config, "key_heads"):
        raise ValueError(
            f"expected --break with a Llama, got {loaded.folder.about}"
        )
    tokenizer = loaded.tokenizer
    ids = tokenizer.encode(prompt)
    positions = loaded.config.positions
    if length is None:
        # A prompt without room for one more is refused below.
        length = max(1, min(100, positions - len(ids)))
    check_at_least("--length", length, 0)
    sampling = SamplingSettings(
        *(temperature, top_k, top_p, seed, min_p, repetition_penalty)
    )
    decoding = loaded.decoding(positions)
    if break_ is None:  # else what is broken has to be what reads
        decoding = at_speed(decoding)
    with nullcontext() if break_ is None else broken(break_):
        pieces = write(
            *(ids, decoding, tokenizer.tokens, length, sampling),
            *(tokenizer.ends, stop or ()),
        )
        print(about_weights(loaded.folder), file=sys.stderr)
        if tokenizer.about:
            print(f"Tokens: {tokenizer.about}.", file=sys.stderr)
        print(prompt, end="", flush=True)
        for piece in pieces:
            print(piece, end="", flush=True)
        print()
    if break_ is not None:
        print_moved(loaded, ids, break_)


def print_moved(loaded: "WritingModel", ids, what: str) -> None:
    """Print what the break moved: layers, heads, and logits."""
    from .breaking import broken, read, report

    right = read(ids, loaded.decoding(len(ids)))
    with broken(what):
        wrong = read(ids, loaded.decoding(len(ids)))
    tokens = loaded.tokenizer.tokens
    print(*report(what, right, wrong, tokens), sep="\n")


def check_model_and_prompt(model: str | None, prompt: str | None) -> None:
    """Raise ValueError unless there is a model and a prompt."""
    if model is None:
        raise ValueError(
            "expected --model: smollm2, a folder from `twice train` or of "
            "another GPT-2 or Llama, a GGUF file, or a name on the Hugging "
            "Face hub (gpt2), got none"
        )
    if not prompt:
        raise ValueError(f"expected --prompt with a text, got {prompt!r}")


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
