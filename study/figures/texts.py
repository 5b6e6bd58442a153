"""Texts that show figures: pages and notebooks of a checkout."""

from pathlib import Path

HOUSE = Path(__file__).parents[2]
PATTERNS = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/*.md",
    "study/notebooks/*.md",
)


def texts() -> list[Path]:
    """Every text. The changelog is none: it says what was."""
    return [
        path for pattern in PATTERNS for path in sorted(HOUSE.glob(pattern))
    ]
