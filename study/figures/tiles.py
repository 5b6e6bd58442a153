"""The figure of tiles: what attention needs of memory, by the length.

    python -m study.figures.tiles

draws `docs/tiles.png` again. Bytes are those of NumPy's arrays, counted
while a call is made, beyond its inputs and its output.
"""

import tracemalloc
from collections.abc import Callable
from functools import partial

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from bert_viz.plots.saving import file_of
from numpy_ref.attention import scaled_dot_product_attention
from numpy_ref.fast.tiled_attention import tiled_attention
from numpy_ref.files import write_file

from .texts import HOUSE

FILE = HOUSE / "docs" / "tiles.png"
LENGTHS = (128, 256, 512, 1024, 2048, 4096)
D_HEAD, BLOCK = 64, 256
NOTHING_HIDDEN = np.ones((1, 1), bool)
FORMS = {
    "textbook: all scores": (
        partial(scaled_dot_product_attention, mask=NOTHING_HIDDEN),
        ("#d95f02", "s-"),
    ),
    f"in tiles of {BLOCK}": (
        partial(tiled_attention, mask=NOTHING_HIDDEN, block=BLOCK),
        ("#1f77b4", "o-"),
    ),
}
TITLE = "What attention needs of memory"
DESCRIPTION = (
    "Two lines over the length of the text, on logarithmic axes. What the "
    "textbook's attention needs grows fourfold where the length doubles; "
    "what tiles need grows at most twofold, from a tile's length on, and "
    "soon lies far below."
)


def megabytes(attention: Callable, tokens: int) -> float:
    """What one head needs beyond its inputs and its output, at most."""
    rng = np.random.default_rng(0)
    arrays = rng.normal(size=(3, tokens, D_HEAD)).astype(np.float32)
    attention(*arrays[:, :1])  # what only a first call needs
    tracemalloc.start()
    context = attention(*arrays)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (peak - context.nbytes) / 1e6


def plot_memory(axes, lengths: tuple[int, ...] = LENGTHS) -> None:
    """The memory of one head in float32, textbook and in tiles."""
    for name, (attention, (colour, mark)) in FORMS.items():
        needed = [megabytes(attention, tokens) for tokens in lengths]
        axes.loglog(lengths, needed, mark, color=colour, label=name)
    axes.set_xticks(lengths)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))
    axes.set(
        title="memory of one head beyond its inputs and output",
        xlabel="tokens",
        ylabel="MB",
    )


def plot() -> Figure:
    figure = Figure(figsize=(6.5, 3.8), layout="constrained")
    axes = figure.subplots()
    plot_memory(axes)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def plot_file(suffix: str = ".png") -> bytes:
    """The figure as a file of that suffix."""
    with style.context("default"):
        return file_of(plot(), suffix, TITLE, DESCRIPTION)


if __name__ == "__main__":
    write_file(FILE, plot_file())
