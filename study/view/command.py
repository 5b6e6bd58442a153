"""`twice view`: what a real model attends to, in numbers and in plots."""

import webbrowser
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

SENTENCE = "The artist painted the portrait of a woman with a brush"
HELP = f"""
See what a real BERT attends to in a sentence: which heads do what, found
by stated thresholds; with --plot as a picture, with --html as a page, with
--csv and --npz as numbers. Without a sentence, this one is taken:
"{SENTENCE}".
"""


class Kind(StrEnum):
    heads = "heads"
    head = "head"
    tokens = "tokens"
    metrics = "metrics"
    map = "map"
    rollout = "rollout"
    norms = "norms"


OF_ONE_HEAD = (Kind.head, Kind.norms)


def view(
    sentence: Annotated[
        str, typer.Argument(help="The text.", show_default=False)
    ] = SENTENCE,
    pair: Annotated[
        str | None,
        typer.Option(help="A second text, as BERT reads pairs."),
    ] = None,
    model_type: Annotated[
        str, typer.Option(help="The architecture: bert or gpt2.")
    ] = "bert",
    model_version: Annotated[
        str | None,
        typer.Option(
            help="A folder, or a name on the hub such as "
            "bert-base-uncased; else a small BERT that is a package.",
            show_default=False,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw into this file: PNG, SVG or PDF."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Write a page that needs nothing beside it: every head, "
            "and the arithmetic of one layer (--layer, else 0)."
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
            help="What to draw; else what the other options are for, or "
            "all heads.",
            show_default=False,
        ),
    ] = None,
    layer: Annotated[
        int | None, typer.Option(help="One layer, from 0.")
    ] = None,
    head: Annotated[
        int | None, typer.Option(help="One head of it, from 0.")
    ] = None,
    tokens: Annotated[
        str | None,
        typer.Option(
            help="Draw the weights from and to these tokens, by name or "
            "by place: portrait,brush or 5,11."
        ),
    ] = None,
    metrics: Annotated[
        bool,
        typer.Option("--metrics", help="Print every metric, defined."),
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option(help="Every metric of every head into this file."),
    ] = None,
    npz: Annotated[
        Path | None,
        typer.Option(help="Weights, queries, keys, values as NumPy's NPZ."),
    ] = None,
    special: Annotated[
        bool,
        typer.Option(
            "--special/--no-special",
            help="With special tokens, or without them and rows "
            "renormalised.",
        ),
    ] = True,
    words: Annotated[
        bool, typer.Option("--words", help="Join word pieces into words.")
    ] = False,
    truncate: Annotated[
        bool,
        typer.Option("--truncate", help="Cut off what is too long."),
    ] = False,
) -> None:
    if html is None:
        check_needs_a_page(open_page, beside)
    if html is None or plot is not None:
        kind = kind_of(kind, layer, head, tokens, metrics)
    from bert_viz import attend_all
    from bert_viz.measures.metric_table import metric_table
    from bert_viz.plots.saving import SUFFIXES, save
    from numpy_ref.files import check_path, write_file

    from .parts import arrays_of, chosen_tokens, prepared, start
    from .printing import print_attention, print_metrics

    for name, path, suffixes in (
        ("--plot", plot, SUFFIXES),
        ("--csv", csv, (".csv",)),
        ("--npz", npz, (".npz",)),
        ("--html", html, (".html", ".htm")),
    ):
        if path is not None:
            check_path(path, suffixes, name)
    read = [(sentence, pair)] + ([] if beside is None else [(beside, None)])
    found = [
        prepared(one, special, words)
        for one in attend_all(read, model_type, model_version, truncate)
    ]
    attention = found[0]
    attention.head(layer or 0, head or 0)  # are there such?
    table = metric_table(attention)
    tables = [table]
    if attention.special.any() and not attention.special.all():
        tables.append(metric_table(attention, special=False))
    if plot is not None:
        from .drawing import figure_of

        chosen = chosen_tokens(tokens)
        figure = figure_of(kind, attention, table, layer, head, chosen)
        save(figure, plot)
    if csv is not None:
        write_file(csv, table.as_csv().encode())
    if npz is not None:
        write_file(npz, arrays_of(attention))
    if html is not None:
        from bert_viz.page.file import page_of

        chosen = (layer or 0,) if attention.values is not None else ()
        page = page_of(
            *found, neuron_layers=chosen, start=start(layer, head)
        )
        write_file(html, page.encode())
    print_attention(attention, tables)
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
    """What is to be drawn, by the options that were given.

    Raises ValueError for options that do not fit together.
    """
    if kind is None and tokens is not None:
        kind = Kind.tokens
    if kind is None and not (layer is None and head is None):
        kind = Kind.head
    if kind is None:
        kind = Kind.metrics if metrics else Kind.heads
    if kind is Kind.tokens and tokens is None:
        raise ValueError("expected --tokens with --kind tokens, got none")
    if kind in OF_ONE_HEAD and (layer is None or head is None):
        raise ValueError(
            f"expected --layer and --head for one head, got --layer "
            f"{layer} and --head {head}"
        )
    return kind


def check_needs_a_page(open_page: bool, beside: str | None) -> None:
    """Raise ValueError for what only a page can do, without one."""
    for name, given in (("--open", open_page), ("--beside", beside)):
        if given:
            raise ValueError(f"expected --html with {name}, got none")
