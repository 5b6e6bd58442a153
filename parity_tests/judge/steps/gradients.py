"""Properties of hand-written gradients, without autograd beside them.

`check` takes a `Gradient` and its arguments: first the gradient of the
step's result, then all arguments of the step.
"""

from dataclasses import replace

import numpy as np

from parity_tests.bounds.rounding import Bounded
from parity_tests.twins.gradients import with_gradient
from parity_tests.twins.rules import GIVEN

from .activations import FEED_FORWARDS
from .heads import CAUSAL, MULTI_HEAD
from .property import (
    Comparisons,
    Gradient,
    Property,
    agree,
    exactly,
    generator_for,
    gradients_of,
    identical,
    inner,
    inputs,
    leaves,
    moved,
    over,
    over_all_tokens,
    rounded,
    same,
    zero,
)
from .softmax import SOFTMAXES, allowed, mask_of_scores

# A whole model's bound is too wide to see anything; `test_gpt2_training`
# judges the gradient of that.
TOO_DEEP = {"gpt2_loss"}
GRID = 2.0**36
STEP = 2.0**-12

ATTENTIONS = ("scaled_dot_product_attention", "attention_with_dropout")
PROJECTED = ("self_attention", *CAUSAL, *MULTI_HEAD, "cross_attention")


# A step in half precision is a staircase, and has no slope.
IN_HALF = ("attention_inside_float32", "attention_rounded_within")
EVERY = [
    twin.name
    for twin in with_gradient()
    if twin.name not in (*TOO_DEEP, *IN_HALF)
]


# --- of every gradient ---------------------------------------------------


