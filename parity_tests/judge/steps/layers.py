"""Properties of linear layers, dropout, layer norm, GELU, feed-forward."""

from dataclasses import replace
from math import pi

import numpy as np

from parity_tests.bounds.gradients import quotient
from parity_tests.bounds.layers import mean, variance
from parity_tests.bounds.rounding import Bounded, exponential, where

from .activations import FEED_FORWARDS
from .property import (
    Comparisons,
    Property,
    Step,
    agree,
    exactly,
    generator_for,
    identical,
    nothing_dropped,
    same,
    through,
)

GELUS = ("gelu", "gelu_tanh")
NETWORKS = (*FEED_FORWARDS, "feed_forward_relu")


def tokens_do_not_mix(step: Step, arguments: dict) -> Comparisons:
    """A token gives the same alone as among others."""
    x, got = arguments["x"], step.known(arguments)
    tokens = x.reshape(-1, x.shape[-1])
    index = generator_for(arguments).integers(len(tokens))
    alone = step.known(arguments | {"x": tokens[index]})
    there = got.moved(lambda a: a.reshape(-1, a.shape[-1])[index])
    yield agree("a token alone", alone, there)


def zeros_give_the_bias(step: Step, arguments: dict) -> Comparisons:
    """Zeros as input give the bias."""
    got = step.known(arguments | {"x": np.zeros_like(arguments["x"])})
    yield agree("y", got, exactly(arguments["params"].bias))


def a_feature_gives_its_column_of_weights(
    step: Step, arguments: dict
) -> Comparisons:
    """A single feature of 1 gives its column of weights plus the bias."""
    params = arguments["params"]
    units = np.eye(params.weight.shape[-1], dtype=params.weight.dtype)
    expected = exactly(params.weight.T) + exactly(params.bias)
    yield agree("y", step.known(arguments | {"x": units}), expected)


def features_add_up_over_the_bias(
    step: Step, arguments: dict
) -> Comparisons:
    """The output for some features plus that for the others is the output
    for all, plus the bias."""
    x, bias = arguments["x"], exactly(arguments["params"].bias)
    some = generator_for(arguments).uniform(size=x.shape[-1]) < 0.5
    left, right = (
        step.known(arguments | {"x": np.where(chosen, x, 0)})
        for chosen in (some, ~some)
    )
    yield agree("y", step.known(arguments) + bias, left + right)


def what_is_dropped_is_zero(step: Step, arguments: dict) -> Comparisons:
    """Where `dropout_mask` is False the output is 0, even for a NaN."""
    x = arguments["x"]
    dropout_mask = np.broadcast_to(arguments["dropout_mask"], x.shape)
    dropped = np.where(dropout_mask, 0, step(**arguments))
    yield identical("dropped", dropped, dropped * 0)
    with_nan = arguments | {"x": np.where(dropout_mask, x, np.nan)}
    dropped = np.where(dropout_mask, 0, step(**with_nan))
    yield identical("dropped NaN", dropped, np.zeros_like(dropped))


def what_is_kept_is_scaled_up(step: Step, arguments: dict) -> Comparisons:
    """What is kept, times (1 - rate), is the input; with a rate of 0
    nothing changes."""
    x = arguments["x"]
    dropout_mask = np.broadcast_to(arguments["dropout_mask"], x.shape)
    back = step.known(arguments) * exactly(1 - arguments["rate"])
    yield agree(
        "kept",
        where(dropout_mask, back, 0),
        exactly(np.where(dropout_mask, x, 0)),
    )
    all_kept = step.known(nothing_dropped(arguments))
    yield agree("all kept", all_kept, exactly(x))


def features_have_mean_0_and_variance_1(
    step: Step, arguments: dict
) -> Comparisons:
    """Before weight and bias, the features of a token have mean 0, and
    variance v / (v + epsilon), if v is that of the input."""
    normalised = without_params(step, arguments)
    total = normalised.total()
    yield agree("sum", total, exactly(np.zeros(total.shape)), normalised)
    square = mean(normalised * normalised)
    wide = exactly(arguments["x"])
    spread = variance(wide, mean(wide))
    epsilon = exactly(np.full(spread.shape, arguments["epsilon"]))
    expected = quotient(spread, spread + epsilon)
    yield agree("variance", square, expected, exactly(np.ones(1)))


def without_params(step: Step, arguments: dict) -> Bounded:
    """The normalised features, before weight and bias."""
    params = arguments["params"]
    ones, zeros = np.ones_like(params.weight), np.zeros_like(params.bias)
    plain = replace(params, weight=ones, bias=zeros)
    return step.known(arguments | {"params": plain})


def features_keep_their_order(step: Step, arguments: dict) -> Comparisons:
    """Before weight and bias, the difference between neighbouring
    features keeps its sign."""
    normalised = without_params(step, arguments)
    steps = np.diff(arguments["x"].astype(float), axis=-1)
    got = np.diff(normalised.value, axis=-1)
    error = normalised.error[..., 1:] + normalised.error[..., :-1]
    as_it_was = np.where(np.sign(got) == -np.sign(steps), 0, got)
    yield same("differences", got, as_it_was, error)


