"""Progress bar: on standard error, with an estimate, once work is long."""

import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

PATIENCE = 1.0  # seconds without a bar

Item = TypeVar("Item")


def progress(description: str, total: int | None = None) -> partial:
    """A function that passes items on and shows how many were done.

    `total` is their number where they have no length of their own.
    """
    return partial(watched, description=description, total=total)


def watched(
    items: Iterable[Item], description: str, total: int | None
) -> Iterator[Item]:
    """The items, one by one; the bar begins after PATIENCE seconds."""
    console = Console(stderr=True)
    bar = Progress(
        console=console, transient=True, disable=not console.is_terminal
    )
    if total is None:
        total = len(items)
    task = bar.add_task(description, total=total)
    began = time.monotonic()
    try:
        for item in items:
            yield item
            bar.advance(task)
            if time.monotonic() - began >= PATIENCE:
                bar.start()  # once; later ones do nothing
    finally:
        bar.stop()
