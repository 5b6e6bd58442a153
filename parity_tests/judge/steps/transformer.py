"""Properties of the Transformer of 2017: ReLU, cross-attention, post-norm,
its embedding, its loss and its schedule."""

from dataclasses import replace
from math import log, sqrt

import numpy as np

from parity_tests.bounds.layers import mean, normalised, root, variance
from parity_tests.bounds.rounding import Bounded, exponential

from .embeddings import losses_of_one_token
from .property import (
    IN_FLOAT64,
    Comparisons,
    Property,
    Step,
    agree,
    alike,
    as_one,
    exactly,
    generator_for,
    known,
    same,
    through,
)

CROSS = ("cross_attention", "post_norm_attention")
POST_NORM = ("post_norm_attention", "post_norm_feed_forward")
SMOOTHED = ("smoothed_cross_entropy",)
WARM_UP = ("warm_up_rate",)


# --- ReLU ----------------------------------------------------------------


def nothing_is_below_0(step: Step, arguments: dict) -> Comparisons:
    """No feature is negative."""
    got = step(**arguments)
    yield alike("below 0", np.minimum(got, 0), 0 * got)


def once_more_changes_nothing(step: Step, arguments: dict) -> Comparisons:
    """relu(relu(x)) is relu(x)."""
    once = step(**arguments)
    yield alike("twice", step(x=once), once)


def what_is_lost_is_kept_of_the_opposite(
    step: Step, arguments: dict
) -> Comparisons:
    """relu(x) - relu(-x) is x."""
    x = arguments["x"]
    difference = step.known(arguments) - step.known({"x": -x})
    yield agree("difference", difference, exactly(x))


# --- cross-attention -----------------------------------------------------


def the_order_of_the_source_does_not_matter(
    step: Step, arguments: dict
) -> Comparisons:
    """Tokens of the source, permuted with their columns of the mask, give
    the same."""
    source, mask = arguments["source"], arguments["mask"]
    order = generator_for(arguments).permutation(source.shape[-2])
    permuted = arguments | {"source": source[..., order, :]}
    if mask.shape[-1] > 1:
        permuted["mask"] = mask[..., order]
    yield agree("outputs", step.known(permuted), step.known(arguments))


def a_masked_source_token_has_no_influence(
    step: Step, arguments: dict
) -> Comparisons:
    """Whatever a token of the source is that nobody may attend to."""
    keys = arguments["source"].shape[-2]
    masked = generator_for(arguments).integers(keys)
    mask = np.arange(keys)[None] != masked
    source = arguments["source"].copy()
    source[..., masked, :] = 3 - 2 * source[..., masked, :]
    taken = arguments | {"mask": mask}
    moved = step.known(taken | {"source": source})
    yield agree("outputs", moved, step.known(taken))


def tokens_of_the_target_do_not_mix(
    step: Step, arguments: dict
) -> Comparisons:
    """A token of the target gets the same alone as among others."""
    x, mask = arguments["x"], arguments["mask"]
    index = generator_for(arguments).integers(x.shape[-2])
    rows = slice(index, index + 1)
    row = mask if mask.shape[-2] == 1 else mask[..., rows, :]
    alone = arguments | {"x": x[..., rows, :], "mask": row}
    among = step.known(arguments).moved(lambda a: a[..., rows, :])
    yield agree("a token alone", step.known(alone), among)


def a_source_of_one_token_gives_its_value(
    step: Step, arguments: dict
) -> Comparisons:
    """Then every token of the target gets that one's value, sent through
    the output layer: there are as many outputs as tokens of the target."""
    source = arguments["source"][..., :1, :]
    mask = np.ones((1, 1), bool)
    got = step.known(arguments | {"source": source, "mask": mask})
    params = arguments["params"]
    value = through(params.output, through(params.value, exactly(source)))
    shape = arguments["x"].shape
    expected = value.moved(lambda a: np.broadcast_to(a, shape))
    yield agree("outputs", got, expected)


