"""A page inside of a notebook: a frame of its own, or a picture.

The frame is a document for itself (`srcdoc`) that may run its scripts and
download what it saves, and reach nothing of the notebook (`sandbox`).
Where a viewer runs no scripts or shows no frames, there is the picture of
all heads below, folded away.
"""

from base64 import b64encode
from html import escape

from ..attention import Attention
from .file import page_of

HEIGHT = 720  # pixels; what does not fit is scrolled


class Frame:
    """What a notebook shows of a page."""

    def __init__(
        self,
        page: str,
        picture: bytes | None,
        words: str,
        height: int = HEIGHT,
    ):
        self.page, self.picture, self.words = page, picture, words
        self.height = int(height)

    def __repr__(self) -> str:
        return f"<Frame: {self.words}>"

    def _repr_png_(self) -> bytes | None:
        """For a viewer that shows no HTML at all."""
        return self.picture

    def _repr_html_(self) -> str:
        frame = (
            f'<iframe sandbox="allow-scripts allow-downloads" '
            f'title="{escape(self.words)}" srcdoc="{escape(self.page)}" '
            f'style="width:100%;height:{self.height}px;border:0"></iframe>'
        )
        if self.picture is None:
            return frame
        data = b64encode(self.picture).decode()
        return (
            f"{frame}<details><summary>Where no scripts run: a picture"
            f'</summary><img style="max-width:100%" '
            f'alt="{escape(self.words)}" '
            f'src="data:image/png;base64,{data}"></details>'
        )


def show(
    attention: Attention,
    other: Attention | None = None,
    neuron_layers: tuple[int, ...] = (0,),
    start: str = "view=model",
    height: int = HEIGHT,
) -> Frame:
    """The page of `page_of` in a notebook, so many pixels high.

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
