"""Sphinx's configuration of the study site."""

from pathlib import Path

from study.site import revision as revisions
from study.site.symbols import HUES, SYMBOLS

project = "Attention, Twice"
author = "the authors of Attention, Twice"
html_title = "Attention, Twice"
extensions = [
    "myst_parser",
    "study.site.side_by_side",
    "study.site.directives",
    "study.site.publishing",
]
myst_enable_extensions = ["dollarmath", "attrs_block"]
myst_heading_anchors = 3
html_theme = "pydata_sphinx_theme"
template_bridge = "study.site.minified.Templates"
html_math_renderer = "mathml"
html_show_search_summary = False  # it would fetch each page
html_show_sourcelink = False
html_copy_source = False
templates_path = [str(Path(__file__).with_name("templates"))]
html_static_path = [str(Path(__file__).with_name("static"))]
html_css_files = ["site.css", "claims.css"]
html_js_files = [
    ("site.js", {"defer": "defer"}),
    ("temperature.js", {"defer": "defer"}),
]
# Only the guides have a list beside them.
WITHOUT_LIST = ("*", "reference/*", "sources/*", "api/*", "notebooks/*")
WITHOUT_LIST += ("claims/*",)
html_sidebars = {pages: [] for pages in WITHOUT_LIST}
add_module_names = False  # each stands under its module
python_use_unqualified_type_names = True
toc_object_entries = False  # a list of all names, beside a list of all
html_context = {"default_mode": "auto"}
html_theme_options = {
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_align": "left",
}
side_by_side_packages = {"NumPy": "numpy_ref", "PyTorch": "torch_impl"}
side_by_side_symbols = SYMBOLS
side_by_side_hues = HUES
side_by_side_revision = revisions.revision()
results_revision = revisions.results_revision()
side_by_side_values = "study.site.directives:kept_values_of"


def template_of(app, name: str, *_) -> str | None:
    """The template of a page that has one of its own."""
    return "source.html" if name.startswith("sources/") else None


def setup(app) -> None:
    """What Sphinx calls."""
    app.connect("html-page-context", template_of)
