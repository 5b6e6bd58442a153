"""Properties of embeddings and losses."""

from dataclasses import replace
from math import log

import numpy as np

from parity_tests.bounds.layers import mean
from parity_tests.bounds.rounding import Bounded, exponential

from .property import (
    IN_FLOAT64,
    Comparisons,
    Property,
    Step,
    agree,
    alike,
    as_one,
    exactly,
    known,
    rounded,
    same,
)

LOOK_UPS = {
    "token_embedding": "ids",
    "one_hot_embedding": "ids",
    "position_embedding": "positions",
}
LOSSES = ("cross_entropy", "smoothed_cross_entropy")


# --- embeddings ----------------------------------------------------------


def a_token_gets_its_own_row(step: Step, arguments: dict) -> Comparisons:
    """If all features of a row are its index, each token gets its id."""
    ids = arguments[LOOK_UPS[step.name]]
    params = arguments["params"]
    indices = np.arange(len(params.weight))[:, None]
    rows = indices + np.zeros_like(params.weight)
    numbered = arguments | {
        "params": replace(params, weight=rows.astype(params.weight.dtype))
    }
    expected = np.broadcast_to(ids[..., None], (*ids.shape, rows.shape[-1]))
    yield alike("rows", step(**numbered), expected)


def a_row_is_returned_unchanged(step: Step, arguments: dict) -> Comparisons:
    """Every number comes from the table, feature by feature, unchanged."""
    got, weight = step(**arguments), arguments["params"].weight
    in_table = (got[..., None, :] == weight).any(axis=-2)
    yield alike("in the table", in_table, np.ones_like(in_table))


def token_and_position_add_up(step: Step, arguments: dict) -> Comparisons:
    """If one table is all zeros, the other's rows remain; with both
    tables the two results add up."""
    params, ids = arguments["params"], arguments["ids"]
    parts = [
        step.known(arguments | {"params": replace(params, **{name: zeros})})
        for name, zeros in (
            ("position", zeroed(params.position)),
            ("token", zeroed(params.token)),
        )
    ]
    yield agree("x", step.known(arguments), parts[0] + parts[1])
    tokens, positions = parts
    yield agree("tokens", tokens, exactly(params.token.weight[ids]))
    first = params.position.weight[: ids.shape[-1]]
    yield agree("positions", positions, exactly(first))


def zeroed(layer):
    return replace(layer, weight=np.zeros_like(layer.weight))


def position_0_is_zeros_and_ones(
    step: Step, arguments: dict
) -> Comparisons:
    """At position 0 every sine is 0, and every cosine 1."""
    d_model = arguments["d_model"]
    got = step(**arguments | {"positions": arguments["positions"] * 0})
    alternating = np.arange(d_model) % 2
    yield alike("encoded", got, np.broadcast_to(alternating, got.shape))


def a_shift_is_a_rotation(step: Step, arguments: dict) -> Comparisons:
    """Shifting all positions by a distance rotates each pair of features
    by an angle that depends on the distance alone."""
    positions = arguments["positions"]
    moved = positions[::-1] + positions
    here, by, there = (
        pairs(step.known(arguments | {"positions": shifted}))
        for shifted in (positions, positions[::-1], moved)
    )
    sine = here[0] * by[1] + here[1] * by[0]
    cosine = here[1] * by[1] - here[0] * by[0]
    yield agree("sines", there[0], sine)
    yield agree("cosines", there[1], cosine)


def wavelengths_grow_to_ten_thousand(
    step: Step, arguments: dict
) -> Comparisons:
    r"""The first pair turns by an angle of 1 a position, each later one by
    less, by a constant factor; after d_model features it is 1 / 10000.

    The angle at position 1 is at most 1, and read off by the arcus
    tangent, which is no steeper than 1 along the circle. What is expected
    is off by the exponential's 8 u and, by its exponent's rounding, by as
    many u as that is large, at most 2 ln 10000; a power multiplies this,
    and the factor of 2 is room for its own rounding.
    """
    d_model = arguments["d_model"] + 8  # several pairs, in float64
    got = step.known({"positions": np.ones(1), "d_model": d_model})
    sine, cosine = pairs(got)
    angle = np.arctan2(sine.value, cosine.value)
    bound = sine.error + cosine.error + 8 * IN_FLOAT64.u
    factor = exponential(exactly(np.array(-2 * log(10000) / d_model)))
    expected = factor.value ** np.arange(angle.shape[-1])
    roundings = 2 * (8 + 2 * log(10000)) * angle.shape[-1]
    slack = bound + roundings * IN_FLOAT64.u * expected
    expected = np.broadcast_to(expected, angle.shape)
    yield same("angles", angle, expected, slack)


