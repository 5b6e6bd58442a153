"""`twice view`: what a real model attends to, as numbers and plots."""

import webbrowser
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

SENTENCE = "The artist painted the portrait of a woman with a brush"
HELP = f"""
Show what a real BERT, GPT-2 or Llama attends to.

Prints which heads do what, by stated thresholds. With --plot it also draws
a picture, with --html it writes an interactive page, and with --csv and
--npz it saves the numbers. The default sentence is "{SENTENCE}".
"""


class Kind(StrEnum):
    heads = "heads"
    head = "head"
    tokens = "tokens"
    links = "links"
    metrics = "metrics"
    map = "map"
    rollout = "rollout"
    norms = "norms"


OF_ONE_HEAD = (Kind.head, Kind.norms)
OF_TOKENS = (Kind.tokens, Kind.links)


def view(
    sentence: Annotated[
        str,
        typer.Argument(help="The sentence to read.", show_default=False),
    ] = SENTENCE,
    pair: Annotated[
        str | None,
        typer.Option(
            help="Second sentence, read together with the first as a pair."
        ),
    ] = None,
    model_type: Annotated[
        str | None,
        typer.Option(
            help="Architecture, such as bert, roberta, gpt2 or llama; "
            "default: what the checkpoint says itself.",
            show_default=False,
        ),
    ] = None,
    model_version: Annotated[
        str | None,
        typer.Option(
            help="Checkpoint: a folder, a GGUF file, or a name on the "
            "Hugging Face hub such as bert-base-uncased; default: a small "
            "packaged BERT, or SmolLM2 for llama.",
            show_default=False,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Save a plot to this PNG, SVG or PDF file."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Save a self-contained page to this file: every head, and "
            "how weights are computed; of a long text in one layer "
            "(--layer, else 0)."
        ),
    ] = None,
    open_page: Annotated[
        bool,
        typer.Option("--open", help="Open that page in a browser."),
    ] = False,
    beside: Annotated[
        str | None,
        typer.Option(help="Another text, beside the first on that page."),
    ] = None,
    kind: Annotated[
        Kind | None,
        typer.Option(
            help="Kind of plot; default: whichever the other options "
            "imply, else all heads.",
            show_default=False,
        ),
    ] = None,
    layer: Annotated[
        int | None, typer.Option(help="Layer, counted from 0.")
    ] = None,
    head: Annotated[
        int | None, typer.Option(help="Head of that layer, counted from 0.")
    ] = None,
    tokens: Annotated[
        str | None,
        typer.Option(
            help="Print, and with --plot draw, which heads link these "
            "tokens, by name or position: portrait,brush or 5,11."
        ),
    ] = None,
    metrics: Annotated[
        bool,
        typer.Option(
            "--metrics", help="Print every metric, with definition."
        ),
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option(help="Save every metric of every head to this file."),
    ] = None,
    npz: Annotated[
        Path | None,
        typer.Option(
            help="Save weights, queries, keys and values to this NPZ file."
        ),
    ] = None,
    special: Annotated[
        bool,
        typer.Option(
            "--special/--no-special",
            help="Keep special tokens, or leave them out and renormalise "
            "the rows.",
        ),
    ] = True,
    words: Annotated[
        bool, typer.Option("--words", help="Merge word pieces into words.")
    ] = False,
    truncate: Annotated[
        bool,
        typer.Option(
            "--truncate", help="Truncate texts that are too long."
        ),
    ] = False,
) -> None:
    if html is None:
        check_needs_a_page(open_page, beside)
    if html is None or plot is not None:
        kind = kind_of(kind, layer, head, tokens, metrics)
    from bert_viz import attend_all
    from bert_viz.choosing import position_of
    from bert_viz.measures.metric_table import metric_table
    from bert_viz.plots.saving import SUFFIXES
    from numpy_ref.files import check_path, write_file

    from ..text.progress import progress
    from .parts import arrays_of, chosen_tokens, prepared, start
    from .printing import print_attention, print_links, print_metrics

    for name, path, suffixes in (
        ("--plot", plot, SUFFIXES),
        ("--csv", csv, (".csv",)),
        ("--npz", npz, (".npz",)),
        ("--html", html, (".html", ".htm")),
    ):
        if path is not None:
            check_path(path, suffixes, name)
    texts = [(sentence, pair)]
    texts += [] if beside is None else [(beside, None)]
    attentions = [
        prepared(attention, special, words)
        for attention in attend_all(
            texts,
            model_type,
            model_version,
            truncate,
            watch=progress("loading the model"),
        )
    ]
    attention = attentions[0]
    attention.head(layer or 0, head or 0)  # raises if there is no such head
    chosen = chosen_tokens(tokens)
    places = [position_of(attention, token) for token in chosen]
    table = metric_table(attention)
    tables = [table]
    if attention.special.any() and not attention.special.all():
        tables.append(metric_table(attention, special=False))
    if plot is not None:
        from .drawing import figure_of, save_and_say

        figure = figure_of(kind, attention, table, layer, head, chosen)
        save_and_say(figure, plot)
    if csv is not None:
        write_file(csv, table.as_csv().encode())
    if npz is not None:
        write_file(npz, arrays_of(attention))
    if html is not None:
        from bert_viz.page.data import layers_that_fit
        from bert_viz.page.file import page_of

        layers = layers_that_fit(attentions, layer or 0)
        begin = start(layer, head, table)
        page = page_of(*attentions, neuron_layers=layers, start=begin)
        write_file(html, page.encode())
    print_attention(attention, tables)
    if places:
        print_links(attention, places)
    if metrics:
        print_metrics(tables)
    for path in filter(None, (plot, csv, npz, html)):
        print(path)
    if open_page:
        webbrowser.open(html.resolve().as_uri())


def kind_of(
    kind: Kind | None,
    layer: int | None,
    head: int | None,
    tokens: str | None,
    metrics: bool,
) -> Kind:
    """The kind of plot that the options ask for.

    Raises ValueError for options that do not fit together.
    """
    if kind is None and tokens is not None:
        kind = Kind.links if "," in tokens else Kind.tokens
    if kind is None and not (layer is None and head is None):
        kind = Kind.head
    if kind is None:
        kind = Kind.metrics if metrics else Kind.heads
    if kind in OF_TOKENS and tokens is None:
        raise ValueError(f"expected --tokens with --kind {kind}, got none")
    if kind in OF_ONE_HEAD and (layer is None or head is None):
        raise ValueError(
            f"expected --layer and --head for one head, got --layer "
            f"{layer} and --head {head}"
        )
    return kind


def check_needs_a_page(open_page: bool, beside: str | None) -> None:
    """Raise ValueError for an option of the page without a page."""
    for name, value in (("--open", open_page), ("--beside", beside)):
        if value:
            raise ValueError(f"expected --html with {name}, got none")
