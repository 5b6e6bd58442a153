"""What ranks do in the tests: whole walks, a mutant, and ways to fail."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import distributed

from numpy_ref.fast.split_heads_over_ranks import heads_of_rank
from numpy_ref.multi_head import MultiHeadAttention
from numpy_ref.parameters import from_state_dict, state_dict
from study.ring.rank import Inputs, RankWalk, walk_rank
from torch_impl.fast import heads_of_ranks
from torch_impl.fast.ring_of_ranks import OnTheWay, Ring
from torch_impl.fast.split_heads_over_ranks import rank_heads


def walk_each(texts: list[Inputs]) -> list[RankWalk]:
    """One text after the other."""
    return [walk_rank(inputs) for inputs in texts]


def walk_each_and_more(texts: list[Inputs], layer: "Layer"):
    """Texts, at last the first by a mutant; then split heads."""
    walks, right = walk_each(texts), Ring.pass_on
    Ring.pass_on = stay_in_the_end
    try:
        mutant = walk_rank(texts[0])
    finally:
        Ring.pass_on = right
    return [*walks, mutant], layer_of_rank(layer)


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


@dataclass(frozen=True)
class Layer:
    """A multi-head attention by its weights, and what it is tried on."""

    state: dict[str, np.ndarray]
    x: np.ndarray
    d_y: np.ndarray
    mask: np.ndarray
    heads: int


def layer_of_rank(layer: Layer) -> dict[str, np.ndarray]:
    """Output and gradients, and both when gradients are not added up."""
    results = there_and_back(layer)
    right = heads_of_ranks._ToAllRanks.backward
    heads_of_ranks._ToAllRanks.backward = lambda _, d_x: (d_x, None)
    try:
        without = there_and_back(layer)
    finally:
        heads_of_ranks._ToAllRanks.backward = right
    mutant = {f"{n} without f": without[n] for n in ("y", "d_x")}
    return results | mutant


def there_and_back(layer: Layer) -> dict[str, np.ndarray]:
    """What a rank has of the output and of the gradients."""
    rank, ranks = distributed.get_rank(), distributed.get_world_size()
    params = from_state_dict(MultiHeadAttention, layer.state)
    part = heads_of_rank(params, layer.heads, ranks, rank)
    d_model = layer.x.shape[-1]
    module = rank_heads(d_model, d_model // ranks).double()
    tensors = {n: torch.tensor(a) for n, a in state_dict(part).items()}
    module.load_state_dict(tensors)
    x = torch.tensor(layer.x, requires_grad=True)
    mask = torch.tensor(layer.mask)
    y = heads_of_ranks.attention_of_rank(x, module, mask, layer.heads)
    y.backward(torch.tensor(layer.d_y))
    gradients = {n: p.grad.numpy() for n, p in module.named_parameters()}
    return {"y": y.detach().numpy(), "d_x": x.grad.numpy()} | gradients


def fail(how: str, rank: int, file: Path) -> None:
    """One rank fails, and says when; the others wait for it."""
    if distributed.get_rank() == rank:
        file.write_text(str(time.time()))
        if how == "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "is stopped":
            os.kill(os.getpid(), signal.SIGSTOP)
        if how == "hangs":
            time.sleep(600)
        raise ValueError("expected another rank")
    distributed.all_reduce(torch.ones(1))
