"""Byte-pair encoding: the pair learned first is merged first."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor as Array

from .checked import checked

# GPT-2 puts the bytes that print as one character of Latin-1 first.
PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTE_ORDER = bytes([*PRINTABLE, *sorted({*range(256)} - {*PRINTABLE})])

WIDTH = 2**31  # more than any id
NEVER = WIDTH - 1  # the rank of a pair that is not merged


@checked
def byte_ids(
    data: bytes,
) -> Int[Array, " token"]:
    places = [BYTE_ORDER.index(value) for value in data]
    ids = torch.tensor(places, dtype=torch.int64)
    return ids


@checked
def merge_table(
    merges: Int[Array, "merge 2"],
) -> Int[Array, "2 entry"]:
    numbers = merges[:, 0] * WIDTH + merges[:, 1]
    order = numbers.argsort()
    entries = torch.stack([numbers[order], 256 + order])
    last = merges.new_tensor([[WIDTH * WIDTH - 1], [NEVER]])
    table = torch.cat([entries, last], dim=1)
    return table


@checked
def pair_ranks(
    ids: Int[Array, " token"],
    table: Int[Array, "2 entry"],
) -> Int[Array, " pair"]:
    known, rank = table
    numbers = ids[:-1] * WIDTH + ids[1:]
    place = torch.searchsorted(known, numbers)
    ranks = torch.where(known[place] == numbers, rank[place], NEVER)
    return ranks


@checked
def without_overlap(
    matches: Bool[Array, " pair"],
) -> Bool[Array, " pair"]:
    place = torch.arange(len(matches), device=matches.device)
    before_run = torch.where(matches, -1, place).cummax(dim=0).values
    chosen = matches & ((place - before_run) % 2 == 1)
    return chosen


@checked
def merge_pairs(
    ids: Int[Array, " token"],
    chosen: Bool[Array, " pair"],
    rank: Int[Array, " 1"],
) -> Int[Array, " merged"]:
    none = chosen.new_tensor([False])
    is_left = torch.cat([chosen, none])
    is_right = torch.cat([none, chosen])
    replaced = torch.where(is_left, rank, ids)
    merged = replaced[~is_right]
    return merged


@checked
def merge_lowest(
    ids: Int[Array, " token"],
    table: Int[Array, "2 entry"],
) -> Int[Array, " merged"]:
    ranks = pair_ranks(ids, table)
    lowest = ranks.amin(dim=0, keepdim=True)
    chosen = without_overlap(ranks == lowest)
    merged = merge_pairs(ids, chosen, lowest)
    return merged


@checked
def has_merge(
    ids: Int[Array, " token"],
    table: Int[Array, "2 entry"],
) -> bool:
    ranks = pair_ranks(ids, table)
    mergeable = bool((ranks < NEVER).any())
    return mergeable


@checked
def merge_all(
    ids: Int[Array, " token"],
    table: Int[Array, "2 entry"],
) -> Int[Array, " merged"]:
    while has_merge(ids, table):
        ids = merge_lowest(ids, table)
    return ids
