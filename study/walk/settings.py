"""Settings of the walk: what a reader can choose, and the limits."""

from dataclasses import dataclass

from numpy_ref.checked import check_at_least, check_divides

CONTEXT_LENGTH = 8
MOST_WINDOWS = 1000
MOST_NUMBERS = 8_000_000  # in the largest array of the walk
MOST = {"--d-model": 4096, "--context-length": 1024, "--seed": 2**63 - 1}


@dataclass(frozen=True)
class Settings:
    """What a reader can choose; `context_length` None fits the text."""

    d_model: int = 64
    heads: int = 4
    context_length: int | None = None
    stride: int | None = None
    dtype: str = "float32"
    seed: int = 0
    tokenizer: str = "bpe"


def check_settings(settings: Settings) -> None:
    """Raise ValueError for settings outside of the limits."""
    options = {
        "--d-model": settings.d_model,
        "--context-length": settings.context_length,
        "--stride": settings.stride,
    }
    for name, value in options.items():
        if value is not None:
            check_at_least(name, value, 1)
    for name, value in (options | {"--seed": settings.seed}).items():
        if value is not None and value > MOST.get(name, value):
            raise ValueError(
                f"expected {name} to be at most {MOST[name]}, got {value}"
            )
    check_at_least("--seed", settings.seed, 0)
    check_divides("--heads", settings.heads, "--d-model", settings.d_model)


def most_windows(context_length: int, settings: Settings) -> int:
    """How many windows there is room for, at least one."""
    widest = max(settings.d_model, settings.heads * context_length)
    return max(
        1, min(MOST_WINDOWS, MOST_NUMBERS // (context_length * widest))
    )


def chosen(option: int | None, otherwise: int) -> int:
    return otherwise if option is None else option
