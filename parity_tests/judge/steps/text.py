"""Properties of byte-pair encoding, windows and batches."""

from itertools import pairwise

import numpy as np

from numpy_ref.byte_pair_encoding import NEVER, WIDTH

from .property import Comparisons, Property, Step, alike


def ranks_of(table: np.ndarray) -> dict[tuple[int, int], int]:
    """The rank of each known pair: the id that it becomes."""
    *known, _ = zip(*table.tolist(), strict=True)
    return {divmod(code, WIDTH): rank for code, rank in known}


def written_out(ids, table: np.ndarray) -> list[int]:
    """Every merged id replaced by the ids that it is made of."""
    pairs = {rank: pair for pair, rank in ranks_of(table).items()}
    if not any(token in pairs for token in ids):
        return [int(token) for token in ids]
    parts = [pairs.get(token, (token,)) for token in ids]
    return written_out([part for pair in parts for part in pair], table)


# --- byte-pair encoding --------------------------------------------------


def printable_bytes_come_first(step: Step, arguments: dict) -> Comparisons:
    """The 256 bytes have the ids 0 to 255: first those that are printable
    characters in Latin-1, then the others, each in ascending order."""
    every = bytes(range(256))
    ids = step(data=every).tolist()
    yield alike("all ids", sorted(ids), range(256))
    prints = [chr(byte).isprintable() and byte != 32 for byte in every]
    order = sorted(every, key=lambda byte: (not prints[byte], byte))
    yield alike("order", sorted(every, key=lambda b: ids[b]), order)


def bytes_do_not_mix(step: Step, arguments: dict) -> Comparisons:
    """A byte has the same id wherever it occurs."""
    data = arguments["data"]
    alone = [step(data=data[i : i + 1])[0] for i in range(len(data))]
    yield alike("ids", step(data=data), alone)


def pairs_are_sorted_and_keep_their_ranks(
    step: Step, arguments: dict
) -> Comparisons:
    """Pairs ascend, each above its rank: 256 for the first merge, then one
    more for each; a last entry, larger than all, is no pair."""
    merges, table = arguments["merges"], step(**arguments)
    yield alike("order", table[0], np.sort(table[0]))
    pairs = {tuple(pair): 256 + k for k, pair in enumerate(merges.tolist())}
    known = ranks_of(table)
    yield alike("number of pairs", len(known), len(pairs))
    ranks = [known.get(pair, NEVER) for pair in pairs]
    yield alike("ranks", ranks, [*pairs.values()])
    last = (WIDTH * WIDTH - 1, NEVER)
    yield alike("last entry", table[:, -1], last)


def a_rank_is_that_of_two_neighbours(
    step: Step, arguments: dict
) -> Comparisons:
    """The rank of a pair does not depend on its neighbours."""
    ids, table = arguments["ids"], arguments["table"]
    alone = [
        step(ids=ids[i : i + 2], table=table)[0]
        for i in range(len(ids) - 1)
    ]
    yield alike("ranks", step(**arguments), alone)


def a_known_pair_has_its_rank_and_no_other_has_one(
    step: Step, arguments: dict
) -> Comparisons:
    """Each pair in the table has its rank; any other pair, also a reversed
    or a neighbouring one, has none."""
    table, known = arguments["table"], ranks_of(arguments["table"])
    for pair in [*known, (0, 300), (300, 0), (WIDTH - 2, WIDTH - 2)]:
        for other in (pair, pair[::-1], (pair[0], pair[1] + 1)):
            got = step(ids=np.array(other), table=table)
            yield alike(f"rank of {other}", got, [known.get(other, NEVER)])


def from_the_left_every_match_is_taken_that_can_be(
    step: Step, arguments: dict
) -> Comparisons:
    """Only matches are chosen, no two of them neighbours, and a match is
    left out only if its left neighbour was chosen."""
    matches, chosen = arguments["matches"], step(**arguments)
    yield alike("chosen", chosen & matches, chosen)
    before = np.append(False, chosen[:-1])
    yield alike("neighbours", chosen & before, np.zeros(len(chosen)))
    yield alike(
        "left out", chosen | before | ~matches, np.ones(len(chosen))
    )


