"""Properties of attention in tiles, and of the parts that it merges."""

from math import inf, log

import numpy as np

from parity_tests.bounds.rounding import Bounded

from .property import (
    Comparisons,
    Property,
    Step,
    agree,
    alike,
    description,
    exactly,
    known,
)

TILED = ("tiled_attention", "split_key_attention")
ALL_TILED = (*TILED, "tiled_causal_attention")
ALL = np.ones((1, 1), bool)


def seeing_all(arguments: dict) -> dict:
    """The arguments with every key visible to every query."""
    taken = arguments | {"mask": ALL}
    keys = arguments["key"].shape[-2]
    return taken | ({"past": keys} if "past" in arguments else {})


def the_size_of_a_block_does_not_matter(
    step: Step, arguments: dict
) -> Comparisons:
    """Blocks of one and of two keys, and one block, give the same."""
    whole = step.known(arguments | {"block": 99})
    for block in (1, 2):
        taken = arguments | {"block": block}
        yield agree("context", step.known(taken), whole, exactly_of(taken))


def exactly_of(arguments: dict) -> Bounded:
    """The values, which a context is made of."""
    return exactly(arguments["value"])


def a_query_without_a_question_gets_the_mean_of_all_values(
    step: Step, arguments: dict
) -> Comparisons:
    """With scores of 0 each key counts alike, those of a last block that
    is shorter, too."""
    taken = seeing_all(arguments) | {"query": 0 * arguments["query"]}
    keys = arguments["key"].shape[-2]
    for block in (1, 2, max(1, keys - 1)):
        got = step.known(taken | {"block": block})
        columns = exactly(arguments["value"].swapaxes(-2, -1))
        mean = (
            columns.total().over(keys).moved(lambda a: a.swapaxes(-2, -1))
        )
        yield agree("mean", got, mean, exactly_of(taken))


def a_hidden_first_block_has_no_part(
    step: Step, arguments: dict
) -> Comparisons:
    """Where the first keys are hidden from all, the others are attended to
    as if they were alone."""
    if arguments["key"].shape[-2] < 2:
        return
    taken = seeing_all(arguments) | {"block": 1}
    mask = np.arange(arguments["key"].shape[-2])[None] > 0
    others = {n: taken[n][..., 1:, :] for n in ("key", "value")}
    got = step.known(taken | {"mask": mask})
    alone = step.known(taken | others)
    yield agree("context", got, alone, exactly_of(taken))


def a_query_that_sees_nothing_gets_zeros(
    step: Step, arguments: dict
) -> Comparisons:
    """A fully masked row is 0, and no NaN."""
    mask = np.zeros((1, 1), bool)
    got = step.known(arguments | {"mask": mask, "block": 2})
    yield alike("context", got.value, 0 * got.value)


def later_keys_change_nothing(step: Step, arguments: dict) -> Comparisons:
    """No query finds what stands behind its own position, whatever block
    it is in."""
    past, keys = arguments["past"], arguments["key"].shape[-2]
    taken = arguments | {"mask": ALL, "block": 2}
    for query in range(arguments["query"].shape[-2]):
        moved = dict(taken)
        for name in ("key", "value"):
            moved[name] = taken[name].copy()
            moved[name][..., past + query + 1 :, :] += 8
        before, after = (
            step.known(each).moved(lambda a, row=query: a[..., row, :])
            for each in (taken, moved)
        )
        if past + query + 1 < keys:
            yield agree("context", after, before, exactly_of(moved))


def each_query_sees_its_own_key(step: Step, arguments: dict) -> Comparisons:
    """A query that asks for nothing finds the mean of all values up to its
    position, its own among them."""
    taken = arguments | {"mask": ALL, "block": 2}
    got = step.known(taken | {"query": 0 * taken["query"]})
    for query in range(got.shape[-2]):
        seen = arguments["value"][..., : arguments["past"] + query + 1, :]
        columns = exactly(seen.swapaxes(-2, -1))
        mean = columns.total().over(seen.shape[-2])
        row = got.moved(lambda a, at=query: a[..., at, :])
        mean = mean.moved(lambda a: a[..., 0])
        yield agree("mean", row, mean, exactly(arguments["value"]))


# --- online softmax ------------------------------------------------------


def fields(step: Step, arguments: dict) -> dict[str, Bounded]:
    """What a step gives, by the names of its fields, with their errors."""
    result = step(**arguments)
    (exact,) = (
        value
        for name, value in description(step.name, arguments).items()
        if name == {"add_key_block": "extended"}.get(step.name, "merged")
    )
    return {
        name: known_or_nothing(getattr(result, name), part.error)
        for name, part in exact._asdict().items()
    }


def known_or_nothing(value, error) -> Bounded:
    """A result that may be off, and may be the maximum of no key."""
    wide = np.asarray(value, np.float64)
    known(np.where(wide == -inf, 0, wide), error)
    return Bounded(wide, error, exactly(np.zeros(())).rounding)


def a_hidden_block_changes_nothing(
    step: Step, arguments: dict
) -> Comparisons:
    """Neither what has been met so far, nor that nothing has."""
    mask = np.zeros((1, 1), bool)
    got = fields(step, arguments | {"mask": mask})
    for name, before in arguments["running"]._asdict().items():
        expected = np.asarray(before, np.float64)
        yield alike(name, got[name].value, expected)


def met(arguments: dict, maximum: float) -> dict:
    """Every query has met keys, the greatest score of which is this one;
    the new scores are 0."""
    before = arguments["running"]
    dtype = before.total.dtype
    running = before._replace(
        maximum=np.full_like(before.maximum, maximum, dtype),
        total=np.ones_like(before.total),
    )
    nothing = {"query": 0 * arguments["query"], "mask": ALL}
    return arguments | nothing | {"running": running}


