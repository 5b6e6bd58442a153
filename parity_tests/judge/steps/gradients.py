"""What a correct gradient by hand does, without autograd beside it.

Its `check` takes a `Gradient` and the arguments of the gradient: that of
the step's result first, then all that the step takes.
"""

from dataclasses import replace

import numpy as np

from parity_tests.bounds.rounding import Bounded
from parity_tests.twins.gradients import with_gradient

from .property import (
    Found,
    Gradient,
    agree,
    chance,
    exactly,
    first_of,
    identical,
    inner,
    inputs,
    judged_gradient,
    leaves,
    moved,
    over,
    over_all_tokens,
    rounded,
    same,
    zero,
)

# A whole model's bound is too wide to see anything; `test_gpt2_training`
# judges the gradient of that.
TOO_DEEP = {"gpt2_loss"}
GRID = 2.0**36
STEP = 2.0**-12

ATTENTIONS = ("scaled_dot_product_attention", "attention_with_dropout")
PROJECTED = (
    *("self_attention", "causal_attention", "stacked_heads"),
    *("multi_head_attention", "multi_head_attention_with_dropout"),
)


EVERY = [twin.name for twin in with_gradient() if twin.name not in TOO_DEEP]


# --- of every gradient ---------------------------------------------------


@judged_gradient(*EVERY)
def a_small_move_changes_the_output_as_the_gradient_says(
    gradient: Gradient, arguments: dict
) -> Found:
    r"""When all inputs move a little, the output changes by the gradient
    times the move.

    In float64, with the slope $D(h) = (g(x + h v) - g(x - h v)) / 2 h$ of
    the sum of upstream times output, for h, h/2, h/4 and h/8. $D(h)$ is
    off by $c h^2$ and smaller terms, hence $D(h/8)$ by $c h^2 / 64$; the
    last two differences between neighbours are $3 c h^2 / 64$ and four
    times that, and so much is allowed. To it comes what rounding makes of
    g, on both sides, over h/4, and of the gradient. Where halving h does
    not halve the differences, h is too long for this function, as for a
    norm of equal features, and nothing is known. Inputs are put on a grid
    of 2^-36, so that moving them by h rounds nothing.
    """
    asked = moved(arguments, on_the_grid)
    first = next(iter(asked))
    upstream = np.asarray(asked[first], np.float64)
    taken, asked[first] = inputs(asked), upstream[()]
    random = chance(arguments)
    ways = {
        name: random.integers(-3, 4, array.shape).astype(float)
        for name, array in leaves(taken).items()
    }
    slopes, errors = np.transpose(
        [
            slope(gradient, taken, upstream, ways, STEP / part)
            for part in (1, 2, 4, 8)
        ]
    )
    apart = np.abs(np.diff(slopes))
    if (apart[1:] > apart[:-1] / 2 + errors[1:-1] + errors[2:]).any():
        return
    found = gradient.known(asked)
    by_hand = sum(np.sum(found[n].value * ways[n]) for n in found)
    off = sum(np.sum(found[n].error * np.abs(ways[n])) for n in found)
    bound = apart[1:].sum() + errors[-1] + off
    got, expected = np.asarray(by_hand), np.asarray(slopes[-1])
    compared = same("slope", got, expected, np.asarray(bound))
    scale = sum(np.sum(np.abs(found[n].value * ways[n])) for n in found)
    yield replace(compared, scale=float(scale))


def on_the_grid(name: str, array: np.ndarray) -> np.ndarray:
    """float64, with 36 binary places."""
    return np.rint(array.astype(np.float64) * GRID) / GRID


def slope(gradient, taken: dict, upstream, ways: dict, h: float):
    """D(h), and how far rounding may have moved it."""
    ahead, behind = (
        along(gradient, taken, upstream, ways, way) for way in (h, -h)
    )
    value = (ahead.value - behind.value) / (2 * h)
    return float(value[0]), float((ahead.error + behind.error)[0]) / (2 * h)


def along(gradient, taken, upstream, ways, way: float) -> Bounded:
    """The sum of upstream times output, so far on the way."""
    there = moved(taken, lambda name, a: a + way * ways[name])
    output = gradient.step.known(there)
    products = exactly(upstream) * output
    return products.moved(lambda a: a.reshape(-1)).total()


# --- attention -----------------------------------------------------------