def a_merge_can_be_undone(step: Step, arguments: dict) -> Comparisons:
    """Merging the chosen pairs into a new id, and replacing that id by the
    pairs again, one after the other, gives the ids as they were."""
    ids, chosen = arguments["ids"], arguments["chosen"]
    rank = np.array([1000])
    merged = step(ids=ids, chosen=chosen, rank=rank)
    pairs = iter([ids[i : i + 2].tolist() for i in np.flatnonzero(chosen)])
    apart = [
        part
        for token in merged.tolist()
        for part in (next(pairs, []) if token == 1000 else [token])
    ]
    yield alike("number of ids", len(merged), len(ids) - chosen.sum())
    yield alike("ids taken apart", apart, ids)


def a_merge_can_be_written_out(step: Step, arguments: dict) -> Comparisons:
    """Every id, written out as the pairs it is made of, gives the text as
    it was before."""
    ids, table = arguments["ids"], arguments["table"]
    got = written_out(step(**arguments).tolist(), table)
    yield alike("written out", got, written_out(ids.tolist(), table))


def the_earliest_pair_is_gone_and_no_other(
    step: Step, arguments: dict
) -> Comparisons:
    """Of all pairs in the text, the one learned first is gone, and its id
    is there once for each; no other id is more frequent than before."""
    ids, table = arguments["ids"].tolist(), arguments["table"]
    ranks = ranks_of(table)
    lowest = min(ranks.get(pair, NEVER) for pair in pairwise(ids))
    merged = step(**arguments).tolist()
    left = [ranks.get(pair, NEVER) == lowest for pair in pairwise(merged)]
    yield alike("pairs of lowest rank", sum(left), 0)
    new = merged.count(lowest) - ids.count(lowest)
    yield alike("new ids", new, len(ids) - len(merged))
    grown = [merged.count(n) > ids.count(n) for n in {*merged} - {lowest}]
    yield alike("other new ids", sum(grown), 0)


def a_text_has_a_merge_where_a_pair_has_one(
    step: Step, arguments: dict
) -> Comparisons:
    """A text has a merge if any two neighbours have; one id has none."""
    ids, table = arguments["ids"], arguments["table"]
    alone = [
        step(ids=ids[i : i + 2], table=table) for i in range(len(ids) - 1)
    ]
    yield alike("a pair in it", step(**arguments), any(alone))
    yield alike("one id", step(ids=ids[:1], table=table), False)
    known = ranks_of(table)
    for pair in [*known, (300, 300)]:
        got = step(ids=np.array(pair), table=table)
        yield alike(f"{pair}", got, pair in known)


def nothing_is_left_to_merge(step: Step, arguments: dict) -> Comparisons:
    """No two neighbours are a known pair, and merging again changes
    nothing."""
    table, merged = arguments["table"], step(**arguments)
    ranks = ranks_of(table)
    left = [pair in ranks for pair in pairwise(merged.tolist())]
    yield alike("pairs left", sum(left), 0)
    yield alike("merged again", step(ids=merged, table=table), merged)


# --- windows -------------------------------------------------------------


def every_whole_window_has_its_start(
    step: Step, arguments: dict
) -> Comparisons:
    """Windows start at 0 and then every `stride` tokens; the last one is
    whole, with its targets, and one more would not be."""
    starts, tokens = step(**arguments), arguments["tokens"]
    context_length = arguments["context_length"]
    stride = arguments["stride"]
    yield alike("first", starts[:1], [0])
    strides = np.diff(starts)
    yield alike("strides", strides, np.full(len(strides), stride))
    last = int(starts[-1]) + context_length + 1
    fits = (last <= tokens, last + stride <= tokens)
    yield alike("the last fits, one more would not", fits, (True, False))


