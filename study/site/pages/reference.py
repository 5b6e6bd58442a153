"""Pages of the reference, one for each file, and the front page."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy_ref
from parity_tests.judge.steps.all_properties import properties_of
from parity_tests.twins.finding import Twin, twin_files, twins_of
from parity_tests.twins.gradients import backward, output_name

from ..breaking import BREAKABLE
from ..builtins import BUILTINS
from .documents import checkout

HERE = Path(__file__).parent
DOCTEST = re.compile(r"(^>>> .*(?:\n(?!\n).*)*)", re.MULTILINE)


def reference_page(file: str) -> str:
    """The page of a file: each function, with its two versions."""
    source = Path(numpy_ref.__path__[0], file).read_text("utf-8")
    tree = ast.parse(source)
    parts = [
        f"# {title_of(file)}",
        markdown(ast.get_docstring(tree)),
        "[How to read this page](index.md#how-to-read-a-page)",
    ]
    for twin in twins_of(file):
        docstring = twin.reference.__doc__ or ""
        parts += [
            f"## {twin.name}",
            markdown(inspect.cleandoc(docstring)),
            shapes(twin),
            f"```{{inputs}} {twin.name}\n```",
            f"```{{side-by-side}} {file} {twin.name}\n```",
        ]
        if twin.name in BUILTINS:
            parts.append(f"```{{built-in}} {twin.name}\n```")
        if backward(twin) is not None:
            parts.append(gradient(file, twin))
        if properties_of(twin.name):
            parts.append(f"```{{properties}} {twin.name}\n```")
        if twin.name in BREAKABLE:
            parts.append(f"```{{break-it}} {twin.name}\n```")
    return "\n\n".join(parts) + "\n"


def gradient(file: str, twin: Twin) -> str:
    """The gradient by hand, folded: its derivation, steps, and judge."""
    function, output = backward(twin), output_name(twin)
    return f"""<details class="gradient"><summary>Gradient</summary>

{markdown(inspect.cleandoc(function.__doc__))}

```{{side-by-side}} {file} {function.__name__}
:only: NumPy
```

The oracle is autograd: `{output}.backward(d_{output})` through the
twin; each `d_…` above is compared with the `.grad` of its namesake.

</details>"""


def shapes(twin: Twin) -> str:
    """The shapes of a step in words, from its own annotations."""
    signature = inspect.signature(twin.reference)
    inputs = [
        f"`{name}` {shape_of(parameter.annotation)}"
        for name, parameter in signature.parameters.items()
        if name != "params"
    ]
    result = shape_of(signature.return_annotation)
    return f"{{.shapes}}\n{', '.join(inputs)} → {result}"


def shape_of(annotation) -> str:
    """An annotation in words; its batch axes are left to the reader.

    >>> from jaxtyping import Float
    >>> from numpy import ndarray
    >>> shape_of(Float[ndarray, "*batch query d_head"])
    'query × d_head'
    """
    if hasattr(annotation, "dim_str"):
        axes = annotation.dim_str.replace("#", "").split()
        inner = [axis for axis in axes if axis[0] != "*"]
        return " × ".join(inner) or "one number"
    name = getattr(annotation, "__name__", str(annotation))
    if get_args(annotation) and name in ("tuple", "list", "dict"):
        parts = map(shape_of, get_args(annotation))
        return f"{name} of {', '.join(parts)}"
    return {"int": "a whole number", "float": "a number"}.get(name, name)


def markdown(docstring: str | None) -> str:
    """A docstring as Markdown: its examples become blocks of code."""
    return DOCTEST.sub(r"```pycon\n\1\n```", docstring or "")


def title_of(file: str) -> str:
    """A file's name as the title of its page.

    >>> title_of("variants/distilbert.py")
    'distilbert.py'
    """
    return file.rsplit("/", 1)[-1]


def reference_pages() -> Iterator[tuple[str, str]]:
    """Each page of the reference: its document's name, its source."""
    for file in twin_files():
        yield name_of(file), reference_page(file)


def name_of(file: str) -> str:
    """The document of a file of the reference."""
    return f"reference/{file.removesuffix('.py').replace('/', '-')}"


def about(file: str) -> str:
    """What a file of the reference is about: its docstring's beginning."""
    source = Path(numpy_ref.__path__[0], file).read_text("utf-8")
    return first_paragraph(ast.get_docstring(ast.parse(source)))


def first_paragraph(docstring: str) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join(docstring.split("\n\n")[0].split())


def in_order() -> list[str]:
    """The files of the reference as the map lists them, to be read."""
    listed = (checkout() / "docs" / "reading_order.md").read_text("utf-8")
    return sorted(twin_files(), key=lambda file: place_in(listed, file))


def place_in(listed: str, file: str) -> int:
    """Where the map names a file. Raises ValueError where it does not."""
    place = listed.find(f"../numpy_ref/{file})")
    if place < 0:
        raise ValueError(f"expected {file} in docs/reading_order.md")
    return place


def how_to_read() -> str:
    """What each page of the reference shows, before the list of them."""
    return HERE.joinpath("how_to_read.md").read_text("utf-8")


def front_page() -> str:
    """The front page: what it is, and the learning path from there."""
    front = HERE.joinpath("front.md").read_text("utf-8")
    rows = "\n".join(
        f"{number}. [{title_of(file)}]({name_of(file)}.md): {about(file)}"
        for number, file in enumerate(in_order(), start=1)
    )
    return front.replace("LEARNING PATH", rows)