@judged_gradient("softmax", "softmax_with_temperature", "masked_softmax")
def what_one_key_gains_the_others_lose(
    gradient: Gradient, arguments: dict
) -> Found:
    """Gradients of a row of scores sum to 0; a forbidden score's is 0."""
    scores = gradient.known(arguments)["scores"]
    total = scores.total()
    yield agree("sum of d_scores", total, zero(total), scores)
    mask = np.broadcast_to(arguments.get("mask", np.True_), scores.shape)
    forbidden = np.where(mask, 0, scores.value)
    yield identical("forbidden d_scores", forbidden, forbidden * 0)


@judged_gradient("softmax", "softmax_with_temperature", "masked_softmax")
def a_number_added_to_every_weights_gradient_changes_nothing(
    gradient: Gradient, arguments: dict
) -> Found:
    """The weights sum to 1, whatever the scores: a gradient that is the
    same for all of them moves no score."""
    d_weights = arguments["d_weights"]
    other = d_weights + d_weights.dtype.type(2)
    asked = arguments | {"d_weights": other}
    got = gradient.known(asked, {"d_weights": rounded(other)})["scores"]
    yield agree("d_scores", got, gradient.known(arguments)["scores"])


@judged_gradient("attention_scores", *ATTENTIONS)
def queries_and_keys_gain_alike(
    gradient: Gradient, arguments: dict
) -> Found:
    """Longer queries do what longer keys do: ⟨dQ, Q⟩ = ⟨dK, K⟩."""
    found = gradient.known(arguments)
    along = [
        inner(found[name], exactly(arguments[name]))
        for name in ("query", "key")
    ]
    yield agree("<dQ, Q> and <dK, K>", *along, found["query"])


@judged_gradient(*ATTENTIONS)
def gradients_of_keys_sum_to_0(
    gradient: Gradient, arguments: dict
) -> Found:
    """A vector added to all keys changes nothing: their gradients sum to
    0. What no query sees has no gradient."""
    found = gradient.known(arguments)
    total = over(found["key"], -2)
    yield agree("sum of d_key", total, zero(total), found["key"])
    shape = (*arguments["query"].shape[:-1], total_keys(arguments))
    unseen = ~np.broadcast_to(arguments["mask"], shape).any(axis=-2)
    for name in ("key", "value"):
        none = found[name].value[unseen]
        yield identical(f"d_{name} unseen", none, none * 0)


def total_keys(arguments: dict) -> int:
    return arguments["key"].shape[-2]


@judged_gradient("scaled_dot_product_attention")
def values_get_what_the_outputs_get(
    gradient: Gradient, arguments: dict
) -> Found:
    """A vector added to all values is added to the outputs: gradients of
    the values sum to those of the outputs that see any."""
    value = gradient.known(arguments)["value"]
    upstream = arguments["d_context"]
    shape = (*upstream.shape[:-1], total_keys(arguments))
    sees = np.broadcast_to(arguments["mask"], shape).any(-1, keepdims=True)
    answers = exactly(np.where(sees, upstream, 0))
    yield agree("sum of d_value", over(value, -2), over(answers, -2))


@judged_gradient("attention_with_dropout")
def a_dropped_key_says_nothing_and_learns_nothing(
    gradient: Gradient, arguments: dict
) -> Found:
    """A key that all queries drop: its value has the gradient 0."""
    keys = total_keys(arguments)
    some = chance(arguments).uniform(size=keys) < 0.5
    asked = arguments | {"dropout_mask": arguments["dropout_mask"] & some}
    silent = gradient.known(asked)["value"].value[..., ~some, :]
    yield identical("d_value", silent, silent * 0)


@judged_gradient(*PROJECTED)
def a_bias_of_all_keys_learns_nothing(
    gradient: Gradient, arguments: dict
) -> Found:
    """The bias of all keys shifts a row of scores, which changes
    nothing: its gradient is 0."""
    found = gradient.known(arguments)
    for name, part in found.items():
        if name.endswith("key.bias"):
            weight = found[name.replace("bias", "weight")]
            yield agree(name, part, zero(part), weight)


@judged_gradient(
    *("linear", "feed_forward", "feed_forward_tanh", "stacked_heads"),
    *("multi_head_attention", "multi_head_attention_with_dropout"),
)
def the_last_bias_gets_the_sum_of_all(
    gradient: Gradient, arguments: dict
) -> Found:
    """What is added to all tokens gets the sum of their gradients."""
    found = gradient.known(arguments)
    name = "params.output.bias"
    bias = found.get(name, found.get("params.bias"))
    yield agree(
        "d_bias", bias, over_all_tokens(exactly(first_of(arguments)))
    )
