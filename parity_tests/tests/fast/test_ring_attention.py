"""Ring attention: in one process, over processes, and when a rank fails.

Twins, exact values and gradients are held by `test_twins` and
`test_gradients`, as for every step.
"""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from numpy_ref.fast import ring_attention as steps
from numpy_ref.fast.ring_attention import (
    ring_attention,
    ring_attention_backward,
    zigzag_positions,
)
from parity_tests.tests.conftest import expect_holds
from parity_tests.tests.fast.ranks import fail, walk_each
from parity_tests.twins.comparing import within
from parity_tests.twins.strategies import SEEDS
from study.ring.processes import RankError, run_ranks
from study.ring.rank import Inputs, random_inputs
from study.ring.walk import (
    GRADIENTS,
    RingWalk,
    bytes_by_formula,
    errors_of_ring,
    mask_of,
    one_process,
)

LONGEST = 12
NAMES = ("context", *GRADIENTS)
ENDS_WITHIN = 30  # seconds, from the failure on


def text(tokens: int, seed: int, is_causal: bool, padding: int) -> Inputs:
    """A text of two heads with padding in front, which sees nothing."""
    inputs = random_inputs(tokens, seed, d_head=3)
    mask = np.arange(tokens)[None] >= padding
    return replace(inputs, attention_mask=mask, is_causal=is_causal)


def by_autograd(inputs: Inputs) -> dict[str, np.ndarray]:
    """The oracle: PyTorch's own attention and its gradients."""
    arrays = (inputs.query, inputs.key, inputs.value)
    parts = [torch.tensor(array, requires_grad=True) for array in arrays]
    mask = torch.tensor(mask_of(inputs))
    context = F.scaled_dot_product_attention(*parts, mask)
    context.backward(torch.tensor(inputs.d_context))
    gradients = [part.grad.numpy() for part in parts]
    return dict(
        zip(NAMES, [context.detach().numpy(), *gradients], strict=True)
    )


def in_one_process(inputs: Inputs, ranks: int) -> dict[str, np.ndarray]:
    """All ranks in turn, in NumPy, there and back."""
    arguments = (
        *(inputs.query, inputs.key, inputs.value, inputs.attention_mask),
        *(ranks, inputs.is_causal),
    )
    context = ring_attention(*arguments)
    gradients = ring_attention_backward(inputs.d_context, *arguments)
    return dict(zip(NAMES, [context, *gradients], strict=True))


def beside(inputs: Inputs, ranks: int, got: dict) -> dict:
    """Comparisons with the oracle, within the bounds of both."""
    _, errors = one_process(inputs)
    ring_errors = errors_of_ring(inputs, ranks)
    return {
        name: within(
            name, value, got[name], errors[name] + ring_errors[name]
        )
        for name, value in by_autograd(inputs).items()
    }


def failing(inputs: Inputs, ranks: int, got: dict) -> list[str]:
    compared = beside(inputs, ranks, got)
    return [name for name in NAMES if not compared[name].holds]


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


# Over processes. Two of them, started once, for all that is tried by
# default: an even text, an uneven one with padding, a whole one.

TEXTS = [text(8, 1, True, 0), text(7, 2, True, 3), text(5, 3, False, 1)]


def walks_of(parts: list[list]) -> list[RingWalk]:
    """Of each rank's walks, the walk of each text."""
    texts = [*TEXTS, TEXTS[0]]
    return [
        RingWalk(inputs, [rank[index] for rank in parts])
        for index, inputs in enumerate(texts)
    ]


@pytest.fixture(scope="module")
def two_ranks() -> list[RingWalk]:
    return walks_of(run_ranks(walk_each, 2, TEXTS))


def expect_right(walk: RingWalk) -> None:
    got = {name: walk.whole(name) for name in NAMES}
    for comparison in beside(walk.inputs, walk.ranks, got).values():
        expect_holds("ring and one process, float64", comparison)
    for comparison in walk.beside_one_process():
        expect_holds("ring and one process, float64", comparison)
    for rank, part in enumerate(walk.parts):
        sent = part.sent_there, part.sent_back
        assert sent == bytes_by_formula(walk.inputs, walk.parts, rank)
    for tally in walk.replayed():
        assert tally.compared > 100
        assert tally.holds, tally.worst


