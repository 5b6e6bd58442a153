"""Probes: the inputs on which a step is compared with its mutants.

Plain ones are drawn from the strategies of the step; `EXTREME` has, for
some, numbers that overflow, fully masked rows, and a text with nothing to
merge. The seeds are fixed, but what Hypothesis draws also depends on the
constants of the modules that are loaded, and so a few inputs may happen to
tell nothing: `stages` has more for what the first have not told.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np

from numpy_ref.byte_pair_encoding import merge_table
from parity_tests.judge.verdict.loop import Budget, drawn_inputs

from .cases import StepCase, step_cases
from .property import is_in_half

DRAWN = 24
MANY = 3 * DRAWN  # where the first have not told


@cache
def plain_cases(
    name: str, drawn: int = DRAWN, seed: int = 7
) -> list[StepCase]:
    """Inputs of a step, or of its gradient: of sizes that differ, as the
    strategies draw them, and of equal ones; in float64 or, if it computes
    in half precision, in both halves."""
    dtypes = ("float32", "float64") if is_in_half(name) else ("float64",)
    return [
        case
        for count, equal in ((drawn, False), (drawn // 3, True))
        for case in drawn_inputs(
            step_cases(name, dtypes, equal), Budget(count, seed=seed)
        )
    ]


def loud(cases: list[StepCase]) -> list[StepCase]:
    """Inputs a hundred times as large, in which exp overflows."""
    louder = []
    for case in cases:
        first = next(n for n in ("query", "x") if n in case)
        changed = case | {first: 100 * case[first]}
        louder.append(StepCase(case.name, changed))
    return louder


def stages(name: str) -> Iterator[list[StepCase]]:
    """Plain inputs; then numbers that overflow and the like; then more of
    both, which are drawn only if they are asked for."""
    plain = plain_cases(name)
    yield plain
    extreme = [StepCase(name, case) for case in EXTREME.get(name, ())]
    yield extreme + (loud(plain[:DRAWN:3]) if name in LOUD else [])
    more = plain_cases(name, MANY, seed=8)
    yield more + (loud(more[:MANY]) if name in LOUD else [])


LOUD = (
    *("matrix_attention", "self_attention", "causal_attention"),
    *("multi_head_attention", "attention_with_dropout"),
    "cross_attention",
)
RANDOM = np.random.default_rng(7)
HOLES = np.array(  # no row and no column is empty, and none is full
    [
        [True, True, False, False, True],
        [False, True, True, False, False],
        [True, False, True, True, False],
        [True, False, False, True, True],
    ]
)
FAR_ROWS = np.array([[0.0, 1, 2], [2000, 2001, 2002]])
FULLY_MASKED_ROW = HOLES & (np.arange(4) != 1)[:, None]
MASKED_PEAK = np.array(
    [
        [0, 1e3, 1],
        [-500, 0, -501],
        [-5e3, 0, 1 - 5e3],
        [-2e4, 0, 1 - 2e4],
    ]
)
FAR_HALVES = np.array([65504, 3 * 2.0**-24], np.float16)
SMALLER_HALVES = np.array([8192, -(2.0**-24)], np.float16)
NEIGHBOURS = {  # of which the mean lies half way
    "query": np.zeros((1, 1), np.float16),
    "key": np.ones((2, 1), np.float16),
    "value": np.array([[1024, 1025], [1025, 1026]], np.float16),
    "mask": np.ones((1, 2), bool),
}
EXTREME: dict[str, list[dict]] = {
    "softmax": [{"scores": FAR_ROWS}],
    "softmax_with_temperature": [{"scores": FAR_ROWS, "temperature": 2.0}],
    "masked_softmax": [
        {"scores": RANDOM.normal(size=(4, 5)), "mask": FULLY_MASKED_ROW},
        {"scores": MASKED_PEAK, "mask": np.array([[True, False, True]])},
        {"scores": FAR_ROWS, "mask": np.array([[True, True, False]])},
    ],
    "dropout": [
        {
            "x": np.array([np.inf, 1.0]),
            "dropout_mask": np.array([False, True]),
            "rate": 0.3,
        }
    ],
    "has_merge": [
        {
            "ids": np.array([1, 2, 3]),
            "table": merge_table(np.array([[3, 2], [2, 1]])),
        }
    ],
    "merge_lowest": [  # pairs that overlap
        {
            "ids": np.array([1, 1, 1, 2]),
            "table": merge_table(np.array([[1, 1], [1, 2]])),
        }
    ],
    "round_to": [{"x": np.array([2.5, 3.5, -2.5, -3.5, 0]), "bits": 2}],
    "add_in_half": [  # too large, and too small for a normal number
        {"total": FAR_HALVES, "term": SMALLER_HALVES}
    ],
    "sum_in_half": [{"total": FAR_HALVES, "terms": SMALLER_HALVES[None]}],
    "attention_inside_float32": [NEIGHBOURS],
    "attention_rounded_within": [NEIGHBOURS],
    "log_sum_exp": [{"logits": FAR_ROWS}],
    "cross_entropy": [
        {"logits": FAR_ROWS, "targets": np.array([0, 2]), "ignored": -100},
        {"logits": FAR_ROWS.T, "targets": np.array([0] * 3), "ignored": -1},
    ],
}
