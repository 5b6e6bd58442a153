"""Options that `twice generate` and `twice chat` share."""

from typing import Annotated

import typer

Temperature = Annotated[
    float,
    typer.Option(
        help="Sampling temperature: lower is safer; 0 always takes the "
        "most likely token."
    ),
]
TopK = Annotated[
    int,
    typer.Option(
        help="Top-k sampling: sample from the k most likely tokens."
    ),
]
TopP = Annotated[
    float,
    typer.Option(
        help="Top-p (nucleus) sampling: sample from the smallest set of "
        "tokens whose probability reaches p."
    ),
]
MinP = Annotated[
    float,
    typer.Option(
        help="Min-p sampling: leave out tokens less than p times as likely "
        "as the most likely one; 0 for none."
    ),
]
RepetitionPenalty = Annotated[
    float,
    typer.Option(
        help="Repetition penalty: above 1, tokens that were used before "
        "are less likely."
    ),
]
Stop = Annotated[
    list[str] | None,
    typer.Option(
        help="Stop before this text; may be given several times.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option(help="Random seed.")]


def check_sampling(
    temperature: float,
    top_k: int,
    top_p: float,
    min_p: float,
    repetition_penalty: float,
    stop: list[str] | None,
    seed: int,
) -> None:
    """Raise ValueError for settings that leave no token to sample."""
    for name, value in (
        ("--temperature", temperature),
        ("--repetition-penalty", repetition_penalty),
    ):
        if not 0 <= value < float("inf"):
            raise ValueError(
                f"expected {name} to be finite and at least 0, got {value}"
            )
    if repetition_penalty == 0:
        raise ValueError("expected --repetition-penalty above 0, got 0.0")
    if not 0 < top_p <= 1:
        raise ValueError(
            f"expected --top-p to be above 0 and at most 1, got {top_p}"
        )
    if not 0 <= min_p <= 1:
        raise ValueError(f"expected --min-p to be from 0 to 1, got {min_p}")
    if stop and not all(stop):
        raise ValueError("expected --stop with a text, got ''")
    for name, value, least in (("--top-k", top_k, 1), ("--seed", seed, 0)):
        if value < least:
            raise ValueError(
                f"expected {name} to be at least {least}, got {value}"
            )
