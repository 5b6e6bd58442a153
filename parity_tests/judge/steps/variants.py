"""Properties of a Llama's steps: RMSNorm, SiLU, SwiGLU, RoPE, key heads."""

from dataclasses import replace

import numpy as np

from parity_tests.bounds.gradients import quotient
from parity_tests.bounds.layers import mean
from parity_tests.bounds.rounding import (
    FUNCTION_ROUNDINGS,
    Bounded,
    exponential,
    product,
)
from parity_tests.judge.subject.rotary import OF_AN_ANGLE, angles_at
from parity_tests.judge.verdict.protocol import NotAsked

from .property import (
    IN_FLOAT64,
    Comparisons,
    Property,
    Step,
    agree,
    alike,
    exactly,
    generator_for,
    known,
    rounded,
)

ROTATIONS = ("rotary_halves", "rotary_neighbours")


# --- RMSNorm -------------------------------------------------------------


def features_have_a_mean_square_of_1(
    step: Step, arguments: dict
) -> Comparisons:
    """Before the weight, the mean square of a token's features is
    s / (s + epsilon), if s is that of the input."""
    normalised = with_a_weight_of_1(step, arguments)
    square = mean(normalised * normalised)
    wide = exactly(arguments["x"])
    size = mean(wide * wide)
    epsilon = exactly(np.full(size.shape, arguments["epsilon"]))
    expected = quotient(size, size + epsilon)
    yield agree("mean square", square, expected, exactly(np.ones(1)))


def with_a_weight_of_1(step: Step, arguments: dict) -> Bounded:
    params = arguments["params"]
    ones = replace(params, weight=np.ones_like(params.weight))
    return step.known(arguments | {"params": ones})


def a_token_keeps_its_direction(step: Step, arguments: dict) -> Comparisons:
    """Before the weight, all features of a token are divided by the same
    number: nothing is centred."""
    y, x = with_a_weight_of_1(step, arguments), exactly(arguments["x"])
    first_y, first_x = (part.moved(lambda a: a[..., :1]) for part in (y, x))
    yield agree("x y₀", x * first_y, first_x * y, x * first_y)


def the_weight_comes_at_the_end(step: Step, arguments: dict) -> Comparisons:
    """Each feature is multiplied by its own weight."""
    expected = with_a_weight_of_1(step, arguments) * exactly(
        arguments["params"].weight
    )
    yield agree("y", step.known(arguments), expected)


def the_length_of_a_token_does_not_matter(
    step: Step, arguments: dict
) -> Comparisons:
    """Features times 4, with epsilon times 16, give the same."""
    scaled = arguments | {
        "x": 4 * arguments["x"],
        "epsilon": 16 * arguments["epsilon"],
    }
    yield agree("y", step.known(scaled), step.known(arguments))


# --- SiLU and SwiGLU -----------------------------------------------------


def the_share_is_a_sigmoid(step: Step, arguments: dict) -> Comparisons:
    """silu(x) (1 + e^-x) is x, for moderate numbers."""
    x = np.clip(arguments["x"], -8, 8)
    wide = exactly(x)
    grown = exponential(exactly(-x)) + exactly(np.ones(x.shape))
    yield agree("x", step.known({"x": x}) * grown, wide, wide)


OPEN = 40.0  # where a sigmoid is 1, to the last digit of float64


def a_gate_far_open_lets_all_pass(
    step: Step, arguments: dict
) -> Comparisons:
    """Where the gate is 40 for each feature, all of the other layer passes,
    40 times as large."""
    params, x = arguments["params"], arguments["x"].copy()
    x[..., 0] = 1
    weight = np.zeros_like(params.gate.weight)
    weight[:, 0] = OPEN
    opened = replace(params, gate=replace(params.gate, weight=weight))
    up, down = exactly(params.up.weight), exactly(params.down.weight)
    side = product("...i,oi->...o", exactly(x), up).times(OPEN)
    expected = product("...i,oi->...o", side, down)
    got = step.known(arguments | {"x": x, "params": opened})
    yield agree("y", got, expected, side)


