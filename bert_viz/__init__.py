"""Attention of real models: read, measured, plotted.

>>> from bert_viz import attend
>>> attention = attend("A cat sat.", "It slept.")      # doctest: +SKIP
>>> attention.weights.shape                            # doctest: +SKIP
(6, 12, 10, 10)

Each name below is imported when it is first used, so that `import
bert_viz` loads neither a model's reader nor Matplotlib.
"""

from importlib import import_module

from .arrays import from_arrays
from .attention import Attention

__all__ = [
    "Attention",
    "attend",
    "attend_all",
    "from_arrays",
    "heads_of",
    "metric_table",
    "plot_heads",
    "show",
]

ROOMS = {
    "attend": ".attending",
    "attend_all": ".attending",
    "heads_of": ".measures.patterns",
    "metric_table": ".measures.metric_table",
    "plot_heads": ".plots.heads",
    "show": ".page.frame",
}


def __getattr__(name: str):
    if name not in ROOMS:
        raise AttributeError(f"module {__name__} has no attribute {name!r}")
    return getattr(import_module(ROOMS[name], __name__), name)


def _picture(attention: Attention) -> bytes | None:
    from .page.frame import picture_of

    return picture_of(attention)


# Set here, because plots import `Attention`, and not the reverse.
Attention._repr_png_ = _picture