def a_small_move_changes_the_output_as_the_gradient_says(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    r"""If all inputs move a little, the output changes by the gradient
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
    gridded = in_float64(moved(arguments, on_the_grid))
    first = next(iter(gridded))
    upstream = np.asarray(gridded[first], np.float64)
    taken, gridded[first] = inputs(gridded), upstream[()]
    random = generator_for(arguments)
    directions = {
        name: random.integers(-3, 4, array.shape).astype(float)
        for name, array in leaves(taken).items()
    }
    slopes, errors = np.transpose(
        [
            slope(gradient, taken, upstream, directions, STEP / part)
            for part in (1, 2, 4, 8)
        ]
    )
    apart = np.abs(np.diff(slopes))
    if (apart[1:] > apart[:-1] / 2 + errors[1:-1] + errors[2:]).any():
        return
    gradients = gradient.known(gridded)
    by_hand = sum(
        np.sum(part.value * directions[n]) for n, part in gradients.items()
    )
    off = sum(
        np.sum(part.error * np.abs(directions[n]))
        for n, part in gradients.items()
    )
    bound = apart[1:].sum() + errors[-1] + off
    got, expected = np.asarray(by_hand), np.asarray(slopes[-1])
    compared = same("slope", got, expected, np.asarray(bound))
    scale = sum(
        np.sum(np.abs(part.value * directions[n]))
        for n, part in gradients.items()
    )
    yield replace(compared, scale=float(scale))


def in_float64(arguments: dict) -> dict:
    """The arguments with what is given, and not learned, as wide."""
    given = {n: arguments[n] for n in GIVEN if n in arguments}
    return arguments | {n: a.astype(np.float64) for n, a in given.items()}


def on_the_grid(name: str, array: np.ndarray) -> np.ndarray:
    """float64, with 36 binary places."""
    return np.rint(array.astype(np.float64) * GRID) / GRID


def slope(gradient, taken: dict, upstream, directions: dict, h: float):
    """D(h), and how far rounding may have moved it."""
    ahead, behind = (
        along(gradient, taken, upstream, directions, step)
        for step in (h, -h)
    )
    value = (ahead.value - behind.value) / (2 * h)
    return float(value[0]), float((ahead.error + behind.error)[0]) / (2 * h)


def along(gradient, taken, upstream, directions, step: float) -> Bounded:
    """The sum of upstream times output, one step in that direction."""
    there = moved(taken, lambda name, a: a + step * directions[name])
    output = gradient.step.known(there)
    products = exactly(upstream) * output
    return products.moved(lambda a: a.reshape(-1)).total()


# --- attention -----------------------------------------------------------


def what_one_key_gains_the_others_lose(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """The gradients of a row of scores sum to 0; that of a masked score
    is 0."""
    scores = gradient.known(arguments)["scores"]
    total = scores.total()
    yield agree("sum of d_scores", total, zero(total), scores)
    forbidden = np.where(allowed(arguments), 0, scores.value)
    yield identical("forbidden d_scores", forbidden, forbidden * 0)


def a_number_added_to_every_weights_gradient_changes_nothing(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """The weights always sum to 1, so a number added to the gradient of
    every weight changes no gradient of a score."""
    d_weights = arguments["d_weights"]
    other = d_weights + d_weights.dtype.type(2)
    shifted = arguments | {"d_weights": other}
    got = gradient.known(shifted, {"d_weights": rounded(other)})["scores"]
    yield agree("d_scores", got, gradient.known(arguments)["scores"])


def queries_and_keys_gain_alike(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """Scaling the queries does what scaling the keys does:
    ⟨dQ, Q⟩ = ⟨dK, K⟩."""
    gradients = gradient.known(arguments)
    products = [
        inner(gradients[name], exactly(arguments[name]))
        for name in ("query", "key")
    ]
    yield agree("<dQ, Q> and <dK, K>", *products, gradients["query"])


def gradients_of_keys_sum_to_0(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """A vector added to all keys changes nothing, so their gradients sum
    to 0. A key that no query sees has the gradient 0."""
    gradients = gradient.known(arguments)
    total = over(gradients["key"], -2)
    yield agree("sum of d_key", total, zero(total), gradients["key"])
    unseen = ~mask_of_scores(arguments).any(axis=-2)
    for name in ("key", "value"):
        part = gradients[name].value[unseen]
        yield identical(f"d_{name} unseen", part, part * 0)


def values_get_what_the_outputs_get(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """A vector added to all values is added to the outputs, so the
    gradients of the values sum to those of the outputs (without fully
    masked rows)."""
    value = gradient.known(arguments)["value"]
    sees_any = mask_of_scores(arguments).any(-1, keepdims=True)
    upstream = next(iter(arguments.values()))
    outputs = exactly(np.where(sees_any, upstream, 0))
    yield agree("sum of d_value", over(value, -2), over(outputs, -2))


def a_dropped_key_says_nothing_and_learns_nothing(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """If all queries drop a key, its value has the gradient 0."""
    keys = arguments["key"].shape[-2]
    some = generator_for(arguments).uniform(size=keys) < 0.5
    dropped = arguments | {"dropout_mask": arguments["dropout_mask"] & some}
    silent = gradient.known(dropped)["value"].value[..., ~some, :]
    yield identical("d_value", silent, silent * 0)


def a_bias_of_all_keys_learns_nothing(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """The bias of the keys shifts a whole row of scores, which changes
    nothing, so its gradient is 0."""
    gradients = gradient.known(arguments)
    for name, part in gradients.items():
        if name.endswith("key.bias"):
            weight = gradients[name.replace("bias", "weight")]
            yield agree(name, part, zero(part), weight)


def the_last_bias_gets_the_sum_of_all(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """The output bias is added to all tokens, so its gradient is the sum
    of theirs."""
    gradients = gradient.known(arguments)
    name = "params.output.bias"
    bias = gradients.get(name, gradients.get("params.bias"))
    upstream = next(iter(arguments.values()))
    yield agree("d_bias", bias, over_all_tokens(exactly(upstream)))


PROPERTIES = (
    Property(
        a_small_move_changes_the_output_as_the_gradient_says,
        of=gradients_of(*EVERY),
    ),
    Property(
        what_one_key_gains_the_others_lose,
        of=gradients_of(*SOFTMAXES),
    ),
    Property(
        a_number_added_to_every_weights_gradient_changes_nothing,
        of=gradients_of(*SOFTMAXES),
    ),
    Property(
        queries_and_keys_gain_alike,
        of=gradients_of("attention_scores", *ATTENTIONS, *IN_HALF),
    ),
    Property(
        gradients_of_keys_sum_to_0,
        of=gradients_of(*ATTENTIONS, *IN_HALF),
    ),
    Property(
        values_get_what_the_outputs_get,
        of=gradients_of("scaled_dot_product_attention", *IN_HALF),
    ),
    Property(
        a_dropped_key_says_nothing_and_learns_nothing,
        of=gradients_of("attention_with_dropout"),
    ),
    Property(
        a_bias_of_all_keys_learns_nothing, of=gradients_of(*PROJECTED)
    ),
    Property(
        the_last_bias_gets_the_sum_of_all,
        of=gradients_of(
            *("linear", *FEED_FORWARDS, "feed_forward_relu"),
            *("stacked_heads", *MULTI_HEAD, "cross_attention"),
        ),
    ),
)
