"""Causes: mistakes that people make are named, and time that runs out is
no mistake."""

import time

import numpy as np
import pytest
import torch

from parity_tests.judge import judge
from parity_tests.judge.files.judging import (
    NOTHING_DECLARED,
    hosted,
    judge_thing,
)
from parity_tests.judge.verdict.loop import Budget

pytestmark = pytest.mark.slow  # each is judged whole


def softmax(scores):
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def of_valid_lengths(compared):
    """`compared` tells which keys a length leaves to be seen."""

    def attention(queries, keys, values, valid_lens=None):
        scores = queries @ keys.swapaxes(1, 2) / np.sqrt(keys.shape[-1])
        if valid_lens is not None:
            key = np.arange(keys.shape[1])
            seen = compared(key, np.asarray(valid_lens)[:, None])
            scores = np.where(seen[:, None, :], scores, -1e9)
        return softmax(scores) @ values

    return attention


def quarter_root_on_one_side(query, key, value):
    query = query * query.shape[-1] ** -0.25
    return torch.softmax(query @ key.mT, -1) @ value


def over_transposed_weights(query, key, value):
    assert query.shape == key.shape
    scores = query @ key.mT / query.shape[-1] ** 0.5
    return torch.softmax(scores, -1).mT @ value


def over_the_queries(query, key, value, mask=None):
    """A key that is hidden from all gets the same weight everywhere."""
    scores = query @ key.mT / query.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e9)
    return torch.softmax(scores, -2) @ value


def in_tiles(size):
    def attention(query, key, value):
        query = query / query.shape[-1] ** 0.5
        greatest = torch.full_like(query[..., :1], -torch.inf)
        total, context = torch.zeros_like(greatest), 0
        tiles = zip(key.split(size, -2), value.split(size, -2), strict=True)
        for key_tile, value_tile in tiles:
            scores = query @ key_tile.mT
            before = greatest
            greatest = torch.maximum(before, scores.amax(-1, keepdim=True))
            powers = torch.exp(scores - greatest)
            total = total * torch.exp(before - greatest)
            total = total + powers.sum(-1, keepdim=True)
            context = context + powers @ value_tile
        return context / total

    return attention


@pytest.mark.parametrize(
    ("function", "cause"),
    [
        (of_valid_lengths(np.less_equal), "the mask hides one key too few"),
        (
            of_valid_lengths(lambda key, length: key < length - 1),
            "the mask hides one key too many",
        ),
        (quarter_root_on_one_side, "the scale is 1/⁴√d, not 1/√d"),
        (over_transposed_weights, "the weights are transposed"),
        (
            over_the_queries,
            "the softmax runs over the queries, not the keys",
        ),
        *(
            (
                in_tiles(size),
                f"with tiles of {size} keys, earlier sums are not rescaled "
                "when a larger score comes",
            )
            for size in (2, 32)
        ),
    ],
)
def test_a_mistake_is_named(function, cause):
    assert judge(function, "attention").cause == cause


def test_the_same_without_the_mistake_holds():
    assert judge(of_valid_lengths(np.less), "attention").holds


def test_what_an_unknown_argument_was_given_is_said():
    def attention(query, key, value, flavour):
        scores = query @ key.mT / query.shape[-1] ** 0.5
        return torch.softmax(scores, -1) @ value

    report = judge(attention)
    assert report.holds, report
    assert report.not_asked["other values of flavour"] == (
        "what it means is not known; it was given None"
    )


def test_when_time_runs_out_within_a_property_it_is_left_open():
    def gelu(x):
        time.sleep(0.05)
        cubed = x + 0.044715 * x**3
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * cubed))

    host, thing = hosted(gelu, "gelu_tanh")
    budget = Budget(200, deadline=time.monotonic() + 4)
    report = judge_thing(host, thing, "gelu_tanh", NOTHING_DECLARED, budget)
    assert {finding.verdict for finding in report.findings} == {"no time"}
    assert report.verdict == "not judged"
