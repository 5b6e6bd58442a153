"""Links: which heads go from one token to another, and how strongly."""

from typing import NamedTuple

from ..attention import Attention


class Link(NamedTuple):
    """A head, and its weight from a query to a key, given by position."""

    layer: int
    head: int
    query: int
    key: int
    weight: float


def links_between(attention: Attention, query: int, key: int) -> list[Link]:
    """All heads, by their weight from a query to a key, the largest first.

    Of equal ones the first in the model's order.
    """
    return strongest_first(attention, [(query, key)])


def links_from(attention: Attention, query: int) -> list[Link]:
    """What a query looks at, in all heads: another token, none special."""
    keys = range(len(attention.key_tokens))
    return strongest_first(
        attention,
        [
            (query, key)
            for key in keys
            if key != query and not attention.key_special[key]
        ],
    )


def links_to(attention: Attention, key: int) -> list[Link]:
    """What looks at a key, in all heads: another token, none special."""
    queries = range(len(attention.tokens))
    return strongest_first(
        attention,
        [
            (query, key)
            for query in queries
            if query != key and not attention.special[query]
        ],
    )


def strongest_first(
    attention: Attention, ends: list[tuple[int, int]]
) -> list[Link]:
    """The links of all heads between these queries and keys, but masked
    ones."""
    links = [
        Link(layer, head, query, key, float(weight))
        for query, key in ends
        if attention.mask[query, key]
        for layer, heads in enumerate(attention.weights[..., query, key])
        for head, weight in enumerate(heads)
    ]
    return sorted(links, key=lambda link: -link.weight)
