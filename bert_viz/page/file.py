"""One self-contained HTML page that shows the attention of a model.

    write_page("attention.html", attend("A cat sat."))

The page holds its data, style and scripts (`assets/`); its content
security policy lets nothing else run and nothing be loaded. The scripts
are ES modules, one idea a file; here they are joined into one script,
each module a constant, in the order in which they import each other.
"""

import re
from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path

from numpy_ref.files import write_file

from ..attention import Attention
from .data import as_json, page_data

# Modules that need no browser, so that tests can run them anywhere.
PURE_MODULES = (
    "state",
    "unpacking",
    "selecting",
    "panels",
    "arithmetic",
    "norms",
    "links",
    "ranking",
    "layout",
    "telling",
    "colours",
    "marks",
    "scene",
    "csv",
    "head_lines",
    "head_saving",
    "neuron",
    "neuron_strips",
    "neuron_saving",
)
MODULES = (
    *PURE_MODULES,
    "canvas",
    "elements",
    "legend",
    "sentence",
    "enlarged",
    "head_view",
    "model_view",
    "neuron_view",
    "metrics_view",
    "table_view",
    "saving",
    "controls",
    "main",
)
IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./(\w+)\.js";$', re.M)
EXPORT = re.compile(r"^export ((?:async )?(?:function|const) (\w+))", re.M)


def page_of(
    attention: Attention,
    other: Attention | None = None,
    neuron_layers: tuple[int, ...] = (0,),
    start: str = "view=model",
) -> str:
    """The HTML page of one text, or of two texts of the same model.

    For `neuron_layers` the page also holds queries, keys and values, to
    show how weights are computed. `start` is what it shows first, written
    as after the # of a link to a view. Raises ValueError for two models,
    and for a layer out of range.
    """
    data = page_data(attention, other, neuron_layers) | {"start": start}
    script = joined_modules(MODULES)
    style = page_file("style.css")
    parts = {
        "policy": policy(script, style),
        "title": escape(f"Attention: {attention.about}"),
        "style": style,
        "data": as_json(data),
        "script": script,
    }
    # In one pass, so that a {{name}} within a part is left alone.
    return re.sub(
        r"\{\{(\w+)\}\}",
        lambda placeholder: parts[placeholder[1]],
        page_file("page.html"),
    )


def write_page(
    path: str | Path,
    attention: Attention,
    other: Attention | None = None,
    neuron_layers: tuple[int, ...] = (0,),
    start: str = "view=model",
) -> None:
    """Write `page_of` into a file, whole or not at all.

    Raises ValueError as `page_of` does, and for a path where no file can
    be written.
    """
    text = page_of(attention, other, neuron_layers, start)
    write_file(Path(path), text.encode())


def joined_modules(names: tuple[str, ...]) -> str:
    """Join modules into one script, each after those that it imports."""
    return "\n".join(
        as_constant(name, page_file(f"{name}.js")) for name in names
    )


def as_constant(name: str, module: str) -> str:
    """A module as a constant: its exports as an object, in its own scope.

    >>> print(as_constant("sums", "export const one = 1;"))
    const $sums = (() => {
    const one = 1;
    return { one };
    })();
    """
    exported = ", ".join(export[2] for export in EXPORT.finditer(module))
    body = EXPORT.sub(r"\1", IMPORT.sub(r"const \1 = $\2;", module))
    return (
        f"const ${name} = (() => {{\n{body.rstrip()}\n"
        f"return {{ {exported} }};\n}})();"
    )


def page_file(name: str) -> str:
    return (files("bert_viz.page") / "assets" / name).read_text("utf-8")


def policy(script: str, style: str) -> str:
    """Content security policy: this script, this style, nothing else."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src '{fingerprint(script)}'",
            f"style-src '{fingerprint(style)}'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def fingerprint(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
