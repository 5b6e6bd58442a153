"""The questions of the notebook `real_bert`, each with its check.

As in `questions`: a question takes an answer and what the reader was given,
computes the right answer with the project's own functions, and has a hint
for each common wrong answer.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from math import exp, log

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from bert_viz import Attention, from_arrays
from bert_viz.measures.head_map import head_distances
from bert_viz.measures.metric_table import (
    MetricTable,
    averaged,
    metric_table,
)
from bert_viz.measures.metrics import effective_keys
from bert_viz.measures.norms import norm_shares
from bert_viz.measures.rollout import rollout
from bert_viz.plots.tokens import position_of
from bert_viz.words import joined
from numpy_ref.layers import Linear
from numpy_ref.tokenizers.bert_words import Placed
from numpy_ref.tokenizers.wordpiece import cut_word

from .answers import Verdict, judged
from .questions import rounded

ORDER = "First the layer, then the head."


def features_of_a_head(answer, d_model: int, heads: int) -> Verdict:
    """How many features the query of one head has."""
    return judged(
        answer,
        d_model // heads,
        [
            (d_model, "That is for all heads together; they share it."),
            (d_model * heads, "The heads share the features."),
            (heads, "That is how many heads there are."),
        ],
    )


def pieces_of_a_word(
    answer, vocabulary: Sequence[str], word: str
) -> Verdict:
    """The word pieces of a word."""
    placed = Placed(word, [*range(len(word))])
    right = [piece.token for piece in cut_word(placed, vocabulary)]
    plain = [piece.removeprefix("##") for piece in right]
    first = min(
        (piece for piece in vocabulary if word.startswith(piece)), key=len
    )
    return judged(
        answer,
        right,
        [
            (plain, "A piece that continues a word begins with ##."),
            (
                [first, f"##{word.removeprefix(first)}"],
                "The longest piece that fits comes first.",
            ),
            (
                shortest_pieces(vocabulary, word),
                "The longest piece that fits comes first.",
            ),
            ([word], "The vocabulary does not have the whole word."),
        ],
    )


def shortest_pieces(vocabulary: Sequence[str], word: str) -> list[str]:
    """A word, always cut after the shortest piece that fits."""
    pieces: list[str] = []
    rest = word
    while rest:
        fit = [piece for piece in vocabulary if rest.startswith(piece)]
        if not fit:
            break
        pieces.append(min(fit, key=len))
        rest = rest.removeprefix(pieces[-1])
        rest = rest and f"##{rest}"
    return pieces


def numbers_of_all_heads(answer, attention: Attention) -> Verdict:
    """How many weights there are."""
    layers, heads, tokens, _ = attention.weights.shape
    return judged(
        answer,
        attention.weights.size,
        [
            (layers * heads * tokens, "Each token looks at every token."),
            (tokens**2, "That is one head."),
            (heads * tokens**2, "That is one layer."),
            (layers * heads, "That is how many heads there are."),
        ],
    )


def most_looked_at(
    answer, attention: Attention, layer: int, head: int, token: int | str
) -> Verdict:
    """The token that another one looks at most."""
    position = position_of(attention, token)
    weights = attention.head(layer, head)
    looked_at, looks = (
        attention.tokens[row.argmax()]
        for row in (weights[position], weights[:, position])
    )
    return judged(
        answer,
        looked_at,
        [
            (
                looks,
                "That one looks at it. What a token looks at is its row.",
            )
        ],
    )


def strongest_feature(
    answer,
    query: Float[Array, " d_head"],
    key: Float[Array, " d_head"],
) -> Verdict:
    """The feature that adds most to the score of a query with a key."""
    products = query * key
    right = int(products.argmax())
    return judged(
        answer,
        right,
        [
            (int(products.argmin()), "That one takes away the most."),
            (
                int(query.argmax()),
                "It counts only together with the key's.",
            ),
            (
                int(key.argmax()),
                "It counts only together with the query's.",
            ),
            (right + 1, "Features are counted from 0."),
        ],
    )


def head_between(
    answer, attention: Attention, token: int | str, target: int | str
) -> Verdict:
    """The head in which one token looks most at another."""
    query, key = (position_of(attention, end) for end in (token, target))
    right = greatest(attention.weights[..., query, key])
    return judged(
        answer,
        right,
        [
            (right[::-1], ORDER),
            (
                greatest(attention.weights[..., key, query]),
                "There the second looks most at the first.",
            ),
        ],
    )


def greatest(numbers: Float[Array, "layer head"]) -> tuple[int, int]:
    layer, head = np.unravel_index(numbers.argmax(), numbers.shape)
    return int(layer), int(head)


def effective_number(answer, row: Sequence[float]) -> Verdict:
    """The number of equally weighted keys that a row amounts to."""
    attention = one_head([row] * len(row))
    right = float(effective_keys(attention)[0, 0])
    return judged(
        answer,
        right,
        [
            (len(row), "That would be so if all weights were equal."),
            (log(right), "That is the entropy; raise e to it."),
            (np.log2(right), "That is the entropy in bits; raise 2 to it."),
            *(
                (
                    wrong,
                    "Take the entropy undivided.",
                )
                for share in [log(right) / log(len(row))]
                for wrong in (share, exp(share))
            ),
            *rounded(right),
        ],
    )


def one_head(rows, tokens: Sequence[str] = "abcdefgh", **more) -> Attention:
    """The attention of a single head, in a single layer."""
    weights = np.array(rows, dtype=np.float64)[None, None]
    return from_arrays([*tokens[: len(rows)]], weights, **more)


def head_with_most(
    answer, metric: str, table: MetricTable, other: MetricTable
) -> Verdict:
    """The head with the most of a metric; `other` is the wrong table."""
    right = greatest(table.values[metric])
    return judged(
        answer,
        right,
        [
            (right[::-1], ORDER),
            (
                greatest(other.values[metric]),
                f"That is from the other table: {other.rows}.",
            ),
        ],
    )


def mean_over_texts(answer, numbers: Sequence[float | None]) -> Verdict:
    """A metric's mean over texts; None where it means nothing."""
    empty = metric_table(one_head([[1.0]]))
    tables = [
        replace(
            empty,
            values={"self": np.ones((1, 1))}
            | (
                {}
                if value is None
                else {"punctuation": np.full((1, 1), value)}
            ),
            baselines={"self": 1.0, "punctuation": 0.0},
        )
        for value in numbers
    ]
    right = float(averaged(tables).values["punctuation"][0, 0])
    known = [value for value in numbers if value is not None]
    return judged(
        answer,
        right,
        [
            (
                sum(known) / len(numbers),
                "A text without punctuation does not count as zero.",
            )
        ],
    )