def under_a_greater_maximum_what_was_met_counts_less(
    step: Step, arguments: dict
) -> Comparisons:
    """Where the new scores are greater by 40 ln 2, nothing is left of the
    earlier keys that would be seen."""
    taken = met(arguments, -40 * log(2))
    got, keys = fields(step, taken), arguments["key"].shape[-2]
    yield agree("maximum", got["maximum"], exactly(np.zeros(())))
    error = np.full((), 2.0**-40)
    total = Bounded(np.full((), float(keys)), error, got["total"].rounding)
    yield agree("total", got["total"], total)
    columns = exactly(arguments["value"].swapaxes(-2, -1)).total()
    sums = columns.moved(lambda a: a.swapaxes(-2, -1))
    left = np.abs(taken["running"].weighted_sum).astype(float) * 2.0**-40
    expected = Bounded(sums.value, sums.error + left, sums.rounding)
    yield agree(
        "weighted_sum", got["weighted_sum"], expected, exactly_of(taken)
    )


def under_the_same_maximum_new_keys_are_added(
    step: Step, arguments: dict
) -> Comparisons:
    """Where no score is greater, what was met stays as it is."""
    taken = met(arguments, 0.0)
    got, keys = fields(step, taken), arguments["key"].shape[-2]
    yield agree("maximum", got["maximum"], exactly(np.zeros(())))
    yield agree("total", got["total"], exactly(np.full((), 1.0 + keys)))
    columns = exactly(arguments["value"].swapaxes(-2, -1)).total()
    sums = columns.moved(lambda a: a.swapaxes(-2, -1))
    before = exactly(taken["running"].weighted_sum)
    yield agree(
        "weighted_sum",
        got["weighted_sum"],
        before + sums,
        exactly_of(taken),
    )


# --- merging -------------------------------------------------------------


def with_sums(arguments: dict, first: float, second: float) -> dict:
    """Both parts with one log-sum-exp for all queries each."""
    return arguments | {
        name: arguments[name]._replace(
            log_sum_exp=np.full_like(arguments[name].log_sum_exp, number)
        )
        for name, number in (("first", first), ("second", second))
    }


def a_part_that_has_seen_nothing_has_no_share(
    step: Step, arguments: dict
) -> Comparisons:
    """On either side: the other part is what is left."""
    for name, other in (("first", "second"), ("second", "first")):
        nothing = arguments[name]._replace(
            output=np.zeros_like(arguments[name].output),
            log_sum_exp=np.full_like(arguments[name].log_sum_exp, -inf),
        )
        got = fields(step, arguments | {name: nothing})
        for field, value in arguments[other]._asdict().items():
            some = np.isfinite(value)
            expected = exactly(np.where(some, value, 0))
            part = got[field].moved(lambda a, on=some: np.where(on, a, 0))
            yield agree(field, part, expected)


def either_part_may_be_the_first(
    step: Step, arguments: dict
) -> Comparisons:
    """Merging does not depend on the order."""
    turned = {"first": arguments["second"], "second": arguments["first"]}
    got, other = fields(step, arguments), fields(step, turned)
    for name in got:
        seen = np.isfinite(got[name].value)
        yield alike(f"{name} seen", seen, np.isfinite(other[name].value))
        one, two = (
            each[name].moved(lambda a, on=seen: np.where(on, a, 0))
            for each in (got, other)
        )
        yield agree(name, one, two, scale_of(arguments))


def scale_of(arguments: dict) -> Bounded:
    return exactly(arguments["first"].output)


def each_part_counts_by_its_sum(step: Step, arguments: dict) -> Comparisons:
    """Sums of 3 and 4 make a sum of 7, of which they have their shares."""
    taken = with_sums(arguments, log(3), log(4))
    got = fields(step, taken)
    rounding = exactly(np.zeros(())).rounding
    rounded = float(np.finfo(taken["first"].output.dtype).eps)  # of logs
    three, four = (exactly(taken[n].output) for n in ("first", "second"))
    mean = (three.times(3) + four.times(4)).over(7)
    size = np.abs(three.value) + np.abs(four.value)
    mean = Bounded(mean.value, mean.error + 2 * rounded * size, rounding)
    yield agree("output", got["output"], mean, scale_of(taken))
    seven = Bounded(np.full((), log(7)), np.full((), 2 * rounded), rounding)
    yield agree("log_sum_exp", got["log_sum_exp"], seven)


ADD = ("add_key_block",)
MERGE = ("merge_partial_attention",)
PROPERTIES = (
    Property(the_size_of_a_block_does_not_matter, of=ALL_TILED),
    Property(
        a_query_without_a_question_gets_the_mean_of_all_values, of=ALL_TILED
    ),
    Property(a_hidden_first_block_has_no_part, of=ALL_TILED),
    Property(a_query_that_sees_nothing_gets_zeros, of=ALL_TILED),
    Property(later_keys_change_nothing, of=("tiled_causal_attention",)),
    Property(each_query_sees_its_own_key, of=("tiled_causal_attention",)),
    Property(a_hidden_block_changes_nothing, of=ADD),
    Property(under_a_greater_maximum_what_was_met_counts_less, of=ADD),
    Property(under_the_same_maximum_new_keys_are_added, of=ADD),
    Property(a_part_that_has_seen_nothing_has_no_share, of=MERGE),
    Property(either_part_may_be_the_first, of=MERGE),
    Property(each_part_counts_by_its_sum, of=MERGE),
)
