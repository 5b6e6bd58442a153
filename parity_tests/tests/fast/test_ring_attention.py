"""Ring attention in one process: all ranks in turn, and its mutants.

Twins, exact values and gradients are held by `test_twins` and
`test_gradients`, as for every step.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_ref.fast import ring_attention as steps
from numpy_ref.fast.ring_attention import zigzag_positions
from parity_tests.tests.conftest import expect_holds
from parity_tests.tests.fast.cases import (
    NAMES,
    beside,
    failing,
    in_one_process,
    text,
)
from parity_tests.twins.strategies import SEEDS
from study.ring.walk import GRADIENTS, errors_of_ring

LONGEST = 12


@given(data=st.data(), seed=SEEDS, is_causal=st.booleans())
def test_any_number_of_shards_gives_what_one_process_gives(
    data, seed, is_causal
):
    tokens = data.draw(st.integers(1, LONGEST))
    ranks = data.draw(st.integers(1, tokens))
    padding = data.draw(st.integers(0, tokens))
    inputs = text(tokens, seed, is_causal, padding)
    got = in_one_process(inputs, ranks)
    for comparison in beside(inputs, ranks, got).values():
        expect_holds("ring and one process, float64", comparison)


@pytest.mark.parametrize("tokens", range(1, 20))
def test_each_token_is_on_one_rank(tokens):
    for ranks in range(1, tokens + 1):
        places = [
            zigzag_positions(tokens, ranks, rank) for rank in range(ranks)
        ]
        assert all(map(len, places))
        assert sorted(np.concatenate(places)) == [*range(tokens)]


@pytest.mark.parametrize("ranks", [2, 3, 4, 8])
def test_in_zigzag_every_rank_has_the_same_to_do(ranks):
    tokens = 6 * ranks
    queries = steps.query_shards(np.zeros((tokens, 1)), ranks, True)
    shards = steps.key_shards(
        *(np.zeros((tokens, 1)), np.zeros((tokens, 1))),
        *(np.ones(tokens, bool), ranks),
    )
    scores = {own: set() for own in (True, False)}
    for rank, shard in enumerate(queries):
        for other, keys in enumerate(shards):
            first, end = steps.part_in_sight(
                shard.last_visible, keys.key_positions
            )
            scores[rank == other].add((6 - first) * end)
    assert scores == {True: {36}, False: {18}}


def test_more_ranks_have_a_wider_bound():
    """Each merge rescales and adds once more."""
    inputs = text(16, 0, True, 0)
    errors = [errors_of_ring(inputs, ranks) for ranks in (1, 2, 4, 8, 16)]
    for name in NAMES:
        sizes = [error[name].mean() for error in errors]
        assert sizes == sorted(sizes), name
        assert sizes[0] < sizes[-1]


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        (0, "expected ranks to be from 1 to 3, got 0"),
        (4, "expected ranks to be from 1 to 3, got 4"),
    ],
)
def test_a_rank_without_a_token_is_refused(ranks, message):
    with pytest.raises(ValueError, match=message):
        in_one_process(text(3, 0, True, 0), ranks)


# Mutants, each with its origin; what each gets wrong is what it must.


def stay_away(*arguments, right=steps._gradient_walk):
    """Gradients that go as far as their keys, and not home.

    Origin: huggingface/diffusers issue 14265, NVIDIA/Megatron-LM issue
    1464.
    """
    d_query, *travelled = right(*arguments)
    return d_query, *(parts[1:] + parts[:1] for parts in travelled)


def meet_your_own(arrivals):
    """Each round back meets the keys of the first, the rank's own.

    Origin: huggingface/diffusers issue 14265.
    """
    return arrivals


def keep_the_last(first, second, right=steps.merge_partial_attention):
    """The log-sum-exp of a merge is that of one part.

    Origin: ROCm/aiter pull request 3334, where that of each shard was off
    by a number of its own.
    """
    merged = right(first, second)
    return merged._replace(log_sum_exp=second.log_sum_exp)


def take_all_for_as_long(partial, queries, arrival):
    """A shorter shard is filled up, and the filling attended to.

    Origin: NVIDIA/TransformerEngine issue 1929 and jzhang38/EasyContext
    issue 47, with 7 and 2,999 tokens.
    """
    missing = [(0, 4 - len(arrival.key_positions))]
    rows = [*[(0, 0)] * (arrival.key.ndim - 2), *missing, (0, 0)]
    filled = steps.KeyShard(
        *(np.pad(arrival.key, rows), np.pad(arrival.value, rows)),
        np.pad(
            *(arrival.attention_mask, [(0, 0), *missing]),
            constant_values=True,
        ),
        np.pad(arrival.key_positions, missing, mode="edge"),
    )
    return ATTEND(partial, queries, filled)


ATTEND = steps.attend_to_arrival


def forget_the_offset(
    last_visible, key_positions, mask, right=steps.shard_mask
):
    """Places within the shards are taken for positions of the text.

    Origin: fla-org/flash-linear-attention issue 1115, where the loads of
    the way back lack the offset of their part.
    """
    places = np.arange(len(last_visible)), np.arange(len(key_positions))
    return right(*places, mask)


MUTANTS = [
    ("_gradient_walk", stay_away, 16, ["d_key", "d_value"]),
    ("merge_partial_attention", keep_the_last, 16, [*NAMES]),
    ("attend_to_arrival", take_all_for_as_long, 13, [*NAMES]),
    ("shard_mask", forget_the_offset, 16, [*NAMES]),
]


@pytest.mark.parametrize(
    ("step", "mutant", "tokens", "wrong"),
    MUTANTS,
    ids=[mutant.__name__ for _, mutant, *_ in MUTANTS],
)
def test_a_mutant_gets_wrong_what_its_origin_got_wrong(
    step, mutant, tokens, wrong, monkeypatch
):
    inputs = text(tokens, 0, True, 0)
    assert failing(inputs, 4, in_one_process(inputs, 4)) == []
    monkeypatch.setattr(steps, step, mutant)
    assert failing(inputs, 4, in_one_process(inputs, 4)) == wrong


def test_keys_that_do_not_come_round_again_are_missed(monkeypatch):
    inputs = text(16, 0, True, 0)
    right = in_one_process(inputs, 4)
    walk = steps._gradient_walk

    def mutant(*arguments):
        monkeypatch.setattr(steps, "pass_on", meet_your_own)
        return walk(*arguments)

    monkeypatch.setattr(steps, "_gradient_walk", mutant)
    got = in_one_process(inputs, 4)
    assert np.array_equal(got["context"], right["context"])
    assert failing(inputs, 4, got) == [*GRADIENTS]
