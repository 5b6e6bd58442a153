"""Questions about variants: right answers, and hints for wrong ones."""

from fractions import Fraction

import numpy as np
import pytest

from study.notebooks import variants_questions

SLOPES = np.array([0.5, 0.1, 0.2])
BIAS = -SLOPES[:, None, None] * (np.arange(3)[:, None] - np.arange(3))
FOUR = float(np.log(4))
LATENT = {"d_head": 16, "d_latent": 60, "d_rotary": 12}

# A question, its arguments, the right answer, and each wrong one with the
# hint for it.
ANSWERS = {
    "place_in_the_source": (
        {"length": 7, "written": 2},
        4,
        {2: "a copy", 5: "counted from 0", 7: "some are written"},
    ),
    "earlier_tokens_reached": (
        {"layers": 3, "window": 5},
        12,
        {
            13: "no earlier one",
            15: "the query's own",
            4: "one layer",
            5: "one query",
            125: "no factor",
        },
    ),
    "head_that_looks_farthest": (
        {"bias": BIAS},
        1,
        {0: "steepest", 3: "counted from 0"},
    ),
    "weight_of_the_future": (
        {"cap": FOUR},
        Fraction(1, 5),
        {
            0: "the mask comes last",
            0.5: "and not zero",
            0.8: "the other key",
            0.25: "the sum of both",
        },
    ),
    "sum_of_a_row": (
        {"scores_in_ln_2": [0, 2], "sink_in_ln_2": 1},
        Fraction(5, 7),
        {
            1: "without a sink",
            Fraction(2, 7): "the sink takes",
            5: "Divide by the sum",
        },
    ),
    "key_heads_of_the_same_cache": (
        LATENT,
        2.25,
        {
            4.5: "a key and a value",
            Fraction(15, 8): "turned key",
            72: "how many heads",
        },
    ),
    "recalled": (
        {"values": [16.0, 8.0], "beta": 0.25},
        5,  # a quarter of 16, and then a quarter of what is missing
        {
            24: "the sum",
            6: "first taken off",
            8: "a beta of one",
            2: "not gone altogether",
        },
    ),
    "where_a_sum_stops": (
        {"bits": 5},
        32,
        {31: "power of two", 16: "1 apart", 64: "2 apart", 33: "a tie"},
    ),
    "ratio_of_weights": (
        {"scores": [40.1, 40.0], "bits": 8},
        1,
        {float(np.exp(40.1 - 40.0)): "before", 0: "exp comes next"},
    ),
    "what_becomes_of_the_sum": (
        {"seen": [0.0, 1.0], "coming": [3.0, 2.0]},
        float(np.exp(-2)),  # from a maximum of 1 to one of 3
        {
            float(np.exp(2)): "shrinks",
            float(np.exp(-1)): "wherever it stands",
            1: "no larger score",
            -2: "exponent",
        },
    ),
    "scores_of_a_round": (  # rank 0 holds 0 1 2 9 10 11, 6 queries
        {"tokens": 12, "ranks": 2},
        18,
        {36: "whole block", 72: "all its queries"},
    ),
    "window_of_a_distance": (
        {"furthest": 4},
        5,
        {4: "own key", 3: "still seen"},
    ),
}
WRONG = [
    (name, wrong, hint)
    for name, (_, _, mistakes) in ANSWERS.items()
    for wrong, hint in mistakes.items()
]


@pytest.mark.parametrize("name", ANSWERS)
def test_the_right_answer_is_accepted_and_no_other(name):
    arguments, right, _ = ANSWERS[name]
    question = getattr(variants_questions, name)
    assert question(right, **arguments).right
    assert not question(np.pi, **arguments).right


@pytest.mark.parametrize(("name", "wrong", "hint"), WRONG)
def test_a_common_wrong_answer_gets_its_hint(name, wrong, hint):
    arguments, _, _ = ANSWERS[name]
    verdict = getattr(variants_questions, name)(wrong, **arguments)
    assert not verdict.right
    assert hint in verdict.text
