"""The questions of the notebook `variants`, each with its check.

As in `questions`: a question takes an answer and what the reader was given,
computes the right answer with the project's own functions, and has a hint
for each common wrong answer.
"""

from math import inf, log

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from numpy_ref.attention import softmax
from numpy_ref.fast.partial_attention import add_key_block, nothing_seen
from numpy_ref.fast.ring_attention import part_in_sight, zigzag_positions
from numpy_ref.variants.gated_delta import recurrent_gated_delta
from numpy_ref.variants.half_precision import round_to
from numpy_ref.variants.linear_attention import recurrent_linear_attention
from numpy_ref.variants.sinks import sink_softmax
from numpy_ref.variants.sliding_window import sliding_window_mask
from numpy_ref.variants.soft_cap import soft_cap

from ..toy.tasks import TASKS
from .answers import Verdict, judged


def place_in_the_source(answer, length: int, written: int) -> Verdict:
    """Which token of the source is written next, when it is reversed."""
    places = TASKS["reverse"](tuple(range(length)))
    return judged(
        answer,
        places[written],
        [
            (written, "That is where a copy would look."),
            (length - written, "Places are counted from 0."),
            (length, "Places are counted from 0, and some are written."),
        ],
    )


def earlier_tokens_reached(answer, layers: int, window: int) -> Verdict:
    """On how many earlier tokens the last of some layers may depend."""
    tokens = layers * window + 1
    near = sliding_window_mask(tokens, tokens, window)
    reached = np.linalg.matrix_power(near.astype(float), layers)[-1] > 0
    right = int(reached.sum()) - 1
    return judged(
        answer,
        right,
        [
            (right + 1, "The token itself is no earlier one."),
            (
                layers * window,
                "Of each window, one key is the query's own.",
            ),
            (window - 1, "That is one layer; the next adds its own."),
            (window, "That is what one query of one layer sees."),
            (window**layers, "A layer adds to the reach, it is no factor."),
        ],
    )


def head_that_looks_farthest(
    answer, bias: Float[Array, "head query key"]
) -> Verdict:
    """The head whose bias takes least from the key that is furthest."""
    right = int(bias[:, -1, 0].argmax())
    return judged(
        answer,
        right,
        [
            (int(bias[:, -1, 0].argmin()), "Its slope is the steepest."),
            (len(bias), "Heads are counted from 0."),
        ],
    )


def weight_of_the_future(answer, cap: float) -> Verdict:
    """What a masked key gets of two, when the cap comes after the mask."""
    capped = soft_cap(np.array([0.0, -inf]), cap)
    right = float(softmax(capped)[1])
    return judged(
        answer,
        right,
        [
            (0, "So it is when the mask comes last."),
            (0.5, "It has become minus the cap, and not zero."),
            (float(softmax(capped)[0]), "That is what the other key gets."),
            (float(np.exp(-cap)), "Divide by the sum of both."),
        ],
    )


def sum_of_a_row(
    answer, scores_in_ln_2: list[int], sink_in_ln_2: int
) -> Verdict:
    """What the weights of a row sum to beside a sink."""
    scores = log(2) * np.array([[scores_in_ln_2]], dtype=float)
    sink = log(2) * np.array([sink_in_ln_2], dtype=float)
    mask = np.ones(scores.shape, bool)
    right = float(sink_softmax(scores, sink, mask).sum())
    return judged(
        answer,
        right,
        [
            (1, "So it is without a sink."),
            (1 - right, "That is what the sink takes."),
            (
                float(np.exp(scores).sum()),
                "Divide by the sum, that of the sink with it.",
            ),
        ],
    )


def key_heads_of_the_same_cache(
    answer, d_head: int, d_latent: int, d_rotary: int
) -> Verdict:
    """Of how many key heads a cache is as large as that of a latent."""
    kept = d_latent + d_rotary
    return judged(
        answer,
        kept / (2 * d_head),
        [
            (kept / d_head, "A key head keeps a key and a value."),
            (d_latent / (2 * d_head), "The turned key is kept, too."),
            (kept, "That is how many numbers; how many heads have them?"),
        ],
    )