def what_is_gated_adds_up(step: Step, arguments: dict) -> Comparisons:
    """With the other layer's weights doubled, the output is doubled."""
    params = arguments["params"]
    doubled = replace(params.up, weight=2 * params.up.weight)
    got = step.known(arguments | {"params": replace(params, up=doubled)})
    yield agree("y", got, step.known(arguments).times(2))


# --- rotary positions ----------------------------------------------------


def turned_at(step, arguments: dict, positions: np.ndarray) -> Bounded:
    """The tokens, turned as at these positions.

    Where a step is given cosines and sines, these come with what float64
    and their last rounding have made of them.
    """
    if "positions" in arguments:
        return step.known(arguments | {"positions": positions})
    turns = angles_at(positions, arguments["x"].shape[-1])
    table, dtype = turn_of(turns), arguments["x"].dtype
    taken = arguments | {n: a.astype(dtype) for n, a in table.items()}
    off = {
        name: rounded(taken[name])
        + FUNCTION_ROUNDINGS * IN_FLOAT64.u
        + OF_AN_ANGLE * turns * IN_FLOAT64.u
        for name in table
    }
    return known(step(**taken), step.error(taken, off))


def turn_of(turns: np.ndarray) -> dict[str, np.ndarray]:
    return {"cosine": np.cos(turns), "sine": np.sin(turns)}


def places_of(arguments: dict) -> np.ndarray:
    """Positions for as many tokens: in no order, and not from 0 on."""
    return 1 + np.arange(arguments["x"].shape[-2]) * 3 % 17


def position_0_changes_nothing(step: Step, arguments: dict) -> Comparisons:
    """At position 0 every feature stays what it is."""
    if not getattr(step, "keeps_order", True):
        raise NotAsked("it changes the order of features, too")
    tokens = arguments["x"].shape[-2]
    got = turned_at(step, arguments, np.zeros(tokens, int))
    yield agree("turned", got, exactly(arguments["x"]))


def lengths_are_kept(step: Step, arguments: dict) -> Comparisons:
    """No token gets longer or shorter, wherever it stands."""
    got = turned_at(step, arguments, places_of(arguments))
    x = exactly(arguments["x"])
    yield agree("squared length", (got * got).total(), (x * x).total())


def scores_depend_on_the_distance_only(
    step: Step, arguments: dict
) -> Comparisons:
    """The product of two tokens is the same where both are moved by the
    same number of positions."""
    here, scores = places_of(arguments), []
    for distance in (0, 5):
        turned = turned_at(step, arguments, here + distance)
        scores.append(product("...qi,...ki->...qk", turned, turned))
    yield agree("scores", *scores, scores[0])


def tokens_add_up(step: Step, arguments: dict) -> Comparisons:
    """Turning some features and the others apart, and adding up, is
    turning all: it is linear."""
    x = arguments["x"]
    some = generator_for(arguments).uniform(size=x.shape) < 0.5
    left, right = (
        step.known(arguments | {"x": np.where(chosen, x, 0)})
        for chosen in (some, ~some)
    )
    yield agree("turned", step.known(arguments), left + right)


OF_POSITIONS = (
    position_0_changes_nothing,
    lengths_are_kept,
    scores_depend_on_the_distance_only,
    tokens_add_up,
)


# --- key heads -----------------------------------------------------------


def a_head_is_repeated_next_to_itself(
    step: Step, arguments: dict
) -> Comparisons:
    """Head h of the result is head h // repeats, bit for bit."""
    x, repeats = arguments["x"], arguments["repeats"]
    got = step(**arguments)
    heads = np.arange(got.shape[-3]) // repeats
    yield alike("repeated", got, x[..., heads, :, :])


PROPERTIES = (
    Property(features_have_a_mean_square_of_1, of=("rms_norm",)),
    Property(a_token_keeps_its_direction, of=("rms_norm",)),
    Property(the_weight_comes_at_the_end, of=("rms_norm",)),
    Property(the_length_of_a_token_does_not_matter, of=("rms_norm",)),
    Property(the_share_is_a_sigmoid, of=("silu",)),
    Property(a_gate_far_open_lets_all_pass, of=("swiglu",)),
    Property(what_is_gated_adds_up, of=("swiglu",)),
    *(Property(each, of=ROTATIONS) for each in OF_POSITIONS),
    Property(a_head_is_repeated_next_to_itself, of=("repeat_heads",)),
)
