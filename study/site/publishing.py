"""Publishing: previews of each page, `llms.txt`, and nothing unread.

A preview (Open Graph) has a page's title, its first sentence and one
picture for all. Addresses are absolute where `html_baseurl` is set, and
else as seen from the page.
"""

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

from .card import ALT, NAME, SIZE

MOST = 200  # characters of a description
SENTENCE = re.compile(r"(.+?(?<!et al)[.?!])(?=\s|$)")
SECTIONS = {
    "reference": "The reference, side by side",
    "claims": "The claims, measured",
    "notebooks": "Notebooks",
    "api": "API",
    "docs": "Guides",
    "sources": "Optional",
}


def first_sentence(doctree: nodes.document) -> str:
    """The first sentence of a page, for a preview of it."""
    for paragraph in doctree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        match = SENTENCE.match(text)
        return shortened(match[1] if match else text)
    return ""


def shortened(text: str) -> str:
    """A text of a length that a preview shows, cut between words."""
    if len(text) <= MOST:
        return text
    return text[:MOST].rpartition(" ")[0] + " …"


def descriptions(env) -> dict[str, str]:
    """The description of each page, kept from one build to the next."""
    if not hasattr(env, "site_descriptions"):
        env.site_descriptions = {}
    return env.site_descriptions


def describe(app: Sphinx, doctree: nodes.document) -> None:
    """Note the description of a page that was read."""
    descriptions(app.env)[app.env.docname] = first_sentence(doctree)


def forget(app: Sphinx, env, docname: str) -> None:
    """A page that is gone, or read again, has none yet."""
    descriptions(env).pop(docname, None)


def merge(app: Sphinx, env, docnames: list[str], other) -> None:
    """Take over what another process has read."""
    found = descriptions(other)
    descriptions(env).update({name: found[name] for name in docnames})


def preview(app: Sphinx, pagename, templatename, context, doctree) -> None:
    """Put a page's description and preview into its head."""
    if doctree is None:
        return
    about = descriptions(app.env).get(pagename) or first_title(app)
    up = "../" * pagename.count("/")
    properties = {
        "og:type": "website",
        "og:site_name": app.config.html_title,
        "og:title": app.env.titles[pagename].astext(),
        "og:description": about,
        "og:image": (app.config.html_baseurl or up) + NAME,
        "og:image:width": str(SIZE[0]),
        "og:image:height": str(SIZE[1]),
        "og:image:alt": ALT,
    }
    if app.config.html_baseurl:
        properties["og:url"] = app.config.html_baseurl + f"{pagename}.html"
    tags = [f'<meta name="description" content="{escape(about)}">']
    tags += [
        f'<meta property="{name}" content="{escape(value)}">'
        for name, value in properties.items()
    ]
    context["metatags"] = context.get("metatags", "") + "\n".join(tags)


def first_title(app: Sphinx) -> str:
    """What the site is, for a page that says nothing of itself."""
    return descriptions(app.env).get(app.config.root_doc, "")


def write_list(app: Sphinx, error: Exception | None) -> None:
    """Write `llms.txt` beside the pages."""
    if error is None and app.builder.name == "html":
        text = "\n".join(list_of_pages(app)) + "\n"
        Path(app.outdir, "llms.txt").write_text(text, encoding="utf-8")


def list_of_pages(app: Sphinx) -> Iterator[str]:
    """The project in a paragraph, then each page with a sentence."""
    root = app.config.root_doc
    yield f"# {app.config.html_title}\n"
    yield f"> {descriptions(app.env)[root]}"
    sections = {"Pages": [root]}
    for page in in_reading_order(app.env):
        folder, slash, _ = page.partition("/")
        title = SECTIONS[folder] if slash else "Pages"
        sections.setdefault(title, []).append(page)
    for title, pages in sections.items():
        yield f"\n## {title}\n"
        for page in dict.fromkeys(pages):
            address = f"{app.config.html_baseurl}{page}.html"
            about = descriptions(app.env).get(page, "")
            line = f"- [{app.env.titles[page].astext()}]({address})"
            yield f"{line}: {about}" if about else line


def leave_out_maps(app: Sphinx, error: Exception | None) -> None:
    """Remove what only developers of the theme read: a tenth of a site."""
    for path in Path(app.outdir, "_static").rglob("*.map"):
        path.unlink()


def in_reading_order(env) -> list[str]:
    """All pages as the lists of pages lead to them, then the others."""
    order, waiting = [], [env.config.root_doc]
    while waiting:
        page = waiting.pop(0)
        if page not in order:
            order.append(page)
            waiting = [*env.toctree_includes.get(page, ()), *waiting]
    return [*order, *sorted(env.found_docs - {*order})]


def setup(app: Sphinx) -> dict:
    """What Sphinx calls."""
    app.connect("env-purge-doc", forget)
    app.connect("env-merge-info", merge)
    app.connect("doctree-read", describe)
    app.connect("html-page-context", preview)
    app.connect("build-finished", write_list)
    app.connect("build-finished", leave_out_maps)
    return {"version": "1", "parallel_read_safe": True}
