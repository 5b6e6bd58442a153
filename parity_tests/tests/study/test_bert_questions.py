"""Each question about a BERT's attention accepts only the right answer.

The right ones are worked out by hand here, from small enough weights.
"""

from math import log

import numpy as np
import pytest

from bert_viz import from_arrays
from bert_viz.measures.metric_table import metric_table
from study.notebooks import bert_questions

PREVIOUS, NEXT, EQUAL = (
    np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0]], float),
    np.array([[0, 1, 0], [0, 0, 1], [0, 0, 1]], float),
    np.full((3, 3), 1 / 3),
)
MIXED = np.array([[0.2, 0.5, 0.3], [0.8, 0.1, 0.1], [0.25, 0.25, 0.5]])
TOKENS = ["a", "b", "c"]
SMALL = from_arrays(
    TOKENS,
    np.array(
        [[PREVIOUS, NEXT, EQUAL], [EQUAL, MIXED, (EQUAL + MIXED) / 2]]
    ),
)
CHANGED = from_arrays(
    TOKENS,
    np.array(
        [[PREVIOUS, NEXT, MIXED], [EQUAL, MIXED, (EQUAL + MIXED) / 2]]
    ),
)
MIXED_HEAD = {"attention": SMALL, "layer": 1, "head": 1}
WORDS = {
    "tokens": ["a", "lamp", "##light"],
    "rows": [[0.5, 0.25, 0.25], [0.3, 0.4, 0.3], [0.5, 0.25, 0.25]],
}

# A question, its arguments, the right answer, a wrong one and its hint.
ANSWERS = {
    "features_of_a_head": (
        {"d_model": 384, "heads": 12},
        (32, 384, "they share it"),
    ),
    "pieces_of_a_word": (
        {"vocabulary": ["un", "und", "##do", "##o"], "word": "undo"},
        (["und", "##o"], ["un", "##do"], "longest piece"),
    ),
    "numbers_of_all_heads": (
        {"attention": SMALL},
        (2 * 3 * 3 * 3, 2 * 3 * 3, "Each token looks at every"),
    ),
    "most_looked_at": (
        {**MIXED_HEAD, "token": "a"},
        ("b", "c", "Not yet"),
    ),
    "strongest_feature": (
        {"query": np.array([2.0, -1, 3]), "key": np.array([1.0, 4, 0])},
        (0, 2, "together with the key's"),
    ),
    "head_between": (
        {"attention": SMALL, "token": "a", "target": "b"},
        ((0, 1), (0, 0), "the second looks most at the first"),
    ),
    "effective_number": (
        {"row": [1 / 2, 1 / 4, 1 / 4]},
        (2**1.5, 1.5 * log(2), "raise e to it"),
    ),
    "head_with_most": (
        {
            "metric": "next token",
            "table": metric_table(SMALL),
            "other": metric_table(SMALL),
        },
        ((0, 1), (1, 0), "First the layer"),
    ),
    "mean_over_texts": (
        {"numbers": [None, 0.5, 0.25]},
        (0.375, 0.25, "does not count as zero"),
    ),
    "nearest_head": (
        MIXED_HEAD,
        ((1, 2), (1, 1), "the head itself"),
    ),
    "weight_of_words": (
        {**WORDS, "query": "lamplight", "key": "a"},
        (0.4, 0.8, "Take the mean"),
    ),
    "tokens_of_a_pair": (
        {"first": 11, "second": 6},
        (20, 21, "one [CLS] for both"),
    ),
    "head_that_changed_most": (
        {"first": SMALL, "second": CHANGED},
        ((0, 2), (2, 0), "First the layer"),
    ),
    "rolled_out": (
        {"rows": [[0.5, 0.5], [0.5, 0.5]], "layers": 2},
        (5 / 8, 3 / 4, "after the first layer"),
    ),
    "share_of_the_norm": (
        {"weights": [0.75, 0.25], "lengths": [1.0, 9.0]},
        (1 / 4, 0.75, "of the weights"),
    ),
    "least_tokens_left_open": (
        {"d_head": 32},
        (34, 33, "determined: they sum"),
    ),
    "claims_that_follow": ({}, (["d", "a"], ["a", "c"], "another model's")),
}
MORE_HINTS = [
    ("pieces_of_a_word", ["und", "o"], "begins with ##"),
    ("effective_number", 3, "if all weights were equal"),
    ("weight_of_words", 0.3, "Not yet"),
    ("head_between", (1, 0), "First the layer"),
    ("tokens_of_a_pair", 17, "special tokens are read"),
    ("claims_that_follow", ["a"], "One more"),
    ("claims_that_follow", ["a", "b"], "what is carried"),
    ("claims_that_follow", "a", "Expected a list of 2"),
]


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_right_or_gets_a_hint(name):
    arguments, (right, wrong, hint) = ANSWERS[name]
    question = getattr(bert_questions, name)
    assert question(right, **arguments).right
    verdict = question(wrong, **arguments)
    assert not verdict.right
    assert hint in verdict.text


@pytest.mark.parametrize(("name", "wrong", "hint"), MORE_HINTS)
def test_another_wrong_answer_gets_its_own_hint(name, wrong, hint):
    arguments, _ = ANSWERS[name]
    verdict = getattr(bert_questions, name)(wrong, **arguments)
    assert not verdict.right
    assert hint in verdict.text
