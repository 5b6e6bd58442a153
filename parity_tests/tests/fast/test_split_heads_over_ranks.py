"""Heads over ranks, in one process: cut, and added up again."""

from dataclasses import replace

import numpy as np
import pytest

from numpy_ref.fast.split_heads_over_ranks import (
    SplitHeadsOverRanks,
    heads_of_rank,
    split_heads_over_ranks,
)
from numpy_ref.layers import Linear
from numpy_ref.multi_head import MultiHeadAttention, multi_head_attention
from parity_tests.exact import exact_steps
from parity_tests.tests.conftest import expect_holds
from parity_tests.twins.comparing import within

HEADS, D_MODEL = 4, 8
MASK = np.tril(np.ones((5, 5), bool))


def layer(seed: int) -> MultiHeadAttention:
    rng = np.random.default_rng(seed)
    layers = [
        Linear(
            rng.normal(size=(D_MODEL, D_MODEL)), rng.normal(size=D_MODEL)
        )
        for _ in range(4)
    ]
    return MultiHeadAttention(*layers)


def over(params: MultiHeadAttention, ranks: int) -> SplitHeadsOverRanks:
    parts = [heads_of_rank(params, HEADS, ranks, r) for r in range(ranks)]
    return SplitHeadsOverRanks(tuple(parts))


def compared(params, split):
    """Heads over ranks beside one layer, within the bounds of both."""
    x = np.random.default_rng(9).normal(size=(3, 5, D_MODEL))
    arguments = {"x": x, "mask": MASK, "heads": HEADS}
    name = "split_heads_over_ranks"
    ours = split_heads_over_ranks(params=split, **arguments)
    error = exact_steps(name, arguments, split)["y"].error
    whole = multi_head_attention(params=params, **arguments)
    exact = exact_steps("multi_head_attention", arguments, params)
    return within(f"{name}/y", whole, ours, error + exact["y"].error)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_any_number_of_ranks_is_one_layer(ranks):
    params = layer(ranks)
    comparison = compared(params, over(params, ranks))
    expect_holds("split heads and one layer, float64", comparison)


def test_a_bias_that_every_rank_adds_is_found():
    params = layer(0)
    split = over(params, 2)
    own = split.ranks[1]
    output = replace(own.output, bias=params.output.bias)
    both = (split.ranks[0], replace(own, output=output))
    assert not compared(params, SplitHeadsOverRanks(both)).holds


def test_rows_of_the_output_in_place_of_columns_are_found():
    """A square weight has both, and no shape tells."""
    params = layer(0)
    turned = replace(params.output, weight=params.output.weight.T)
    wrong = over(replace(params, output=turned), 2)
    assert not compared(params, wrong).holds


@pytest.mark.parametrize(
    ("ranks", "rank", "message"),
    [
        (3, 0, "expected ranks to divide heads 4, got 3"),
        (2, 2, "expected rank to be from 0 to 1, got 2"),
    ],
)
def test_an_impossible_rank_is_refused(ranks, rank, message):
    with pytest.raises(ValueError, match=message):
        heads_of_rank(layer(0), HEADS, ranks, rank)
