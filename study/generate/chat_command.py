"""`twice chat`: a conversation with a model that was trained to chat."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from . import options

if TYPE_CHECKING:
    from .chat import Chat

HELP = """
Chat with a small Llama, in NumPy alone.

Type a message and press Enter; the answer appears token by token. The keys
and values of the whole conversation are kept, so that each turn reads only
what is new. An empty line or Ctrl-D ends the chat, Ctrl-C an answer.
"""


def chat(
    model: Annotated[
        str,
        typer.Option(
            help="Model with a chat template: smollm2, a folder, a GGUF "
            "file, or a name on the Hugging Face hub."
        ),
    ] = "smollm2",
    system: Annotated[
        str | None,
        typer.Option(
            help="System message: how the model is to answer.",
            show_default=False,
        ),
    ] = None,
    length: Annotated[
        int, typer.Option(help="Number of tokens of an answer, at most.")
    ] = 200,
    temperature: options.Temperature = 0.2,
    top_k: options.TopK = 50,
    top_p: options.TopP = 0.9,
    min_p: options.MinP = 0.0,
    repetition_penalty: options.RepetitionPenalty = 1.1,
    stop: options.Stop = None,
    seed: options.Seed = 0,
) -> None:
    options.check_sampling(
        *(temperature, top_k, top_p, min_p),
        *(repetition_penalty, stop, seed),
    )
    from numpy_ref.checked import check_at_least

    from ..text.progress import progress
    from .chat import Chat
    from .models import load_model
    from .writing import SamplingSettings

    check_at_least("--length", length, 1)
    loaded = load_model(model, progress("loading the model"))
    sampling = SamplingSettings(
        *(temperature, top_k, top_p, seed, min_p, repetition_penalty)
    )
    conversation = Chat(loaded, sampling, length, system, stop or ())
    print(f"Weights: {loaded.folder.about}.", file=sys.stderr)
    while message := ask():
        answer(conversation, message)


def ask() -> str:
    """The next message; empty where there is none."""
    if sys.stdin.isatty():
        print("> ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def answer(conversation: "Chat", message: str) -> None:
    """Print an answer, piece by piece; Ctrl-C ends it."""
    try:
        for piece in conversation.answer(message):
            print(piece, end="", flush=True)
    except KeyboardInterrupt:
        print(" …", end="")
    print()