def pairs(encoded: Bounded) -> tuple[Bounded, Bounded]:
    """Sines and cosines; a last sine without a cosine is left out."""
    width = encoded.shape[-1] // 2 * 2
    sine, cosine = (
        encoded.moved(lambda a, first=first: a[..., first:width:2])
        for first in (0, 1)
    )
    return sine, cosine


# --- the loss ------------------------------------------------------------


def what_is_left_are_probabilities(
    step: Step, arguments: dict
) -> Comparisons:
    """e to the power of (logit - result) is a probability: these sum to
    1."""
    result = step.known(arguments).moved(lambda a: a[..., None])
    total = exponential(exactly(arguments["logits"]) - result).total()
    yield agree("sums", total, exactly(np.ones(total.shape)))


def a_number_added_to_all_is_added_to_it(
    step: Step, arguments: dict
) -> Comparisons:
    """A number added to all logits is added to the result; not even a
    thousand overflows."""
    logits = arguments["logits"]
    for shift in (-1000, 1000):
        shifted = logits + logits.dtype.type(shift)
        error = step.error(
            {"logits": shifted}, {"logits": rounded(shifted)}
        )
        got = known(step(logits=shifted), error)
        expected = step.known(arguments) + exactly(np.array(float(shift)))
        yield agree(f"after {shift:+}", got, expected)


def surprises_are_those_of_probabilities(
    step: Step, arguments: dict
) -> Comparisons:
    """For one token, e to the power of minus the loss is the probability
    of its target: over all possible targets these sum to 1."""
    _, parts = losses_of_one_token(step, arguments)
    losses = as_one(parts)
    total = exponential(exactly(np.zeros(1)) - losses).total()
    yield agree("sum", total, exactly(np.ones(1)))


def losses_of_one_token(step: Step, arguments: dict):
    """The first row of logits, and its loss for each possible target."""
    logits = arguments["logits"]
    row = logits.reshape(-1, logits.shape[-1])[:1]
    losses = [
        step.known(
            arguments | {"logits": row, "targets": np.array([target])}
        )
        for target in range(row.shape[-1])
    ]
    return row, losses


def a_likelier_target_surprises_less(
    step: Step, arguments: dict
) -> Comparisons:
    """For two targets of one token, the losses differ by as much as their
    logits, with the opposite sign."""
    row, losses = losses_of_one_token(step, arguments)
    for target, other in enumerate(losses):
        gap = exactly(row[0, :1]) - exactly(row[0, target : target + 1])
        gap = gap.moved(lambda a: a[0])
        yield agree("difference", other - losses[0], gap, other)


def the_loss_is_the_mean_over_what_counts(
    step: Step, arguments: dict
) -> Comparisons:
    """The loss is the mean of the losses of all tokens that count, each
    taken alone."""
    targets, logits = arguments["targets"], arguments["logits"]
    counts = targets != arguments["ignored"]
    alone = [
        step.known(
            arguments | {"logits": row[None], "targets": next_id[None]}
        )
        for row, next_id in zip(
            logits[counts], targets[counts], strict=True
        )
    ]
    expected = mean(as_one(alone)).moved(lambda a: a[0])
    yield agree("loss", step.known(arguments), expected)


def what_is_ignored_does_not_matter(
    step: Step, arguments: dict
) -> Comparisons:
    """Logits whose target is ignored change nothing."""
    logits = arguments["logits"]
    counts = (arguments["targets"] != arguments["ignored"])[..., None]
    other = arguments | {"logits": np.where(counts, logits, 3 - 2 * logits)}
    yield agree("loss", step.known(other), step.known(arguments))


PROPERTIES = (
    Property(a_token_gets_its_own_row, of=(*LOOK_UPS,)),
    Property(a_row_is_returned_unchanged, of=(*LOOK_UPS,)),
    Property(token_and_position_add_up, of=("input_embedding",)),
    Property(position_0_is_zeros_and_ones, of=("sinusoidal_positions",)),
    Property(a_shift_is_a_rotation, of=("sinusoidal_positions",)),
    Property(
        wavelengths_grow_to_ten_thousand, of=("sinusoidal_positions",)
    ),
    Property(what_is_left_are_probabilities, of=("log_sum_exp",)),
    Property(a_number_added_to_all_is_added_to_it, of=("log_sum_exp",)),
    Property(surprises_are_those_of_probabilities, of=("cross_entropy",)),
    Property(a_likelier_target_surprises_less, of=("cross_entropy",)),
    Property(the_loss_is_the_mean_over_what_counts, of=LOSSES),
    Property(what_is_ignored_does_not_matter, of=LOSSES),
)