def weight_and_bias_come_at_the_end(
    step: Step, arguments: dict
) -> Comparisons:
    """Each feature is multiplied by its own weight, then gets its bias."""
    params = arguments["params"]
    normalised = without_params(step, arguments)
    expected = normalised * exactly(params.weight) + exactly(params.bias)
    yield agree("y", step.known(arguments), expected)


def the_size_of_features_does_not_matter(
    step: Step, arguments: dict
) -> Comparisons:
    """Features times 4, with epsilon times 16, give the same."""
    scaled = arguments | {
        "x": 4 * arguments["x"],
        "epsilon": 16 * arguments["epsilon"],
    }
    yield agree("y", step.known(scaled), step.known(arguments))


def both_sides_together_give_the_feature(
    step: Step, arguments: dict
) -> Comparisons:
    """gelu(x) - gelu(-x) is x: what one side loses, the other keeps."""
    x = arguments["x"]
    lost = step.known({"x": -x})
    yield agree("difference", step.known(arguments) - lost, exactly(x))


def far_out_it_is_all_or_nothing(
    step: Step, arguments: dict
) -> Comparisons:
    """Far above 0 a feature stays what it is; far below, it becomes 0."""
    x = np.abs(arguments["x"]) + arguments["x"].dtype.type(40)
    yield agree("far above", step.known({"x": x}), exactly(x))
    lost = step.known({"x": -x})
    yield agree("far below", lost, exactly(x * 0), exactly(x))


def the_share_grows_by_the_normal_density(
    step: Step, arguments: dict
) -> Comparisons:
    r"""gelu(x) / x is the probability of a smaller number: from x to
    x + h it grows by the normal density's area there.

    By Simpson's rule, which is off by at most $h^5 / 2880$ times the
    density's fourth derivative, at most $3 \varphi(0) < 1.2$.
    """
    x = np.abs(arguments["x"]) + arguments["x"].dtype.type(0.25)
    h = 2.0**-4
    ends = (x, x + x.dtype.type(h))
    shares = [
        quotient(step.known({"x": end}), exactly(end)) for end in ends
    ]
    wide = exactly(ends[0])
    points = [wide.value, (wide.value + ends[1]) / 2, ends[1].astype(float)]
    low, middle, high = (density(point) for point in points)
    width = exactly(ends[1].astype(float) - wide.value)
    area = (low + middle.times(4) + high).over(6) * width
    off = 1.2 * width.value**5 / 2880
    area = replace(area, error=area.error + off)
    yield agree("growth", shares[1] - shares[0], area)


def density(x: np.ndarray) -> Bounded:
    """The normal density."""
    point = exactly(x)
    return exponential((point * point).over(-2)).over((2 * pi) ** 0.5)


def without_its_tanh_it_is_a_cubic(
    step: Step, arguments: dict
) -> Comparisons:
    r"""With t = 2 gelu(x) / x - 1, $\tfrac12 \ln \frac{1 + t}{1 - t}$ is
    $\sqrt{2 / \pi} \, (x + 0.044715 \, x^3)$.

    Written without the logarithm, which would amplify rounding:
    $1 + t = (1 - t) e^{2 u}$, or $y = (x - y) e^{2 u}$ with $y$ for
    gelu(x) and $u$ for the cubic.
    """
    x = np.clip(arguments["x"], -3, 3)
    y, wide = step.known({"x": x}), exactly(x)
    cubic = wide + (wide * wide * wide).times(0.044715)
    growth = exponential(cubic.times(2 * (2 / pi) ** 0.5))
    yield agree("y", y, (wide - y) * growth)


def between_the_layers_the_large_passes_and_the_small_is_lost(
    step: Step, arguments: dict
) -> Comparisons:
    """With an inner bias far above 0, the two linear layers remain; with
    one far below 0, only the output bias."""
    params, x = arguments["params"], exactly(arguments["x"])
    inner, output = params.inner, params.output
    for bias in (3000, -3000):
        far = replace(inner, bias=np.full_like(inner.bias, bias))
        biased = arguments | {"params": replace(params, inner=far)}
        wide = through(far, x)
        passed = where(wide.value > 0, wide, 0)
        yield agree("y", step.known(biased), through(output, passed))


PROPERTIES = (
    Property(
        tokens_do_not_mix,
        of=("linear", "layer_norm", *NETWORKS, "post_norm_feed_forward"),
    ),
    Property(zeros_give_the_bias, of=("linear",)),
    Property(a_feature_gives_its_column_of_weights, of=("linear",)),
    Property(features_add_up_over_the_bias, of=("linear",)),
    Property(what_is_dropped_is_zero, of=("dropout",)),
    Property(what_is_kept_is_scaled_up, of=("dropout",)),
    Property(features_have_mean_0_and_variance_1, of=("layer_norm",)),
    Property(features_keep_their_order, of=("layer_norm",)),
    Property(weight_and_bias_come_at_the_end, of=("layer_norm",)),
    Property(the_size_of_features_does_not_matter, of=("layer_norm",)),
    Property(both_sides_together_give_the_feature, of=GELUS),
    Property(far_out_it_is_all_or_nothing, of=GELUS),
    Property(the_share_grows_by_the_normal_density, of=("gelu",)),
    Property(without_its_tanh_it_is_a_cubic, of=("gelu_tanh",)),
    Property(
        between_the_layers_the_large_passes_and_the_small_is_lost,
        of=NETWORKS,
    ),
)
