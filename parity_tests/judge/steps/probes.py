"""Probes: the inputs on which a step is compared with its mutants.

Plain ones are drawn from the strategies of the step; `EXTREME` has, for
some, numbers that overflow, fully masked rows, and a text with nothing to
merge. One seed makes them the same each time.
"""

from functools import cache

import numpy as np

from numpy_ref.byte_pair_encoding import merge_table
from parity_tests.judge.verdict.loop import Budget, drawn_inputs

from .cases import StepCase, step_cases

DRAWN = 24


@cache
def plain_cases(name: str) -> list[StepCase]:
    """Inputs of a step, or of its gradient: of sizes that differ, as the
    strategies draw them, and of equal ones."""
    return [
        case
        for count, equal in ((DRAWN, False), (DRAWN // 3, True))
        for case in drawn_inputs(
            step_cases(name, ("float64",), equal), Budget(count, seed=7)
        )
    ]


def loud_cases(name: str) -> list[StepCase]:
    """Plain inputs a hundred times as large, in which exp overflows."""
    loud = []
    for case in plain_cases(name)[:DRAWN:3]:
        first = next(n for n in ("query", "x") if n in case)
        loud.append(StepCase(name, case | {first: 100 * case[first]}))
    return loud


LOUD = (
    *("matrix_attention", "self_attention", "causal_attention"),
    *("multi_head_attention", "attention_with_dropout"),
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
    "log_sum_exp": [{"logits": FAR_ROWS}],
    "cross_entropy": [
        {"logits": FAR_ROWS, "targets": np.array([0, 2]), "ignored": -100},
        {"logits": FAR_ROWS.T, "targets": np.array([0] * 3), "ignored": -1},
    ],
}