def who_sees_one_source_token_gets_its_value(
    step: Step, arguments: dict
) -> Comparisons:
    """Where each token of the target may attend to one token of the
    source, each to another one, it gets the value of that."""
    source, params = arguments["source"], arguments["params"]
    positions, keys = arguments["x"].shape[-2], source.shape[-2]
    seen = (1 + np.arange(positions)) % keys
    mask = seen[:, None] == np.arange(keys)
    got = step.known(arguments | {"mask": mask})
    values = through(params.output, through(params.value, exactly(source)))
    expected = values.moved(lambda a: a[..., seen, :])
    yield agree("outputs", got, expected)


# --- post-norm -----------------------------------------------------------


def the_norm_comes_last(step: Step, arguments: dict) -> Comparisons:
    """The norm's weight and bias are all that is done to features that
    sum to 0."""
    params = arguments["params"]
    norm = params.norm
    ones, zeros = np.ones_like(norm.weight), np.zeros_like(norm.bias)
    plain = replace(params, norm=replace(norm, weight=ones, bias=zeros))
    before = step.known(arguments | {"params": plain})
    total = before.total()
    yield agree("sum", total, exactly(np.zeros(total.shape)), before)
    expected = before * exactly(norm.weight) + exactly(norm.bias)
    yield agree("y", step.known(arguments), expected)


def what_passes_by_is_normed(step: Step, arguments: dict) -> Comparisons:
    """Where the sublayer gives zeros, the tokens themselves are normed."""
    params, x = arguments["params"], exactly(arguments["x"])
    norm = params.norm
    (name,) = vars(params).keys() - {"norm"}
    sublayer = getattr(params, name)
    last = sublayer.output
    silent = replace(last, weight=0 * last.weight, bias=0 * last.bias)
    zeros = replace(params, **{name: replace(sublayer, output=silent)})
    spread = variance(x, mean(x))
    epsilon = exactly(np.full(spread.shape, arguments["epsilon"]))
    normal = normalised(x - mean(x), root(spread + epsilon))
    expected = normal * exactly(norm.weight) + exactly(norm.bias)
    yield agree("y", step.known(arguments | {"params": zeros}), expected)


# --- the embedding -------------------------------------------------------


def of_zeros(step: Step, arguments: dict) -> Bounded:
    """What is added to the rows: the embedding by a table of zeros."""
    params = arguments["params"]
    table = replace(params.token, weight=0 * params.token.weight)
    zeros = replace(params, token=table)
    return step.known(arguments | {"params": zeros})


def a_row_is_enlarged_by_the_root_of_its_width(
    step: Step, arguments: dict
) -> Comparisons:
    """Without what is added to it, each token is its row times √d_model,
    wherever it stands."""
    rows = arguments["params"].token.weight[arguments["ids"]]
    enlarged = exactly(rows).times(sqrt(rows.shape[-1]))
    expected = of_zeros(step, arguments) + enlarged
    yield agree("x", step.known(arguments), expected)


