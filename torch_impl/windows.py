"""Windows: what a language model reads, and what it is to say next."""

import torch
from jaxtyping import Int
from torch import Tensor as Array
from torch.utils.data import DataLoader, Dataset

from .checked import check_at_least, check_indices, checked


@checked
def window_starts(
    tokens: int,
    context_length: int,
    stride: int,
) -> Int[Array, " window"]:
    check_at_least("context_length", context_length, 1)
    check_at_least("stride", stride, 1)
    check_at_least(
        f"tokens for a window of {context_length}",
        tokens,
        context_length + 1,
    )
    starts = torch.arange(0, tokens - context_length, stride)
    return starts


@checked
def covering_window_starts(
    tokens: int,
    context_length: int,
    stride: int,
) -> Int[Array, " window"]:
    whole = window_starts(tokens, context_length, stride)
    last = torch.tensor([tokens - context_length - 1])
    starts = torch.unique(torch.cat([whole, last]))
    return starts


@checked
def windows(
    ids: Int[Array, " token"],
    starts: Int[Array, " window"],
    context_length: int,
) -> tuple[
    Int[Array, "window context_length"], Int[Array, "window context_length"]
]:
    check_at_least("context_length", context_length, 1)
    check_indices("starts", starts, len(ids) - context_length)
    position = starts[:, None] + torch.arange(
        context_length, device=starts.device
    )
    inputs = ids[position]
    targets = ids[position + 1]
    return inputs, targets


@checked
def batches(
    permutation: Int[Array, " window"],
    batch_size: int,
    drop_last: bool,
) -> list[Int[Array, " batch"]]:
    check_at_least("batch_size", batch_size, 1)
    check_indices("permutation", permutation, len(permutation))
    left_out = len(permutation) % batch_size if drop_last else 0
    end = len(permutation) - left_out
    chosen = [
        permutation[start : start + batch_size]
        for start in range(0, end, batch_size)
    ]
    return chosen


class WindowDataset(Dataset):
    """The windows of a text, one at a time: an input and its target."""

    def __init__(self, ids: Array, starts: Array, context_length: int):
        check_indices("starts", starts, len(ids) - context_length)
        self.ids = ids
        self.starts = starts
        self.context_length = context_length

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        start = self.starts[index]
        inputs = self.ids[start : start + self.context_length]
        targets = self.ids[start + 1 : start + self.context_length + 1]
        return inputs, targets


def window_loader(
    dataset: WindowDataset,
    permutation: Int[Array, " window"],
    batch_size: int,
    drop_last: bool,
    num_workers: int = 0,
) -> DataLoader:
    """What `windows` and `batches` give, as PyTorch's own loader.

    Yields a pair of (batch, context_length), inputs and targets, in the
    order of `permutation`. Raises ValueError for a batch size below 1.
    """
    check_at_least("batch_size", batch_size, 1)
    check_indices("permutation", permutation, len(dataset))
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=permutation.tolist(),
        drop_last=drop_last,
        num_workers=num_workers,
    )
