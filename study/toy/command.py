"""`twice transformer`: train the transformer of 2017 on a toy, in NumPy."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

HELP = """
Train the Transformer of 2017 on a toy task, in NumPy alone.

It learns to copy, reverse or sort digits in less than a minute, with
encoder, decoder and cross-attention. Prints how many sequences it gets
right that it was never trained on, and where it looks while it answers one
of them. --picture draws that, with the extra `plots`, and --data saves it
as data for the viewer.
"""

LENGTHS = (6, 32)


class Task(StrEnum):
    reverse = "reverse"
    copy = "copy"
    sort = "sort"


def transformer(
    task: Annotated[
        Task, typer.Option(help="What to do with a sequence of digits.")
    ] = Task.reverse,
    steps: Annotated[
        int, typer.Option(help="Number of training steps.")
    ] = 1200,
    length: Annotated[
        int,
        typer.Option(
            help="Digits of the longest sequences; the shortest have half "
            "as many."
        ),
    ] = 8,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    picture: Annotated[
        Path | None,
        typer.Option(
            help="Save the last layer's cross-attention to this PNG, SVG "
            "or PDF file."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Save the viewer's data of every layer to this JSON file."
        ),
    ] = None,
) -> None:
    check_numbers(steps, length, seed)
    from numpy_ref.files import check_path, write_file

    if picture is not None:
        from bert_viz.plots.saving import SUFFIXES, save

        check_path(picture, SUFFIXES, "--picture")
        import matplotlib  # noqa: F401 (is it there?)
    if data is not None:
        check_path(data, (".json",), "--data")
    from .printing import print_example, print_training
    from .run import Toy

    toy = Toy(task.value, length, seed)
    params = print_training(toy, steps)
    attention = print_example(toy, params, steps)
    if picture is not None:
        from .showing import picture_of

        save(picture_of(attention), picture)
        print(f"\n{picture}")
    if data is not None:
        from bert_viz.page.data import as_json, cross_data

        write_file(data, as_json(cross_data(attention)).encode())
        print(f"\n{data}")


def check_numbers(steps: int, length: int, seed: int) -> None:
    """Raise ValueError for numbers out of range."""
    from numpy_ref.checked import check_at_least

    check_at_least("--steps", steps, 1)
    check_at_least("--seed", seed, 0)
    least, most = LENGTHS
    if not least <= length <= most:
        raise ValueError(
            f"expected --length from {least} to {most}, got {length}"
        )