def nearest_head(
    answer, attention: Attention, layer: int, head: int
) -> Verdict:
    """The head whose weights are most like those of another."""
    own = layer * attention.heads + head
    distances = head_distances(attention)[own]
    distances[own] = np.inf
    nearest = divmod(int(distances.argmin()), attention.heads)
    return judged(
        answer,
        nearest,
        [
            ((layer, head), "That is the head itself."),
            (nearest[::-1], ORDER),
            (
                divmod(int(distances.argsort()[-2]), attention.heads),
                "That one is the farthest.",
            ),
        ],
    )


def weight_of_words(answer, tokens, rows, query: str, key: str) -> Verdict:
    """The weight from one word to another when their pieces are joined."""
    attention = one_head(rows, tokens)
    words = joined(attention)
    positions = [words.tokens.index(word) for word in (query, key)]
    right = float(words.weights[(0, 0, *positions)])
    pieces = tokens_of_words(tokens)
    block = np.array(rows)[np.ix_(pieces[query], pieces[key])]
    return judged(
        answer,
        right,
        [
            (block.sum(), "Take the mean over the pieces that look."),
            (
                block.mean(),
                "Take the sum over the pieces looked at.",
            ),
            (block.max(), "All pieces of a word take part."),
        ],
    )


def tokens_of_words(tokens: Sequence[str]) -> dict[str, list[int]]:
    """The positions of each word's pieces."""
    words: list[tuple[str, list[int]]] = []
    for position, token in enumerate(tokens):
        if token.startswith("##"):
            word, positions = words.pop()
            words.append((word + token[2:], [*positions, position]))
        else:
            words.append((token, [position]))
    return dict(words)


