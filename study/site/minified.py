"""Minified pages: the same HTML in fewer bytes.

Templates indent and explain themselves, and Pygments gives an element to
every word of code, also to those that look like any text: a quarter of a
site. What is shown stays, and so do line breaks where they mean something
(`pre`), and all that is no markup: `script`, `style`, `template`.
"""

import re

from sphinx.jinja2glue import BuiltinTemplateLoader

TAG = r"""<[^"'>]*(?:"[^"]*"[^"'>]*|'[^']*'[^"'>]*)*>"""
PART = re.compile(
    r"(?P<kept><(script|style|template|textarea)\b.*?</\2>)"
    r"|(?P<signature><dt class=\"sig .*?</dt>)"
    r"|(?P<python><div class=\"highlight-python notranslate\">.*?</pre>)"
    r"|(?P<lines><pre\b.*?</pre>)"
    r"|(?P<break>\s*\n\s*(?:<!--.*?-->\s*)*)"
    r"|(?P<unsaid><!--.*?-->|</t[dhr]>(?=</?t[abdhr]))"
    rf"|(?P<tag>{TAG})",
    re.DOTALL,
)
VALUE = re.compile(r"""=(?:"([^"]*)"|'([^']*)')(?=[\s>])""")
NEEDS_QUOTES = re.compile(r"""[\s"'=<>`]|^$""")
# Names, punctuation, white space: of the colour of the whole, in both
# themes (`site.css`).
PLAIN = ("n", "p", "w")
WORD = re.compile(rf'<span class="(?:{"|".join(PLAIN)})">([^<]*)</span>')
# In a signature each of them is told from prose again, which only keeps a
# line from breaking inside of it; and there is nothing to break it at.
CODE = re.compile(r'<span class="pre">([^<]*)</span>')


def minified(html: str) -> str:
    """A page in fewer bytes, which shows the same."""
    return PART.sub(shorter, html)


def shorter(part: re.Match) -> str:
    """A part of a page: a signature, code, a line break, or a tag.

    A comment, and the end of a cell or row before what ends it, goes.
    """
    if part["kept"]:
        return part["kept"]
    if part["signature"]:
        words = CODE.sub(r"\1", part["signature"])
        return re.sub(TAG, unquoted, plain(words))
    if part["python"]:
        return re.sub(TAG, unquoted, plain(part["python"]))
    if part["lines"]:
        return re.sub(TAG, unquoted, part["lines"])
    if part["break"]:
        return "\n"
    return unquoted(part) if part["tag"] else ""


def plain(code: str) -> str:
    """Code without the elements around plain words, and around those."""
    inner = WORD.sub(r"\1", code)
    return inner if inner == code else plain(inner)


def unquoted(tag: re.Match) -> str:
    """A tag, its values without quotes where they need none."""
    return VALUE.sub(without_quotes, tag[0])


def without_quotes(value: re.Match) -> str:
    inner = value[1] or value[2] or ""
    return value[0] if NEEDS_QUOTES.search(inner) else f"={inner}"


class Templates(BuiltinTemplateLoader):
    """Sphinx's templates, whose pages are minified."""

    def render(self, template: str, context: dict) -> str:
        page = super().render(template, context)
        return minified(page) if template.endswith(".html") else page
