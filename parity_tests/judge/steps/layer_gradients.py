"""Properties of the gradients of layers, embeddings and losses."""

from dataclasses import replace

import numpy as np

from parity_tests.bounds.gradients import quotient
from parity_tests.bounds.layers import mean, variance
from parity_tests.bounds.rounding import where
from parity_tests.twins.comparing import largest

from .embeddings import LOOK_UPS
from .layers import without_params
from .property import (
    Comparisons,
    Gradient,
    Property,
    agree,
    alike,
    exactly,
    generator_for,
    gradients_of,
    identical,
    inner,
    inputs,
    leaves,
    over,
    over_all_tokens,
    rounded,
    same,
    zero,
)
from .transformer import at_the_smoothed_target

# --- layers --------------------------------------------------------------


def inputs_and_weights_gain_alike(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """Scaling the inputs does what scaling the weights does:
    ⟨dX, X⟩ = ⟨dW, W⟩."""
    gradients = gradient.known(arguments)
    taken = leaves(inputs(arguments))
    products = [
        inner(gradients[name], exactly(taken[name]))
        for name in ("x", "params.weight")
    ]
    yield agree("<dX, X> and <dW, W>", *products)


def what_is_dropped_learns_nothing(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """Where `dropout_mask` is False the gradient is 0; elsewhere, times
    (1 - rate), it is the upstream gradient."""
    d_x, d_y = gradient.known(arguments)["x"], arguments["d_y"]
    dropout_mask = np.broadcast_to(arguments["dropout_mask"], d_x.shape)
    dropped = np.where(dropout_mask, 0, d_x.value)
    yield identical("dropped", dropped, dropped * 0)
    back = d_x * exactly(np.asarray(1 - arguments["rate"]))
    yield agree("kept", back, where(dropout_mask, exactly(d_y), 0))


def no_gradient_goes_where_the_norm_undoes_a_move(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    r"""The gradients of a token's features sum to 0; along the features
    they are 0, too, except for epsilon.

    $\sum dx (x - \mu) = \epsilon / (\sigma^2 + \epsilon) \sum dy \, w z$,
    because that much of z grows when x - μ does.
    """
    x, params = exactly(arguments["x"]), arguments["params"]
    d_x = gradient.known(arguments)["x"]
    total = d_x.total()
    yield agree("sum of d_x", total, zero(total), d_x)
    centred, spread = x - mean(x), variance(x, mean(x))
    epsilon = exactly(np.full(spread.shape, arguments["epsilon"]))
    z = without_params(gradient.step, inputs(arguments))
    upstream = exactly(arguments["d_y"]) * exactly(params.weight)
    left = quotient(epsilon, spread + epsilon) * (upstream * z).total()
    products = d_x * centred
    yield agree("d_x along x", products.total(), left, products)


def weight_and_bias_gain_what_the_output_gains(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """The bias gets the sum of all gradients; scaling weight and bias does
    what scaling the output does: ⟨dw, w⟩ + ⟨db, b⟩ = ⟨dY, Y⟩."""
    gradients, params = gradient.known(arguments), arguments["params"]
    d_y = exactly(arguments["d_y"])
    yield agree("d_bias", gradients["params.bias"], over_all_tokens(d_y))
    products = [
        inner(gradients[f"params.{name}"], exactly(getattr(params, name)))
        for name in ("weight", "bias")
    ]
    output = gradient.step.known(inputs(arguments))
    yield agree(
        "<dw, w> + <db, b>", products[0] + products[1], inner(d_y, output)
    )


def slopes_on_both_sides_add_up_to_1(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """gelu(x) - gelu(-x) is x, so the slopes at x and -x add up to 1."""
    d_y, x = exactly(arguments["d_y"]), arguments["x"]
    there = gradient.known(arguments | {"x": -x})["x"]
    here = gradient.known(arguments)["x"]
    yield agree("sum of d_x", here + there, d_y)


def what_is_cut_off_learns_nothing(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """Where x is above 0, the gradient goes on as it is; elsewhere, at 0,
    too, it is 0."""
    d_y, x = arguments["d_y"], arguments["x"]
    d_x = gradient.known(arguments)["x"].value
    yield alike("d_x", d_x, np.where(x > 0, d_y, 0))


def an_unseen_source_token_learns_nothing(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """A token of the source that nobody may attend to has the gradient
    0."""
    keys = arguments["source"].shape[-2]
    masked = generator_for(arguments).integers(keys)
    mask = np.arange(keys)[None] != masked
    d_source = gradient.known(arguments | {"mask": mask})["source"].value
    unseen = d_source[..., masked, :]
    yield identical("d_source unseen", unseen, unseen * 0)


# --- embeddings and loss -------------------------------------------------


def a_row_gets_the_sum_of_its_tokens(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """A row gets the sum of the gradients wherever its token occurs; the
    row of a token that does not occur gets 0."""
    ids = arguments[LOOK_UPS[gradient.name]].reshape(-1)
    d_weight = gradient.known(arguments)["params.weight"]
    upstream = arguments["d_embedded"].astype(float)
    upstream = upstream.reshape(-1, upstream.shape[-1])
    for row in range(len(d_weight.value)):
        occurrences = exactly(upstream[ids == row])
        expected = over_all_tokens(occurrences)
        got = d_weight.moved(lambda a, row=row: a[row])
        yield agree(f"row {row}", got, expected, d_weight)


def both_tables_get_all_of_it(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """The rows of either table get, together, the gradients of all tokens;
    a position gets those that it has in every text."""
    gradients, d_x = gradient.known(arguments), exactly(arguments["d_x"])
    for name in ("token", "position"):
        total = over_all_tokens(gradients[f"params.{name}.weight"])
        yield agree(f"sum of {name}", total, over_all_tokens(d_x))
    tokens = d_x.shape[-2]
    texts = d_x.moved(lambda a: a.reshape(-1, *a.shape[-2:]))
    positions = over(texts, 0).moved(lambda a: a[..., 0])
    got = gradients["params.position.weight"]
    yield agree("positions", got.moved(lambda a: a[:tokens]), positions)
    unused = got.value[tokens:]
    yield identical("positions unused", unused, unused * 0)


def what_only_moves_numbers_moves_gradients_back(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """With the step's own result as the gradient, its input comes back."""
    first, taken = next(iter(arguments)), inputs(arguments)
    there = gradient.forward(**taken)
    back = gradient.backward(**{first: there} | taken)
    yield alike("back again", back, taken["x"])


def a_row_of_logits_gains_what_it_loses(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """The gradients of a row of logits sum to 0, only that of the target
    has another sign than the rest, and those of an ignored row are 0."""
    logits = gradient.known(arguments)["logits"]
    total = logits.total()
    yield agree("sum of d_logits", total, zero(total), logits)
    counts = arguments["targets"] != arguments["ignored"]
    ignored = logits.value[~counts]
    yield identical("ignored rows", ignored, ignored * 0)
    vocabulary = np.arange(logits.shape[-1])
    is_target = arguments["targets"][..., None] == vocabulary
    up = np.sign(float(arguments["d_loss"])) * np.where(is_target, -1, 1)
    against = np.minimum(logits.value * up, 0)
    signs = same("signs", against, np.zeros_like(against), logits.error)
    yield replace(signs, scale=largest(logits.value))


def a_smoothed_row_of_logits_gains_what_it_loses(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """The gradients of a row of logits sum to 0, and those of an ignored
    row are 0."""
    logits = gradient.known(arguments)["logits"]
    total = logits.total()
    yield agree("sum of d_logits", total, zero(total), logits)
    counts = arguments["targets"] != arguments["ignored"]
    ignored = logits.value[~counts]
    yield identical("ignored rows", ignored, ignored * 0)


def nothing_is_left_at_the_smoothed_target(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """Where the probabilities are the smoothed target, the gradient is
    0."""
    targets = arguments["targets"]
    smoothing = max(arguments["smoothing"], 0.125)
    best = at_the_smoothed_target(arguments["logits"], targets, smoothing)
    taken = arguments | {"logits": best, "smoothing": smoothing}
    # The logarithm and its precision round, and so does what it is of.
    off = 4 * rounded(best) + 8 * float(np.finfo(best.dtype).eps)
    logits = gradient.known(taken, {"logits": off})["logits"]
    counts = (targets != arguments["ignored"])[..., None]
    left = where(counts, logits, 0)
    yield agree("d_logits", left, zero(left), exactly(np.ones(1)))


PROPERTIES = (
    Property(inputs_and_weights_gain_alike, of=gradients_of("linear")),
    Property(what_is_dropped_learns_nothing, of=gradients_of("dropout")),
    Property(
        no_gradient_goes_where_the_norm_undoes_a_move,
        of=gradients_of("layer_norm"),
    ),
    Property(
        weight_and_bias_gain_what_the_output_gains,
        of=gradients_of("layer_norm"),
    ),
    Property(
        slopes_on_both_sides_add_up_to_1,
        of=gradients_of("gelu", "gelu_tanh"),
    ),
    Property(what_is_cut_off_learns_nothing, of=gradients_of("relu")),
    Property(
        an_unseen_source_token_learns_nothing,
        of=gradients_of("cross_attention"),
    ),
    Property(
        a_smoothed_row_of_logits_gains_what_it_loses,
        of=gradients_of("smoothed_cross_entropy"),
    ),
    Property(
        nothing_is_left_at_the_smoothed_target,
        of=gradients_of("smoothed_cross_entropy"),
    ),
    Property(a_row_gets_the_sum_of_its_tokens, of=gradients_of(*LOOK_UPS)),
    Property(both_tables_get_all_of_it, of=gradients_of("input_embedding")),
    Property(
        what_only_moves_numbers_moves_gradients_back,
        of=gradients_of("split_heads", "merge_heads"),
    ),
    Property(
        a_row_of_logits_gains_what_it_loses,
        of=gradients_of("cross_entropy"),
    ),
)
