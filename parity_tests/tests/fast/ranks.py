"""What ranks do in the tests: whole walks, a mutant, and ways to fail."""

import os
import signal
import time

import torch
from torch import distributed

from study.ring.rank import Inputs, RankWalk, walk_rank
from torch_impl.fast.ring_of_ranks import OnTheWay, Ring


def walk_each(texts: list[Inputs]) -> list[RankWalk]:
    """One text after the other, and at last the first by a mutant."""
    walks = [walk_rank(inputs) for inputs in texts]
    right, Ring.pass_on = Ring.pass_on, stay_in_the_end
    try:
        return [*walks, walk_rank(texts[0])]
    finally:
        Ring.pass_on = right


def stay_in_the_end(ring: Ring, arrays, count: int, right=Ring.pass_on):
    """Mutant: gradients go as far as their keys, and not home.

    Origin: huggingface/diffusers issue 14265 and NVIDIA/Megatron-LM issue
    1464, where the context is right, and the gradients of keys and values
    are those of others.
    """
    ring.rounds = getattr(ring, "rounds", 0) + (len(arrays) == 2)
    if ring.rounds == ring.ranks:
        return OnTheWay([], [], arrays)
    return right(ring, arrays, count)


def fail(how: str, rank: int) -> None:
    """One rank fails; the others wait for it."""
    if distributed.get_rank() == rank:
        if how == "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "is stopped":
            os.kill(os.getpid(), signal.SIGSTOP)
        if how == "hangs":
            time.sleep(600)
        raise ValueError("expected another rank")
    distributed.all_reduce(torch.ones(1))