def the_last_window_ends_where_the_text_ends(
    step: Step, arguments: dict
) -> Comparisons:
    """The last target is the last token; windows start every `stride`
    tokens, and none but the last is moved."""
    starts, tokens = step(**arguments), arguments["tokens"]
    context_length = arguments["context_length"]
    stride = arguments["stride"]
    yield alike("end", starts[-1] + context_length, tokens - 1)
    expected = np.arange(len(starts) - 1) * stride
    yield alike("all but the last", starts[:-1], expected)
    final = int(np.diff(starts, prepend=0)[-1])
    near = 0 < final <= stride or len(starts) == 1
    yield alike("no gap before the last", near, True)


def a_target_is_what_comes_next(step: Step, arguments: dict) -> Comparisons:
    """If the id of every token is its position, a window counts up from
    its start, and its targets are one further."""
    starts = arguments["starts"]
    context_length = arguments["context_length"]
    positions = np.arange(len(arguments["ids"]))
    inputs, targets = step(**arguments | {"ids": positions})
    counted = [
        [start + i for i in range(context_length)] for start in starts
    ]
    yield alike("inputs", inputs, counted)
    yield alike("targets", targets, np.add(counted, 1))


def windows_are_of_the_text(step: Step, arguments: dict) -> Comparisons:
    """Each window is a piece of the text, and its targets are the piece
    one token further."""
    ids = arguments["ids"].tolist()
    context_length = arguments["context_length"]
    inputs, targets = step(**arguments)
    for index, start in enumerate(arguments["starts"].tolist()):
        piece = ids[start : start + context_length + 1]
        yield alike(f"inputs of {index}", inputs[index], piece[:-1])
        yield alike(f"targets of {index}", targets[index], piece[1:])


def batches_take_all_in_order(step: Step, arguments: dict) -> Comparisons:
    """One after the other, the batches give the permutation; all are full,
    and a last one that is not is dropped, if `drop_last` says so."""
    permutation, full = arguments["permutation"], arguments["batch_size"]
    chosen = step(**arguments)
    joined = [int(window) for batch in chosen for window in batch]
    yield alike("windows", joined, permutation[: len(joined)])
    sizes = [len(batch) for batch in chosen]
    yield alike("full ones", sizes[:-1], [full] * (len(sizes) - 1))
    left_out = len(permutation) - len(joined)
    most = full - 1 if arguments["drop_last"] else 0
    least = full if arguments["drop_last"] else 1
    yield alike("nothing left out", left_out <= most, True)
    within = all(least <= size <= full for size in sizes)
    yield alike("sizes", within, True)


PROPERTIES = (
    Property(printable_bytes_come_first, of=("byte_ids",)),
    Property(bytes_do_not_mix, of=("byte_ids",)),
    Property(pairs_are_sorted_and_keep_their_ranks, of=("merge_table",)),
    Property(a_rank_is_that_of_two_neighbours, of=("pair_ranks",)),
    Property(
        a_known_pair_has_its_rank_and_no_other_has_one, of=("pair_ranks",)
    ),
    Property(
        from_the_left_every_match_is_taken_that_can_be,
        of=("without_overlap",),
    ),
    Property(a_merge_can_be_undone, of=("merge_pairs",)),
    Property(
        a_merge_can_be_written_out,
        of=("merge_lowest", "merge_all"),
    ),
    Property(the_earliest_pair_is_gone_and_no_other, of=("merge_lowest",)),
    Property(a_text_has_a_merge_where_a_pair_has_one, of=("has_merge",)),
    Property(nothing_is_left_to_merge, of=("merge_all",)),
    Property(every_whole_window_has_its_start, of=("window_starts",)),
    Property(
        the_last_window_ends_where_the_text_ends,
        of=("covering_window_starts",),
    ),
    Property(a_target_is_what_comes_next, of=("windows",)),
    Property(windows_are_of_the_text, of=("windows",)),
    Property(batches_take_all_in_order, of=("batches",)),
)
