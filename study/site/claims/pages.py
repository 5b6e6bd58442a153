"""Pages of the claims: their texts, filled with what was measured.

A text is Markdown with names in double braces. Each is a number, a plot or
a link that was made in this build; a name without one fails the build.
"""

import ast
from collections.abc import Callable, Iterator
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from ..kept import Kept
from ..pages.documents import checkout, source_document
from ..pages.glossary import address_of
from . import causal, counts, heads, order, saturation, scale, temperature

TESTS = "parity_tests/tests/claims"
CLAIMS: dict[str, Callable[[], dict]] = {
    "scale": scale.shown,
    "saturation": saturation.shown,
    "temperature": temperature.shown,
    "causal": causal.shown,
    "heads": heads.shown,
    "order": order.shown,
    "counts": counts.shown,
}
TEXTS = Environment(
    loader=PackageLoader(__package__, "."), undefined=StrictUndefined
)


def claim_pages(kept: Kept) -> Iterator[tuple[str, str]]:
    """Each page's document and its source; the last leads to all."""
    values = {
        name: kept.result(f"the claim {name}", shown)
        for name, shown in CLAIMS.items()
    }
    titles = {}
    for name, shown in values.items():
        template = TEXTS.get_template(f"{name}.md")
        text = template.render(shown, held_by=held_by, steps=steps)
        titles[name] = text.partition("\n")[0].removeprefix("# ")
        yield f"claims/{name}", text
    index = TEXTS.get_template("index.md")
    names = "\n".join(CLAIMS)
    yield "claims/index", index.render(values, titles=titles, names=names)


def claim_tests() -> set[str]:
    """The files of the tests to which the pages lead."""
    return {
        f"{TESTS}/test_{name}.py"
        for name in ("scale", "softmax", "heads", "order")
    }


def steps(*names: str) -> str:
    """Links to the pages of steps."""
    return ", ".join(f"[`{name}`](../{address_of(name)})" for name in names)


def held_by(file: str, *names: str) -> str:
    """Tests of that name: a link to the file, and their code, folded."""
    path = f"{TESTS}/{file}"
    parts = [
        f"[`{file}`](../{source_document(path)}.md) asks for it in each "
        "run of the project's tests:"
    ]
    parts += [
        f"<details><summary><code>{name}</code></summary>\n\n"
        f"```python\n{source_of_test(path, name)}\n```\n\n</details>"
        for name in names
    ]
    return "\n\n".join(parts)


def source_of_test(path: str, name: str) -> str:
    """A test as it stands in its file. Raises ValueError for none."""
    source = (checkout() / path).read_text("utf-8")
    for node in parsed(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            first = min(
                [node.lineno, *(d.lineno for d in node.decorator_list)]
            )
            lines = source.splitlines()[first - 1 : node.end_lineno]
            return "\n".join(lines)
    raise ValueError(f"expected {name} in {path}")


parsed = cache(ast.parse)
