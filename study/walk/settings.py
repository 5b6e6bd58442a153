"""What a reader can choose of the walk, and what no walk can have."""

from dataclasses import dataclass

from numpy_ref.checked import check_at_least, check_divides

LENGTH = 8
MOST_WINDOWS = 1000
MOST_NUMBERS = 8_000_000  # in the largest array of the walk
MOST = {"--d-model": 4096, "--context-length": 1024, "--seed": 2**63 - 1}


@dataclass(frozen=True)
class Settings:
    """What the reader can choose; `context_length` None fits the text."""

    d_model: int = 64
    heads: int = 4
    context_length: int | None = None
    stride: int | None = None
    dtype: str = "float32"
    seed: int = 0
    tokenizer: str = "bpe"


def check_settings(settings: Settings) -> None:
    """Raise ValueError for settings that no walk can have."""
    options = {
        "--d-model": settings.d_model,
        "--context-length": settings.context_length,
        "--stride": settings.stride,
    }
    for name, number in options.items():
        if number is not None:
            check_at_least(name, number, 1)
    for name, number in (options | {"--seed": settings.seed}).items():
        if number is not None and number > MOST.get(name, number):
            most = MOST[name]
            raise ValueError(f"expected {name} up to {most}, got {number}")
    check_at_least("--seed", settings.seed, 0)
    check_divides("--heads", settings.heads, "--d-model", settings.d_model)


def most_windows(context_length: int, settings: Settings) -> int:
    """How many windows there is room for; one at least."""
    widest = max(settings.d_model, settings.heads * context_length)
    return max(
        1, min(MOST_WINDOWS, MOST_NUMBERS // (context_length * widest))
    )


def chosen(option: int | None, otherwise: int) -> int:
    return otherwise if option is None else option
