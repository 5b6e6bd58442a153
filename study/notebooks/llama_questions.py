"""The questions of the notebook `real_llama`, each with its check.

As in `questions`: a question takes an answer and what the reader was given,
computes the right answer with the project's own functions, and has a hint
for each common wrong answer.
"""

from math import sqrt

import numpy as np

from numpy_ref.checkpoints.llama_config import LlamaConfig
from numpy_ref.variants.rms_norm import RMSNorm, rms_norm
from numpy_ref.variants.rotary import rotary_tables

from ..generate.breaking import Moved, first_moved
from .answers import Verdict, judged


def queries_of_a_key_head(answer, config: LlamaConfig) -> Verdict:
    """How many query heads look at the keys of one key head."""
    return judged(
        answer,
        config.heads // config.key_heads,
        [
            (config.heads, "That is how many query heads there are."),
            (config.key_heads, "That is how many key heads there are."),
        ],
    )


def numbers_for_a_token(answer, config: LlamaConfig) -> Verdict:
    """How many numbers a cache keeps of one token."""
    heads = 2 * config.layers * config.d_head
    return judged(
        answer,
        heads * config.key_heads,
        [
            (heads * config.heads, "Only the key heads are kept."),
            (heads * config.key_heads // 2, "Keys and values are kept."),
            (
                2 * config.key_heads * config.d_head,
                "Each layer keeps its own.",
            ),
        ],
    )


def a_token_after_rms_norm(answer, token: list[float]) -> Verdict:
    """A token of two features after RMSNorm, without epsilon."""
    x = np.array(token)
    right = rms_norm(x, RMSNorm(np.ones(len(x))), 0.0).tolist()
    centred = x - x.mean()
    return judged(
        answer,
        right,
        [
            ((x / sqrt(x @ x)).tolist(), "The mean of the squares."),
            ((x / (x @ x / len(x))).tolist(), "Take the root."),
            (
                (centred / centred.std()).tolist(),
                "Nothing is centred: that is layer norm.",
            ),
        ],
    )


def angle_of_the_last_pair(
    answer, d_head: int, base: float, position: int
) -> Verdict:
    """By what angle the last pair of features is turned, in radians."""
    cosine, sine = rotary_tables(np.array([float(position)]), d_head, base)
    right = float(np.arctan2(sine[0, -1], cosine[0, -1]))
    return judged(
        answer,
        right,
        [
            (float(position), "That is the first pair's."),
            (position / base, "The exponent is not quite one."),
            (position * base, "A later pair turns more slowly."),
        ],
    )


def breaks_unseen(answer, first_tokens: dict[str, str]) -> Verdict:
    """Which breaks still begin with the token of the unbroken model."""
    right = [
        what
        for what, token in first_tokens.items()
        if what != "nothing" and token == first_tokens["nothing"]
    ]
    rest = [what for what in first_tokens if what not in right]
    return judged(
        answer,
        right,
        [
            (["nothing", *right], "Of the breaks alone."),
            ([w for w in rest if w != "nothing"], "Those are the others."),
        ],
    )


def where_it_began(answer, changes: list[Moved]) -> Verdict:
    """The first layer and head that a break has moved."""
    first = first_moved(changes)
    most = max(changes, key=lambda change: change.weights)
    return judged(
        answer,
        (first.layer, first.head),
        [
            ((first.head, first.layer), "First the layer, then the head."),
            ((most.layer, most.head), "That one moved most, not first."),
        ],
    )
