"""A page inside a notebook: an iframe, or a picture where none is shown.

The frame is a document of its own (`srcdoc`) that may run its scripts and
download what it saves, but cannot reach the notebook (`sandbox`). For
viewers that run no scripts or show no frames, a picture of all heads is
folded away below.
"""

from base64 import b64encode
from html import escape

from ..attention import Attention
from .file import page_of

HEIGHT = 720  # pixels; what does not fit is scrolled


class Frame:
    """A page as a notebook shows it; `title` is its accessible name."""

    def __init__(
        self,
        page: str,
        picture: bytes | None,
        title: str,
        height: int = HEIGHT,
    ):
        self.page, self.picture, self.title = page, picture, title
        self.height = int(height)

    def __repr__(self) -> str:
        return f"<Frame: {self.title}>"

    def _repr_png_(self) -> bytes | None:
        """For viewers that show no HTML at all."""
        return self.picture

    def _repr_html_(self) -> str:
        frame = (
            f'<iframe sandbox="allow-scripts allow-downloads" '
            f'title="{escape(self.title)}" srcdoc="{escape(self.page)}" '
            f'style="width:100%;height:{self.height}px;border:0"></iframe>'
        )
        if self.picture is None:
            return frame
        data = b64encode(self.picture).decode()
        return (
            f"{frame}<details><summary>A picture, in case scripts do "
            f'not run</summary><img style="max-width:100%" '
            f'alt="{escape(self.title)}" '
            f'src="data:image/png;base64,{data}"></details>'
        )


def show(
    attention: Attention,
    other: Attention | None = None,
    neuron_layers: tuple[int, ...] = (0,),
    start: str = "view=model",
    height: int = HEIGHT,
) -> Frame:
    """The page of `page_of` in a notebook, `height` pixels high.

    Raises ValueError as `page_of` does.
    """
    return Frame(
        page_of(attention, other, neuron_layers, start),
        picture_of(attention),
        f"Attention, every layer and head: {attention.about}",
        height,
    )


def picture_of(attention: Attention) -> bytes | None:
    """All heads as a PNG, where Matplotlib is installed."""
    try:
        from ..plots.heads import png_of
    except ModuleNotFoundError:
        return None
    return png_of(attention)