def positions_are_sines_and_cosines(
    step: Step, arguments: dict
) -> Comparisons:
    """By a table of zeros, the first token gets zeros and ones in turn,
    and every pair of features has the length 1."""
    got = of_zeros(step, arguments)
    d_model = got.shape[-1]
    first = got.moved(lambda a: a[..., 0, :])
    in_turn = np.broadcast_to(np.arange(d_model) % 2, first.shape)
    yield agree("first token", first, exactly(in_turn))
    sine, cosine = (
        got.moved(lambda a, part=part: a[..., part : d_model // 2 * 2 : 2])
        for part in (0, 1)
    )
    square = sine * sine + cosine * cosine
    yield agree("squared length", square, exactly(np.ones(square.shape)))


def a_position_is_an_angle_of_its_own_for_each_pair(
    step: Step, arguments: dict
) -> Comparisons:
    """By a table of zeros, the token at position p gets sine and cosine of
    p in the first pair, and of p / 10000^(2i/d_model) in pair i.

    What is expected is off by 8 u and by what rounds the angle: the power
    8 u, its exponent as many u as its logarithm, at most ln 10000.
    """
    got = of_zeros(step, arguments)
    tokens, d_model = got.shape[-2:]
    for part, wave in enumerate((np.sin, np.cos)):
        pair = np.arange(part, d_model, 2) - part
        angle = np.arange(tokens)[:, None] / 10000.0 ** (pair / d_model)
        slack = 8 + (8 + 2 * log(10000)) * angle
        waves = got.moved(lambda a, part=part: a[..., part::2])
        expected = known(wave(angle), slack * IN_FLOAT64.u)
        yield agree(wave.__name__, waves, expected, expected)


# --- label smoothing -----------------------------------------------------


def without_smoothing_it_is_cross_entropy(
    step: Step, arguments: dict
) -> Comparisons:
    """With a smoothing of 0, e to the power of minus the loss of one token
    is the probability of its target: these sum to 1."""
    taken = arguments | {"smoothing": 0.0}
    _, losses = losses_of_one_token(step, taken)
    total = exponential(exactly(np.zeros(1)) - as_one(losses)).total()
    yield agree("sum", total, exactly(np.ones(1)))


def equal_logits_cost_the_logarithm_of_their_number(
    step: Step, arguments: dict
) -> Comparisons:
    """Where all tokens are as likely, the loss is the logarithm of the
    vocabulary's size, whatever the smoothing."""
    logits = np.full_like(arguments["logits"], 2)
    got = step.known(arguments | {"logits": logits})
    expected = np.array(log(logits.shape[-1]))
    slack = 2 * IN_FLOAT64.u * expected
    yield agree("loss", got, known(expected, slack), exactly(np.ones(1)))


def smoothing_takes_its_share_of_a_difference(
    step: Step, arguments: dict
) -> Comparisons:
    """For two targets of one token, the losses differ by 1 - smoothing
    times as much as their logits, with the opposite sign."""
    row, losses = losses_of_one_token(step, arguments)
    for target, other in enumerate(losses):
        gap = exactly(row[0, :1]) - exactly(row[0, target : target + 1])
        share = gap.times(1 - arguments["smoothing"])
        expected = share.moved(lambda a: a[0])
        yield agree("difference", other - losses[0], expected, other)


def the_loss_is_least_at_the_smoothed_target(
    step: Step, arguments: dict
) -> Comparisons:
    """Where the probabilities are 1 - smoothing for the target, and an
    even part of the smoothing for every token, a logit that is larger or
    smaller by 1/4 makes the loss no smaller.

    What rounding the logits by u adds to the least loss is of u squared.
    """
    logits = arguments["logits"]
    smoothing = max(arguments["smoothing"], 0.125)
    best = at_the_smoothed_target(logits, np.zeros(1, int), smoothing)
    taken = arguments | {
        "targets": np.zeros(1, int),
        "smoothing": smoothing,
    }
    least = step.known(taken | {"logits": best})
    for move in (-0.25, 0.25):
        other = best.copy()
        other[..., 0] += logits.dtype.type(move)
        more = step.known(taken | {"logits": other}) - least
        below = np.minimum(more.value, 0)
        yield same(f"after {move:+}", below, 0 * below, more.error)


def at_the_smoothed_target(
    logits: np.ndarray, targets: np.ndarray, smoothing: float
) -> np.ndarray:
    """Logits, of the kind of these, whose probabilities are the smoothed
    targets."""
    vocabulary = logits.shape[-1]
    is_target = targets[..., None] == np.arange(vocabulary)
    wanted = (1 - smoothing) * is_target + smoothing / vocabulary
    return np.log(wanted).astype(logits.dtype)


# --- the schedule --------------------------------------------------------


def it_rises_through_the_warm_up_and_falls_after(
    step: Step, arguments: dict
) -> Comparisons:
    """Each rate up to that of the warm-up's last step is larger than the
    one before, and each later one is smaller."""
    last = arguments["warm_up_steps"]
    rates = [
        step(**arguments | {"step": count})
        for count in range(1, 3 * last + 2)
    ]
    rising = np.arange(2, 3 * last + 2) <= last
    signs = np.sign(np.diff(rates))
    yield alike("signs", signs, np.where(rising, 1, -1))


def rate(
    step: Step, arguments: dict, /, factor: float = 1, **other
) -> Bounded:
    """A multiple of a rate, off by a few roundings."""
    number = np.asarray(step(**arguments | other) * factor, np.float64)
    return known(number, 16 * IN_FLOAT64.u * np.abs(number))


def it_rises_along_a_line(step: Step, arguments: dict) -> Comparisons:
    """The last step of the warm-up has as many times the first one's rate
    as there are steps."""
    last = arguments["warm_up_steps"]
    first = rate(step, arguments, factor=last, step=1)
    yield agree("rate", rate(step, arguments, step=last), first)


def it_falls_along_a_square_root(
    step: Step, arguments: dict
) -> Comparisons:
    """After the warm-up, a step number 4 times as large has half the
    rate."""
    late = arguments["warm_up_steps"] + arguments["step"]
    later = rate(step, arguments, factor=2, step=4 * late)
    yield agree("rate", later, rate(step, arguments, step=late))


def both_branches_meet_at_the_peak(
    step: Step, arguments: dict
) -> Comparisons:
    """At the warm-up's last step, the rate's square times d_model times
    the number of steps is 1."""
    last, d_model = arguments["warm_up_steps"], arguments["d_model"]
    peak = rate(step, arguments, step=last)
    yield agree(
        "1", peak * peak, exactly(np.array(1.0)).over(last * d_model)
    )


def twice_the_features_take_a_root_of_2(
    step: Step, arguments: dict
) -> Comparisons:
    """With d_model doubled, the rate is divided by √2."""
    wide = 2 * arguments["d_model"]
    wider = rate(step, arguments, factor=sqrt(2), d_model=wide)
    yield agree("rate", wider, rate(step, arguments))


PROPERTIES = (
    Property(nothing_is_below_0, of=("relu",)),
    Property(once_more_changes_nothing, of=("relu",)),
    Property(what_is_lost_is_kept_of_the_opposite, of=("relu",)),
    Property(the_order_of_the_source_does_not_matter, of=CROSS),
    Property(a_masked_source_token_has_no_influence, of=CROSS),
    Property(tokens_of_the_target_do_not_mix, of=CROSS),
    Property(
        a_source_of_one_token_gives_its_value, of=("cross_attention",)
    ),
    Property(
        who_sees_one_source_token_gets_its_value, of=("cross_attention",)
    ),
    Property(the_norm_comes_last, of=POST_NORM),
    Property(what_passes_by_is_normed, of=POST_NORM),
    Property(
        a_row_is_enlarged_by_the_root_of_its_width,
        of=("transformer_embedding",),
    ),
    Property(
        positions_are_sines_and_cosines, of=("transformer_embedding",)
    ),
    Property(
        a_position_is_an_angle_of_its_own_for_each_pair,
        of=("transformer_embedding",),
    ),
    Property(without_smoothing_it_is_cross_entropy, of=SMOOTHED),
    Property(equal_logits_cost_the_logarithm_of_their_number, of=SMOOTHED),
    Property(smoothing_takes_its_share_of_a_difference, of=SMOOTHED),
    Property(the_loss_is_least_at_the_smoothed_target, of=SMOOTHED),
    Property(it_rises_through_the_warm_up_and_falls_after, of=WARM_UP),
    Property(it_rises_along_a_line, of=WARM_UP),
    Property(it_falls_along_a_square_root, of=WARM_UP),
    Property(both_branches_meet_at_the_peak, of=WARM_UP),
    Property(twice_the_features_take_a_root_of_2, of=WARM_UP),
)