def recalled(answer, values: list[float], beta: float) -> Verdict:
    """What a state answers to a key that is written again and again."""
    value = np.array(values)[:, None]
    one, state = np.ones_like(value), np.zeros((1, 1))
    never_fades = np.zeros(len(values))
    rule = recurrent_gated_delta(
        *(one, one, value, never_fades, np.full(len(values), beta)), state
    )
    summed = recurrent_linear_attention(one, one, value, state)
    right, of_all = (float(context[-1, 0]) for context, _ in (rule, summed))
    return judged(
        answer,
        right,
        [
            (of_all, "That is the sum, of linear attention."),
            (beta * of_all, "What is recalled is first taken off."),
            (values[-1], "So it is with a beta of one."),
            (
                beta * values[-1],
                "What was written before has not gone altogether.",
            ),
        ],
    )


def where_a_sum_stops(answer, bits: int) -> Verdict:
    """Which sum does not grow by a one that is added, in so many bits."""
    total = np.zeros(1)
    while (grown := round_to(total + 1, bits)) != total:
        total = grown
    right = int(total[0])
    return judged(
        answer,
        right,
        [
            (
                right - 1,
                "The next one is a power of two: it needs one bit.",
            ),
            (right // 2, "From there on neighbours are 1 apart."),
            (
                2 * right,
                "Neighbours are 2 apart before, from a half of it.",
            ),
            (right + 1, "That lies between two neighbours: a tie."),
        ],
    )


def ratio_of_weights(answer, scores: list[float], bits: int) -> Verdict:
    """The ratio of two weights whose scores were rounded."""
    first, second = round_to(np.array(scores), bits)
    difference = first - second
    return judged(
        answer,
        float(np.exp(difference)),
        [
            (
                float(np.exp(scores[0] - scores[1])),
                "So it is before the scores are rounded.",
            ),
            (
                difference,
                "That is how far the scores are apart; exp comes next.",
            ),
        ],
    )


def what_becomes_of_the_sum(
    answer, seen: list[float], coming: list[float]
) -> Verdict:
    """By which factor online softmax multiplies what it has summed."""
    query = np.ones((1, 1))
    value, mask = np.zeros((1, 1)), np.ones((1, 1), bool)
    running = nothing_seen(query, value)
    maxima = []
    for scores in (seen, coming):
        key = np.array(scores)[:, None]
        values = np.zeros((len(scores), 1))
        running = add_key_block(running, query, key, values, mask)
        maxima.append(running.maximum.item())
    before, after = maxima
    right = float(np.exp(before - after))
    return judged(
        answer,
        right,
        [
            (1 / right, "The sum shrinks: the new maximum is larger."),
            (
                float(np.exp(before - coming[-1])),
                "The largest of all scores counts, wherever it stands.",
            ),
            (1, "That is so where the new block has no larger score."),
            (before - after, "That is the exponent."),
        ],
    )


def scores_of_a_round(answer, tokens: int, ranks: int) -> Verdict:
    """How many scores a rank computes in a round, for what comes to it."""
    queries = zigzag_positions(tokens, ranks, 0)
    keys = zigzag_positions(tokens, ranks, 1)
    first, end = part_in_sight(queries, keys)
    return judged(
        answer,
        (len(queries) - first) * end,
        [
            (
                len(queries) * len(keys),
                "That is the whole block, of which half is out of sight.",
            ),
            (
                int((keys <= queries[:, None]).sum()),
                "It is not told token by token: a half is left out.",
            ),
            (tokens**2 // ranks, "That is all its queries with all keys."),
        ],
    )


def window_of_a_distance(answer, furthest: int) -> Verdict:
    """The window in which a key may be so far back, and no further."""
    keys = furthest + 2
    right = next(
        window
        for window in range(1, keys + 1)
        if sliding_window_mask(keys, keys, window)[-1, 1]
    )
    return judged(
        answer,
        right,
        [
            (furthest, "The query's own key is one of them."),
            (furthest - 1, "This distance is still seen."),
        ],
    )