def tokens_of_a_pair(answer, first: int, second: int) -> Verdict:
    """How many tokens BERT reads for a pair of sentences."""
    both = first + second
    return judged(
        answer,
        both + 3,
        [
            (both, "The special tokens are read, too."),
            (both + 2, "Each sentence has a [SEP] after it."),
            (both + 4, "There is one [CLS] for both."),
        ],
    )


def head_that_changed_most(
    answer, first: Attention, second: Attention
) -> Verdict:
    """The head in which the most weight has moved."""
    moved = abs(second.weights - first.weights).sum(axis=(-2, -1))
    right = greatest(moved)
    summed = (second.weights - first.weights).sum(axis=(-2, -1))
    return judged(
        answer,
        right,
        [
            (right[::-1], ORDER),
            (greatest(-moved), "That is where the least has moved."),
            (
                greatest(summed),
                "What is lost counts as much as what is gained.",
            ),
        ],
    )


def rolled_out(answer, rows, layers: int) -> Verdict:
    """The first token's share in itself after several equal layers."""
    weights = np.array([rows] * layers, dtype=np.float64)[:, None]
    attention = from_arrays([*"abcdefgh"[: len(rows)]], weights)
    shares = rollout(attention)[:, 0, 0]
    pure = np.linalg.matrix_power(np.array(rows, float), layers)[0, 0]
    return judged(
        answer,
        float(shares[-1]),
        [
            (float(shares[0]), "That is after the first layer."),
            (pure, "In each layer, half of a token is the token itself."),
            (
                float(shares[0]) ** layers,
                "Some of it comes back through the other token.",
            ),
        ],
    )


def share_of_the_norm(
    answer, weights: Sequence[float], lengths: Sequence[float]
) -> Verdict:
    """The first key's share of a row, by norm."""
    count = len(weights)
    values = np.array(lengths, dtype=np.float64)[None, None, :, None]
    attention = one_head(
        [weights] * count,
        values=values,
        outputs=(Linear(np.eye(1), np.zeros(1)),),
    )
    right = float(norm_shares(attention)[0, 0, 0, 0])
    return judged(
        answer,
        right,
        [
            (weights[0], "That is its share of the weights."),
            (
                weights[0] * lengths[0],
                "That is the norm; divide it by the sum of both.",
            ),
            (lengths[0] / sum(lengths), "The weights count as well."),
            (1 - right, "That is the other key's share."),
            *rounded(right),
        ],
    )


def least_tokens_left_open(answer, d_head: int) -> Verdict:
    """The number of tokens from which an output leaves weights open."""
    return judged(
        answer,
        d_head + 2,
        [
            (
                d_head + 1,
                "That many are determined: they sum to one.",
            ),
            (d_head, "That many are determined by the output alone."),
        ],
    )


# The claims of the last section, and why each does or does not follow.
CLAIMS = {
    "a": "In the first sentence, the head that was drawn by weight and by "
    "norm gives most of its weight to [CLS].",
    "b": "The model decides by [CLS], since most of the weight goes there.",
    "c": "bert-base has a previous-token head in its first layer.",
    "d": "Over these sentences, the clearest previous-token head gives far "
    "more weight to the previous token than equal weights would.",
    "e": "Without that previous-token head, sentences would be embedded "
    "worse.",
}
FOLLOW = ("a", "d")
WHY_NOT = {
    "b": "A weight does not say what is carried: b does not follow.",
    "c": "These are another model's weights: c does not follow.",
    "e": "Nobody has taken the head out: e does not follow from weights.",
}


def claims_that_follow(answer) -> Verdict:
    """Which of `CLAIMS` can be read off the weights."""
    letters = answer
    if isinstance(answer, list | tuple | set):
        letters = sorted(str(letter).lower() for letter in answer)
    return judged(
        letters,
        [*FOLLOW],
        [(sorted(wrong), why) for wrong, why in mistaken_sets().items()],
    )


def mistaken_sets() -> dict[tuple[str, ...], str]:
    """Every wrong set of letters, and why it is wrong."""
    reasons = {}
    for count in range(1, len(CLAIMS) + 1):
        for letters in combinations(CLAIMS, count):
            wrong = [letter for letter in letters if letter in WHY_NOT]
            reasons[letters] = (
                WHY_NOT[wrong[0]]
                if wrong
                else "One more of them was measured."
            )
    return reasons
