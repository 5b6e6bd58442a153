r"""Claims about multi-head attention: what one head cannot express.

As in `scale.py`, each function measures, and tests judge.

The task is the smallest one: two tokens of two features, and of each
token one feature is wanted, $f(x_1, x_2) = (x_1[0], x_2[1])$. Three
inputs suffice: $(e_1, e_1)$, $(e_2, e_2)$ and $(e_1, e_2)$.

One head gives $p (x_1 M + b) + (1 - p) (x_2 M + b)$, whatever its width
and whatever p depends on. *It errs by at least √2/4 on one of the three.*
Proof: let δ be its largest error on the first two. There p does not
matter, so $e_1 M + b$ lies within δ of $e_1$, and $e_2 M + b$ within δ of
$e_2$. Its third output lies between the two, so within δ of the segment
from $e_1$ to $e_2$; of that, the target (1, 1) is $1 / \sqrt 2$ away. So
its worst error is at least $\max(\delta, 1 / \sqrt 2 - \delta) \ge
\sqrt 2 / 4$. No training enters, and no luck.

The limit: values come from content only. With a term for the place in
the values one head can be right on all three; it takes more inputs then.
"""

from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from bert_viz.measures.metrics import js_distance
from numpy_ref.attention import (
    attention_scores,
    scaled_dot_product_attention,
)
from numpy_ref.bert import Layer, bert
from numpy_ref.checkpoints.bert import load_bert
from numpy_ref.checkpoints.model_folders import find_model
from numpy_ref.checkpoints.model_tokenizers import tokenizer_of

E1, E2 = np.eye(2)
INPUTS = np.array([[E1, E1], [E2, E2], [E1, E2]])
TARGETS = np.array([E1, E2, E1 + E2])
LEAST_ERROR = sqrt(2) / 4

SENTENCE = "The artist painted the portrait of a woman with a brush"


def worst_errors(matrix: Array, bias: Array, share: Array) -> Array:
    """The largest of the three errors of each single head.

    `matrix` is (head, 2, 2), `bias` (head, 2), and `share`, (head, 3), the
    weight of the first token in each input.
    """
    value = INPUTS @ matrix[:, None] + bias[:, None, None]
    weights = np.stack([share, 1 - share], axis=-1)[..., None, :]
    context = (weights @ value)[..., 0, :]
    return length(context - TARGETS).max(axis=-1)


def random_heads(
    generator: Generator, count: int, width: int
) -> dict[str, Array]:
    """Random single heads of that width, for `worst_errors`."""
    value = generator.normal(size=(count, 2, width))
    output = generator.normal(size=(count, width, 2)) / sqrt(width)
    return {
        "matrix": value @ output,
        "bias": generator.normal(size=(count, 2)),
        "share": generator.uniform(size=(count, 3)),
    }


def best_head() -> dict[str, Array]:
    """The single head that errs by exactly √2/4 on all three inputs."""
    return {
        "matrix": np.eye(2)[None],
        "bias": np.full((1, 2), 1 / 4),
        "share": np.full((1, 3), 1 / 2),
    }


def heads_near_the_best(
    generator: Generator, count: int
) -> dict[str, Array]:
    """The best head, moved a little: by 0.001 to 1."""
    far = 10 ** generator.uniform(-3, 0, size=count)

    def moved(array: Array) -> Array:
        step = generator.normal(size=(count, *array.shape[1:]))
        return array + (step.T * far).T

    heads = {name: moved(array) for name, array in best_head().items()}
    return heads | {"share": heads["share"].clip(0, 1)}


def error_of_two_heads(gap: float) -> float:
    r"""Two heads of width 1 err by at most $\sqrt 2 \, \sigma(-g)$.

    The first carries feature 0 and looks at token 0, the second feature
    1 and token 1, each with a score that is g above the other's. They
    err on (e1, e2) and (e2, e1), and only by the weight they leave to
    the wrong token: so with a gap above ln 3 they are better than any
    single head, and with a large one as good as one likes.
    """
    tokens = np.array([*INPUTS, [E2, E1]])
    value = tokens.swapaxes(-2, -1)[..., None]
    key = np.broadcast_to(gap * np.eye(2)[..., None], value.shape)
    query = np.ones((*value.shape[:2], 1, 1))
    mask = np.ones((1, 2), dtype=bool)
    context = scaled_dot_product_attention(query, key, value, mask)
    targets = np.array([*TARGETS, [0, 0]])
    return float(length(context[..., 0, 0] - targets).max())


def length(x: Array) -> Array:
    return np.sqrt((x * x).sum(axis=-1))


def layers_of_bert(text: str = SENTENCE) -> list[Layer]:
    """What each layer of the packaged BERT computes of a text.

    all-MiniLM-L6-v2 embeds sentences; its heads are its own, and not
    those of bert-base. Raises ModuleNotFoundError when it is not
    installed.
    """
    folder = find_model("bert").path
    checkpoint = load_bert(folder)
    encoded = tokenizer_of(folder).encode(text)
    _, layers = bert(
        encoded.ids,
        encoded.segments,
        np.ones((1, 1), dtype=bool),
        checkpoint.model,
        checkpoint.config.heads,
        checkpoint.config.epsilon,
    )
    return layers


def score_variances(layers: list[Layer]) -> Array:
    r"""A trained head's scores do not have variance 1, either.

    For each layer and head the variance of a query's scaled scores over
    the keys, as softmax sees it, in the mean over queries. Nothing in
    training asks for 1: a head that looks at one place makes it large.
    """
    return np.array(
        [
            attention_scores(layer.query, layer.key)
            .var(axis=-1)
            .mean(axis=-1)
            for layer in layers
        ]
    )


class Distances(NamedTuple):
    """How different the heads of a model are, pair by pair: 0 to 1.

    `closest` and `farthest` are pairs of (layer, head).
    """

    matrix: Array
    least: float
    median: float
    greatest: float
    closest: tuple[tuple[int, int], tuple[int, int]]
    farthest: tuple[tuple[int, int], tuple[int, int]]


def head_distances(layers: list[Layer]) -> Distances:
    """The heads of a real model do not all do the same.

    By the Jensen-Shannon divergence of two heads' weights (`js_distance`),
    in the mean over queries: 0 for equal heads, 1 for heads that never
    look at the same token. Special tokens take part.
    """
    weights = np.concatenate([layer.weights for layer in layers])
    matrix = divergences(weights.astype(np.float64))
    first, second = np.triu_indices(len(matrix), 1)
    pairs = matrix[first, second]
    heads = len(layers[0].weights)

    def named(at: int) -> tuple[tuple[int, int], tuple[int, int]]:
        ends = int(first[at]), int(second[at])
        return divmod(ends[0], heads), divmod(ends[1], heads)

    return Distances(
        matrix,
        float(pairs.min()),
        float(np.median(pairs)),
        float(pairs.max()),
        named(pairs.argmin()),
        named(pairs.argmax()),
    )


def divergences(weights: Array) -> Array:
    """The distance of each head to each, of weights (head, query, key)."""
    return np.stack([js_distance(head, weights) for head in weights])
