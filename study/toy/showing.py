"""What the toy has learned to look at: as a table, a picture, and data."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from bert_viz.arrays import from_arrays
from bert_viz.attention import Attention
from numpy_ref.training.transformer import TransformerConfig
from numpy_ref.variants.transformer import Transformer, transformer

from .run import CONFIG, greedy_decoding
from .tasks import BEGIN, END, FIRST, TOKENS, Sequence, pairs_of


def cross_attention_of(
    params: Transformer,
    source: Sequence,
    length: int,
    about: str,
    config: TransformerConfig = CONFIG,
) -> Attention:
    """The decoder's cross-attention while it answers one source.

    A row is that of the token which is written, not of the one before it,
    which the decoder reads then. Raises ValueError unless the weights are
    what queries and keys give.
    """
    pairs = pairs_of([source], lambda source: source)
    (row,) = greedy_decoding(
        *(params, pairs.source_ids, pairs.source_mask, length + 1)
    ).tolist()
    written = row[: row.index(END) + 1] if END in row else row
    read = np.array([[BEGIN, *written[:-1]]])
    _, layers, _ = transformer(
        *(pairs.source_ids, read, pairs.source_mask, params),
        *(config.heads, config.epsilon),
    )
    heads = [layer.cross_attention for layer in layers]
    return from_arrays(
        [TOKENS[index] for index in written],
        [head.weights for head in heads],
        about,
        special=np.array(written) < FIRST,
        queries=[head.query for head in heads],
        keys=[head.key for head in heads],
        values=[head.value for head in heads],
        outputs=tuple(
            block.cross_attention.attention.output
            for block in params.decoder.blocks
        ),
        key_tokens=[TOKENS[index] for index in source],
    )


def last_layer(attention: Attention) -> Float[Array, "query key"]:
    """The weights of the last layer, as a mean of its heads."""
    return attention.weights[-1].mean(axis=0)


def table_of(attention: Attention) -> Iterator[str]:
    """The last layer's weights in percent, line by line."""
    width = max(map(len, attention.tokens))
    yield " " * width + "".join(f"{t:>5}" for t in attention.key_tokens)
    for token, weights in zip(
        attention.tokens, last_layer(attention), strict=True
    ):
        cells = "".join(f"{100 * weight:5.0f}" for weight in weights)
        yield f"{token:>{width}}{cells}"


def picture_of(attention: Attention):
    """A heat map of the same: source along x, target along y."""
    from bert_viz.plots.describing import describe
    from bert_viz.plots.head import axes_for
    from bert_viz.plots.heat_map import colour_bar, draw, write_numbers
    from bert_viz.plots.token_labels import label_tokens, token_labels

    axes = axes_for(attention)
    weights = last_layer(attention)
    image = draw(axes, weights, 0, 1)
    colour_bar(image, "weight")
    label_tokens(
        axes.yaxis, token_labels(attention.tokens), "target (query)"
    )
    label_tokens(
        axes.xaxis, token_labels(attention.key_tokens), "source (key)"
    )
    write_numbers(image)
    title = f"Cross-attention of the last layer, {mean_of(attention)}"
    describe(
        axes,
        [title, attention.about],
        f"A heat map of weights: the rows are the {len(weights)} tokens "
        f"that are written, the columns the {weights.shape[1]} tokens of "
        f"the source. {most_looked_at(attention)}",
    )
    return axes


def mean_of(attention: Attention) -> str:
    heads = attention.heads
    return "its one head" if heads == 1 else f"mean of {heads} heads"


def most_looked_at(attention: Attention) -> str:
    """Where each row has its largest weight, in words."""
    places = last_layer(attention).argmax(axis=-1)
    rows = zip(attention.tokens, places, strict=True)
    looks = [
        f"{token} at {attention.key_tokens[place]} (token {place})"
        for token, place in rows
    ]
    return f"What each looks at most: {', '.join(looks)}."