def test_processes_give_what_one_gives(two_ranks):
    for walk in two_ranks[:-1]:
        expect_right(walk)


def test_gradients_that_do_not_come_home_are_found(two_ranks):
    mutant = two_ranks[-1]
    wrong = [c.path for c in mutant.beside_one_process() if not c.holds]
    assert wrong == ["ring of 2/d_key", "ring of 2/d_value"]


def test_each_rank_sends_its_record_home(two_ranks):
    for part in two_ranks[0].parts:
        names = [call.name for call in part.calls]
        assert names.count("attend_to_arrival") == 2
        assert names.count("gradient_of_arrival") == 2


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [4, 5, 8])
def test_so_do_more_processes(ranks, monkeypatch):
    longer = [
        text(17, 4, True, 2),
        text(16, 5, True, 0),
        text(9, 6, False, 0),
    ]
    monkeypatch.setattr(sys.modules[__name__], "TEXTS", longer)
    parts = run_ranks(walk_each, ranks, longer, timeout=60)
    for walk in walks_of(parts)[:-1]:
        expect_right(walk)


FAILURES = {
    "is killed": "rank 1 died: killed by SIGKILL",
    "is stopped": "no answer from rank 1 within 10 s",
    "hangs": "no answer from rank 1 within 10 s",
    "raises": "rank 1 failed: ValueError: expected another rank",
}


@pytest.mark.slow
@pytest.mark.parametrize("how", FAILURES)
def test_a_rank_that_fails_ends_all_in_one_line(how):
    before = children()
    with pytest.raises(RankError) as caught:
        run_ranks(fail, 3, how, 1, timeout=10)
    assert str(caught.value) == FAILURES[how]
    assert children() <= before


def children(process: int | None = None) -> set[int]:
    """The processes that a process has started and that are there still."""
    process = process or os.getpid()
    file = Path(f"/proc/{process}/task/{process}/children")
    return {int(child) for child in file.read_text().split()}


def run_command(*arguments, module="study"):
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
def test_the_command_ends_when_a_rank_does(sign):
    """A rank is killed or stopped from outside, as soon as it is there."""
    running = run_command("ring", "--ranks", 3, "--timeout", 20)
    while len(started := ranks_of(running.pid)) < 3:
        assert running.poll() is None
        time.sleep(0.1)
    os.kill(sorted(started)[1], sign)
    began = time.monotonic()
    _, said = running.communicate(timeout=2 * ENDS_WITHIN)
    assert time.monotonic() - began < ENDS_WITHIN
    assert running.returncode == 1
    (line,) = said.splitlines()
    assert line.startswith("twice: ")
    assert not [process for process in started if is_there(process)]


def ranks_of(process: int) -> set[int]:
    """The children of a process that are ranks, and not a helper."""
    return {
        child
        for child in children(process)
        if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()
    }


def is_there(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


@pytest.mark.slow
def test_torchrun_starts_the_same_ring():
    running = run_command(
        *("--nproc-per-node", 4, "-m", "study", "ring", "--timeout", 60),
        module="torch.distributed.run",
    )
    printed, said = running.communicate(timeout=200)
    assert running.returncode == 0, said
    assert "Round 4 of 4" in printed
    assert printed.endswith("0 of them beyond their bounds.\n")


@pytest.mark.slow
def test_the_command_with_one_rank_needs_no_other(twice):
    code, out, err = twice("ring", "--ranks", 1, "--tokens", 3)
    assert (code, err) == (0, "")
    assert "Round 1 of 1: each its own keys" in out
    assert "0 of them beyond their bounds." in out


@pytest.mark.slow
def test_the_command_walks_around(twice):
    code, out, err = twice("ring")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    page = Path(__file__).parents[3].joinpath("docs", "rings.md")
    (excerpt,) = re.findall("```text\n(.*?)```", page.read_text(), re.S)
    assert excerpt in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ranks", 17], "expected --ranks to be from 1 to 16, got 17"),
        (["--tokens", 3], "expected --tokens to be at least 4, got 3"),
        (["--timeout", 0], "expected --timeout to be finite and above 0"),
    ],
)
def test_impossible_numbers_are_refused(twice, options, message):
    code, out, err = twice("ring", *options)
    assert (code, out) == (2, "")
    assert message in err
