"""Ranks as processes: the ring and the split heads, and a rank that fails.

By default there are two, started once for all that is tried.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from numpy_ref.fast.split_heads_over_ranks import (
    SplitHeadsOverRanks,
    heads_of_rank,
)
from numpy_ref.multi_head import (
    MultiHeadAttention,
    multi_head_attention,
    multi_head_attention_backward,
)
from numpy_ref.parameters import from_state_dict, state_dict
from parity_tests.exact import exact_steps
from parity_tests.tests.conftest import expect_holds
from parity_tests.tests.fast.cases import NAMES, beside, text
from parity_tests.tests.fast.ranks import (
    Layer,
    fail,
    walk_each,
    walk_each_and_more,
)
from parity_tests.twins.comparing import within
from parity_tests.twins.gradients import named_leaves
from study.ring.processes import RankError, run_ranks
from study.ring.rank import Inputs
from study.ring.walk import RingWalk, bytes_by_formula

ENDS_WITHIN = 30  # seconds, from the failure on

TEXTS = [text(8, 1, True, 0), text(7, 2, True, 3), text(5, 3, False, 1)]


def walks_of(texts: list[Inputs], parts: list[list]) -> list[RingWalk]:
    """Of each rank's walks, the walk of each text."""
    return [
        RingWalk(inputs, [rank[index] for rank in parts])
        for index, inputs in enumerate(texts)
    ]


def random_layer(heads: int, d_model: int, seed: int) -> Layer:
    """A multi-head attention, its tokens, and its output's gradient."""
    rng = np.random.default_rng(seed)
    shapes = {"weight": (d_model, d_model), "bias": (d_model,)}
    state = {
        f"{layer}.{name}": rng.normal(size=shape)
        for layer in ("query", "key", "value", "output")
        for name, shape in shapes.items()
    }
    x, d_y = rng.normal(size=(2, 5, d_model))
    mask = np.tril(np.ones((5, 5), bool))
    return Layer(state, x, d_y, mask, heads)


LAYER = random_layer(heads=4, d_model=8, seed=0)


@pytest.fixture(scope="module")
def both_ranks() -> list:
    return run_ranks(walk_each_and_more, 2, TEXTS, LAYER)


@pytest.fixture(scope="module")
def two_ranks(both_ranks) -> list[RingWalk]:
    parts = [walks for walks, _ in both_ranks]
    return walks_of([*TEXTS, TEXTS[0]], parts)


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


def of_one_process(layer: Layer) -> dict:
    """The output, and all gradients by the names of what they are of."""
    params = from_state_dict(MultiHeadAttention, layer.state)
    inputs = (layer.x, params, layer.mask, layer.heads)
    y = multi_head_attention(*inputs)
    d_x, d_params = multi_head_attention_backward(layer.d_y, *inputs)
    return {"y": y, "d_x": d_x, "d_params": d_params}


def exact_values(layer: Layer, name: str, params) -> dict:
    """The exact output and gradients of a step, with their errors."""
    arguments = {"x": layer.x, "mask": layer.mask, "heads": layer.heads}
    upstream = {"d_y": layer.d_y} | arguments
    there = exact_steps(name, arguments, params)
    return there | exact_steps(f"{name}_backward", upstream, params)


def test_split_heads_over_processes_are_one_layer(both_ranks):
    whole = of_one_process(LAYER)
    params = from_state_dict(MultiHeadAttention, LAYER.state)
    parts = [heads_of_rank(params, LAYER.heads, 2, rank) for rank in (0, 1)]
    one = exact_values(LAYER, "multi_head_attention", params)
    split = SplitHeadsOverRanks(tuple(parts))
    two = exact_values(LAYER, "split_heads_over_ranks", split)
    for rank, (_, got) in enumerate(both_ranks):
        expected = {name: whole[name] for name in ("y", "d_x")}
        errors = {n: one[n].error + two[n].error for n in expected}
        own = heads_of_rank(whole["d_params"], LAYER.heads, 2, rank)
        exact = dict(named_leaves(two["d_params"].ranks[rank], ""))
        for name, value in state_dict(own).items():
            if name != "output.bias":  # rank 0 alone has it
                expected[name] = value
                errors[name] = 2 * exact[f".{name}"].error
        for name, value in expected.items():
            path = f"heads over 2 ranks/{name}"
            comparison = within(path, value, got[name], errors[name])
            expect_holds("split heads and one layer, float64", comparison)


def test_gradients_that_are_not_added_up_are_found(both_ranks):
    """Each rank alone knows what came back through its own heads.

    Origin: f of Megatron left out (Shoeybi et al. 2019, section 3).
    """
    whole = of_one_process(LAYER)
    for _, got in both_ranks:
        assert np.allclose(got["y without f"], whole["y"])
        assert not np.allclose(got["d_x without f"], whole["d_x"])


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [4, 5, 8])
def test_so_do_more_processes(ranks):
    texts = [
        text(17, 4, True, 2),
        text(16, 5, True, 0),
        text(9, 6, False, 0),
    ]
    parts = run_ranks(walk_each, ranks, texts, timeout=60)
    for walk in walks_of(texts, parts):
        expect_right(walk)


FAILURES = {
    "is killed": "rank 1 died: killed by SIGKILL",
    "is stopped": "no answer from rank 1 within 10 s",
    "hangs": "no answer from rank 1 within 10 s",
    "raises": "rank 1 failed: ValueError: expected another rank",
}


@pytest.mark.slow
@pytest.mark.parametrize("how", FAILURES)
def test_a_rank_that_fails_ends_all_in_one_line(how, tmp_path):
    file = tmp_path / "time"
    with pytest.raises(RankError) as caught:
        run_ranks(fail, 3, how, 1, file, timeout=10)
    assert time.time() - float(file.read_text()) < ENDS_WITHIN
    assert str(caught.value) == FAILURES[how]
    assert not ranks_of(os.getpid())


def children(process: int) -> set[int]:
    """The processes that a process has started and that are there still."""
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
    """A rank is killed or stopped from outside, as soon as it is there.

    The others wait for it when they have started, which may take them long.
    """
    running = run_command("ring", "--ranks", 3, "--timeout", 15)
    while len(started := ranks_of(running.pid)) < 3:
        assert running.poll() is None
        time.sleep(0.1)
    os.kill(sorted(started)[1], sign)
    _, said = running.communicate(timeout=4 * ENDS_WITHIN)
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
