"""Merging with lists and a dict, pair by pair."""

from itertools import pairwise

WIDTH, NEVER = 2**31, 2**31 - 1
SIGNS = [chr(code) for code in range(256)]
FIRST = [s for s in SIGNS if "!" <= s <= "~" or "¡" <= s <= "¬" or s >= "®"]
ORDER = FIRST + [sign for sign in SIGNS if sign not in FIRST]


def byte_ids(data):
    ids = places = [ORDER.index(chr(value)) for value in data]
    return {"ids": ids, "places": places}


def merge_table(merges):
    numbers = [left * WIDTH + right for left, right in merges.tolist()]
    ranked = sorted((number, 256 + k) for k, number in enumerate(numbers))
    last = [[WIDTH * WIDTH - 1], [NEVER]]
    table = [*zip(*ranked, (WIDTH * WIDTH - 1, NEVER), strict=True)]
    return {"numbers": numbers, "last": last, "table": table}


def pair_ranks(ids, table):
    rank_of = dict(zip(*table.tolist(), strict=True))
    numbers = [
        left * WIDTH + right for left, right in pairwise(ids.tolist())
    ]
    ranks = [rank_of.get(number, NEVER) for number in numbers]
    return {"numbers": numbers, "ranks": ranks}


def without_overlap(matches):
    chosen = []
    for match in matches.tolist():
        chosen.append(match and not (chosen and chosen[-1]))
    return {"chosen": chosen}


def merge_pairs(ids, chosen, rank):
    merged, place = [], 0
    lefts = [*chosen.tolist(), False]
    while place < len(ids):
        merged.append(int(rank[0]) if lefts[place] else int(ids[place]))
        place += 2 if lefts[place] else 1
    return {"merged": merged}


def merge_lowest(ids, table):
    ranks = pair_ranks(ids, table)["ranks"]
    lowest = [min(ranks)]
    merged, place = [], 0
    while place < len(ids):
        joins = place < len(ranks) and ranks[place] == lowest[0]
        merged.append(lowest[0] if joins else int(ids[place]))
        place += 2 if joins else 1
    return {"ranks": ranks, "lowest": lowest, "merged": merged}


def has_merge(ids, table):
    ranks = pair_ranks(ids, table)["ranks"]
    mergeable = any(rank < NEVER for rank in ranks)
    return {"ranks": ranks, "mergeable": mergeable}


def merge_all(ids, table):
    """It carries its argument along; each turn is a step of its own."""
    return {}
