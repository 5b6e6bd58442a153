"""Printing for `twice view`: the text, named heads, every metric."""

from itertools import islice, permutations

from rich.console import Console
from rich.table import Table

from bert_viz.attention import Attention
from bert_viz.choosing import name_of
from bert_viz.measures.links import (
    Link,
    links_between,
    links_from,
    links_to,
)
from bert_viz.measures.metric_table import MetricTable
from bert_viz.measures.metrics import metric_named
from bert_viz.measures.patterns import BY_NAME, NamedHead, named_heads
from bert_viz.spelling import readable

MOST_HEADS = 6
SUMMARY = "equal weights", "smallest", "median", "largest", "largest in"
WIDTH = 16  # of a name in a list


def print_attention(
    attention: Attention, tables: list[MetricTable]
) -> None:
    """What was read, and for each table the heads that have a name."""
    say = Console(highlight=False, markup=False, soft_wrap=True).print
    say(
        f"{attention.about}; {attention.layers} layers of "
        f"{attention.heads} heads, counted from 0"
    )
    tokens = " ".join(map(readable, attention.tokens))
    say(f"{len(attention.tokens)} tokens: {tokens}")
    for table in tables:
        say(f"\nheads as layer.head; {table.rows}")
        by_name = named_heads(table)
        if not by_name:
            say("  no head passes the thresholds")
        for name, heads in by_name.items():
            say(f"  {name:{WIDTH}} {listed(heads)}")
            say(f"  {'':{WIDTH}} {BY_NAME[name].condition}")


def listed(heads: list[NamedHead]) -> str:
    """Heads as layer.head, the clearest first; the rest are counted."""
    shown = ", ".join(
        f"{named.layer}.{named.head} ({named.value:.2f})"
        for named in heads[:MOST_HEADS]
    )
    more = len(heads) - MOST_HEADS
    return f"{shown} and {more} more" if more > 0 else shown


def print_links(attention: Attention, places: list[int]) -> None:
    """The heads that link tokens: of one, its strongest; of several, each
    two of them."""
    say = Console(highlight=False, markup=False, soft_wrap=True).print
    if len(places) == 1:
        (place,) = places
        name = name_of(attention, place, "from")
        say(f"\nfrom {name}, to tokens that are not special; as layer.head")
        for link in links_from(attention, place)[:MOST_HEADS]:
            say(
                f"  {head_of(link)} to {name_of(attention, link.key, 'to')}"
            )
        say(f"to {name}")
        for link in links_to(attention, place)[:MOST_HEADS]:
            query = name_of(attention, link.query, "from")
            say(f"  {head_of(link)} from {query}")
    for query, key in permutations(places, 2):
        start = name_of(attention, query, "from")
        end = name_of(attention, key, "to")
        say(f"\nfrom {start} to {end}; as layer.head")
        heads = map(head_of, links_between(attention, query, key))
        shown = ", ".join(islice(heads, MOST_HEADS))
        say(f"  {shown or 'masked: 0 in every head'}")


def head_of(link: Link) -> str:
    return f"{link.layer}.{link.head} ({link.weight:.2f})"


def print_metrics(tables: list[MetricTable]) -> None:
    """Every metric: equal weights, the spread over heads, a definition."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for table in tables:
        console.print()
        console.print(metric_rows(table))
    for metric in map(metric_named, tables[0].values):
        console.print(f"  {metric.name:{WIDTH}} {metric.definition}")
        console.print(f"  {'':{WIDTH}} {metric.source}")


def metric_rows(table: MetricTable) -> Table:
    """A row for each metric: four numbers, and the head with the most."""
    rows = Table(title=table.rows, title_justify="left")
    rows.add_column("metric")
    for column in SUMMARY:
        rows.add_column(column, justify="right")
    for summary in table.summaries():
        layer, head = summary.largest_in
        numbers = [f"{number:.3f}" for number in summary[1:5]]
        rows.add_row(summary.metric, *numbers, f"{layer}.{head}")
    return rows
