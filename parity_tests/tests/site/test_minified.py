"""Minified pages: a parser of HTML reads the same from fewer bytes."""

import configparser
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pydata_sphinx_theme
import pytest
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from pygments.styles import get_style_by_name
from pygments.token import STANDARD_TYPES

from study.site.minified import PLAIN, minified

SOURCE = 'def f(x):\n    """One."""\n\n    return x[0] + 1  # a < b\n'
PAGE = """<!DOCTYPE html>
<html lang="en" data-root="../">
  <head>
    <meta charset="utf-8" />
    <!-- what the template is for,
         and more -->
    <script>
      // <!-- no comment of HTML -->
      const a = "b";

      let   c = 'class="d"';
    </script>
    <style>  a > b {  color:  red }  </style>
  </head>
  <body class="">
    <p title="a 'quoted' word" data-a='with="both" of'>One,
       two  <em class="n">three</em> <!-- here --> four.</p>
    <a href="../a.html?b=c" rel="next" class='d f'>à &lt;b&gt;</a>
    <img alt="" src="a/b.png"/><br/>
    <template class="source">def f():

    return "class='a'"
</template>
    <pre class="plain">a   b

<span class="n">c</span> <mark class="e">d</mark></pre>
    <table class="heat"><tr><td class="minus">4</td><td>2</td></tr><tr>
      <th scope="row">a</th><td></td></tr></table>
  </body>
</html>"""
VERBATIM = ("pre", "script", "style", "template")
ENDED_BY_WHAT_FOLLOWS = ("td", "th", "tr")


class Reader(HTMLParser):
    """What a page says, in order: its tags, and its texts."""

    def __init__(self, page: str):
        super().__init__()
        self.said, self.within = [""], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.within += [tag] if tag in VERBATIM else []
        self.said += [(tag, attributes), ""]

    def handle_endtag(self, tag):
        if tag in self.within:
            self.within.remove(tag)
        if tag not in ENDED_BY_WHAT_FOLLOWS:
            self.said += [tag, ""]

    def handle_data(self, data):
        if not self.within:
            data = re.sub(r"\s*\n\s*", "\n", data)
        self.said[-1] += data


def read(page: str) -> list:
    """What a page says, without what no browser shows."""
    said = Reader(page).said
    return [
        each for each in said if not isinstance(each, str) or each.strip()
    ]


def python(source: str = SOURCE) -> str:
    """A block of code as Sphinx writes it."""
    block = highlight(source, PythonLexer(), HtmlFormatter())
    return f'<div class="highlight-python notranslate">{block}</div>'


def test_a_page_says_the_same_in_fewer_bytes():
    less = minified(PAGE)
    assert read(less) == read(PAGE)
    assert len(less) < 0.85 * len(PAGE)
    assert "template is for" not in less
    assert "<html lang=en data-root=../>" in less
    assert "<td class=minus>4<td>2<tr>\n<th scope=row>a<td></table>" in less


@pytest.mark.parametrize("tag", ["script", "style", "template", "pre"])
def test_where_spaces_mean_something_they_stay(tag):
    inner = r"<TAG\b[^>]*>(.*?)</TAG>".replace("TAG", tag)
    (before,) = re.findall(inner, PAGE, re.DOTALL)
    (after,) = re.findall(inner, minified(PAGE), re.DOTALL)
    assert after == before.replace('"n"', "n").replace('"e"', "e")


def test_code_loses_the_elements_of_plain_words_and_no_character():
    less = minified(python())
    text = unescape(re.sub("<[^>]*>", "", less))
    assert text.rstrip("\n") == SOURCE.rstrip("\n")
    assert "<span class=k>def</span> <span class=nf>f</span>(x):" in less
    other = python().replace("highlight-python", "highlight-sh")
    assert "<span class=n>x</span>" in minified(other)


# As Sphinx writes `f(x: F[int, 'a b']) -> "F"`, with a link.
SIGNATURE = (
    '<dt class="sig sig-object py" id="m.f">'
    '<span class="sig-name descname"><span class="pre">f</span></span>'
    '<em class="sig-param"><span class="n"><span class="pre">x</span>'
    '</span><span class="p"><span class="pre">:</span></span>'
    '<span class="w"> </span><span class="n"><a class="reference" '
    'href="#m.F"><span class="pre">F</span></a><span class="p">'
    '<span class="pre">[</span></span><span class="s">'
    '<span class="pre">&#39;a</span> <span class="pre">b&#39;</span>'
    "</span></span></em></dt>"
)


def test_a_signature_loses_the_same_and_keeps_its_links():
    assert minified(SIGNATURE + '<dd class="n">text</dd>') == (
        '<dt class="sig sig-object py" id=m.f>'
        '<span class="sig-name descname">f</span>'
        "<em class=sig-param>x: <span class=n>"
        "<a class=reference href=#m.F>F</a>[<span class=s>&#39;a b&#39;"
        "</span></span></em></dt><dd class=n>text</dd>"
    )


def styles() -> list[str]:
    """The colours of code in the theme, by day and by night."""
    theme = Path(pydata_sphinx_theme.__file__).parent / "theme"
    settings = configparser.ConfigParser()
    settings.read(theme / "pydata_sphinx_theme" / "theme.conf")
    return [
        settings["options"][f"pygments_{scheme}_style"]
        for scheme in ("light", "dark")
    ]


@pytest.mark.parametrize("name", styles())
def test_plain_words_look_like_the_text_around_them(name):
    style = get_style_by_name(name)
    tokens = {short: token for token, short in STANDARD_TYPES.items()}
    around = style.style_for_token(tokens[""])
    for short in PLAIN:
        assert style.style_for_token(tokens[short]) == around
    assert style.style_for_token(tokens["k"]) != around
