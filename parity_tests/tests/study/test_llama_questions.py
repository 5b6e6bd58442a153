"""Questions about a real Llama: right answers, and hints for wrong ones."""

import numpy as np
import pytest

from numpy_ref.checkpoints.llama_config import LlamaConfig
from study.generate.breaking import Moved
from study.notebooks import llama_questions

CONFIG = LlamaConfig(99, 64, 24, 8, 40, 3, 6, 2, 300.0, 1e-5)
CHANGES = [
    Moved(0, 4, 0.0005, 0.0),
    Moved(1, 3, 0.2, 0.1),
    Moved(2, 5, 0.9, 0.2),
]
TOKENS = {"nothing": "a", "mask": "b", "scale": "a", "offset": "a"}

# A question, its arguments, the right answer, a wrong one and its hint.
ANSWERS = {
    "queries_of_a_key_head": (
        {"config": CONFIG},
        (3, 6, "how many query heads"),
    ),
    "numbers_for_a_token": (
        {"config": CONFIG},
        (2 * 3 * 2 * 8, 2 * 3 * 6 * 8, "Only the key heads"),
    ),
    "a_token_after_rms_norm": (
        {"token": [3.0, 4.0]},
        ([3 / 12.5**0.5, 4 / 12.5**0.5], [0.6, 0.8], "mean of the squares"),
    ),
    "angle_of_the_last_pair": (
        {"d_head": 6, "base": 1000.0, "position": 2},
        (2 / 100, 2 / 1000, "exponent"),
    ),
    "breaks_unseen": (
        {"first_tokens": TOKENS},
        (["scale", "offset"], ["mask"], "the others"),
    ),
    "where_it_began": (
        {"changes": CHANGES},
        ((1, 3), (2, 5), "moved most, not first"),
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_right_or_gets_a_hint(name):
    arguments, (right, wrong, hint) = ANSWERS[name]
    question = getattr(llama_questions, name)
    assert question(right, **arguments).right
    verdict = question(wrong, **arguments)
    assert not verdict.right
    assert hint in verdict.text
    assert not question(np.pi, **arguments).right
