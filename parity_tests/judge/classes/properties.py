"""Properties of a layer of attention, with the reference beside it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from numpy_ref.masks import causal_mask
from parity_tests.bounds.rounding import (
    FUNCTION_ROUNDINGS,
    affine,
    distribution,
    scaled_scores,
    weighted_mean,
)
from parity_tests.exact import described
from parity_tests.exact import layers as exact_layers
from parity_tests.exact import multi_head as exact_heads
from parity_tests.exact.numbers import bounded, known_within, parameters
from parity_tests.judge.attention.conventions import BY_AUTOGRAD
from parity_tests.judge.subject.latents import LatentTokens
from parity_tests.judge.subject.qk_norms import NormsOfHeads
from parity_tests.judge.subject.rotary import (
    may_do_without,
    turned_exactly,
)
from parity_tests.judge.subject.weights import (
    QKV,
    Weights,
    in_groups,
    norm_in_groups,
    out_of_groups,
)
from parity_tests.judge.verdict.property import (
    CALLS_IN_A_ROW,
    Comparisons,
    Property,
    equals_exact,
    identical,
    same,
)
from parity_tests.judge.verdict.protocol import Broken, NotAsked
from parity_tests.twins.comparing import Comparison

from .beginning import (
    begins_right,
    first_scales,
    mistakes_at_first,
    right_scale,
)
from .building import takes
from .cases import (
    LOUD,
    LayerCase,
    cached_cases,
    later_keys,
    masked_by,
    with_masks,
)
from .conventions import ignores_its_table
from .derivatives import (
    CLOSE_IN_FLOAT32,
    derivative,
    gradient_of_tokens,
    tokens_by_argument,
    upstream_for,
)

BEYOND = 33  # tokens


def expected(layer, case: LayerCase):
    """The reference's output with these weights, and its error."""
    mask = case.mask
    if layer.causal_for(case) or case.causal:
        mask = mask & causal_mask(*case.shape[-2:])
    exact = by_the_reference(layer.weights(case), case, mask)
    if case.blank is None:
        return exact
    return exact.moved(lambda a: np.where(case.blank[..., None], 0, a))


def by_the_reference(read: Weights, case: LayerCase, mask: np.ndarray):
    """Project, split into heads, attend, merge heads, project again; and
    what is around it."""
    tokens = [bounded(x) for x in (case.x, case.keys, case.values)]
    before = [
        normed(read, x) if read.norm_is_before(name) else x
        for name, x in zip(QKV, tokens, strict=True)
    ]
    of_query, of_kv = read.latents
    made_from = zip((of_query, of_kv, of_kv), before, strict=True)
    before = [compressed(latent, x) for latent, x in made_from]
    layers = (read.query, read.key, read.value)
    projected = (
        affine(x, *map(bounded, layer))
        for x, layer in zip(before, layers, strict=True)
    )
    heads = read.heads, read.key_heads, read.key_heads
    query, key, value = in_heads(read.qk_norm, projected, heads)
    query, key = (turned_exactly(read.turn, x) for x in (query, key))
    if read.unscaled:
        query = query.times(query.shape[-1] ** 0.5)
    if read.key_heads < read.heads:  # each serves neighbouring heads
        shared = read.heads // read.key_heads
        key, value = (
            x.moved(lambda a: np.repeat(a, shared, axis=-3))
            for x in (key, value)
        )
    if read.learned is not None:
        query = query * known_closely(read.learned, query)
    scores = scaled_scores(query, key)
    if read.bias is not None:
        scores = scores + bounded(read.bias)
    mask = mask[..., None, :, :] if mask.ndim > 2 else mask
    if read.variant:
        weights = read.variant.exact_weights(scores, mask)
    else:
        weights = distribution(scores, mask)
    context = weighted_mean(weights, value)
    output = exact_heads.merge_heads(context)["merged"]
    if read.output is not None:
        output = affine(output, *map(bounded, read.output))
    if read.gate is not None:
        output = output * bounded(read.gate)
    if "residual" in read.inside:
        output = output + tokens[0]
    if read.inside.endswith("norm last"):
        output = normed(read, output)
    return output


def compressed(latent: LatentTokens | None, x):
    """Tokens as their latents, where there are some."""
    if latent is None:
        return x
    down = affine(x, *map(bounded, latent.down))
    if latent.gain is None:
        return down
    norm = parameters(weight=bounded(latent.gain))
    return described("rms_norm")(down, norm, latent.epsilon)["y"]


def in_heads(norms: NormsOfHeads | None, projected, heads) -> list:
    """Queries, keys and values, split; the first two normed, if they are:
    in each head, or all heads together before the split."""
    parts = []
    for name, x, count in zip(QKV, projected, heads, strict=True):
        has_norm = norms is not None and name != "value"
        of_heads = has_norm and norms.are_of_heads(x.shape[-1] // count)
        if has_norm and not of_heads:
            x = of_one_size(norms, x, name)
        x = exact_heads.split_heads(x, count)["split"]
        parts.append(of_one_size(norms, x, name) if of_heads else x)
    return parts


def of_one_size(norms: NormsOfHeads, x, name: str):
    """Queries or keys after their norm."""
    gain, bias = map(bounded, getattr(norms, name))
    norm = parameters(weight=gain, bias=bias)
    if norms.by_root:
        return described("rms_norm")(x, norm, norms.least)["y"]
    return exact_layers.layer_norm(x, norm, norms.least)["y"]


def known_closely(numbers: np.ndarray, a):
    """What a function makes of numbers that are learned."""
    rounded = a.rounding.gamma(FUNCTION_ROUNDINGS + 1) * np.abs(numbers)
    return known_within(numbers, rounded, a)


def normed(read: Weights, x):
    """Layer norm, or group norm, as it is defined, with an error bound."""
    if read.groups:
        tokens = x.shape[-2]
        norm = norm_in_groups(read, tokens)
        alike = replace(read, norm=norm, groups=0)
        y = normed(alike, x.moved(lambda a: in_groups(a, read.groups)))
        return y.moved(lambda a: out_of_groups(a, tokens))
    gain, bias = map(bounded, read.norm)
    norm = parameters(weight=gain, bias=bias)
    return exact_layers.layer_norm(x, norm, read.epsilon)["y"]


def equals_the_reference(layer, case: LayerCase) -> Comparisons:
    """The reference, with the same weights, gives the same output."""
    exact, got = expected(layer, case), layer.of(case)
    if got.shape != exact.shape:
        raise Broken(f"returned shape {got.shape}, expected {exact.shape}")
    yield equals_exact("output", got, exact)


def called_twice_it_returns_the_same(layer, case: LayerCase) -> Comparisons:
    """At evaluation nothing is random: dropout is off."""
    yield identical("output", layer.of(case), layer.of(case))


def inputs_are_left_as_they_were(layer, case: LayerCase) -> Comparisons:
    """The tokens are unchanged after the call."""
    for name, (before, after) in layer.inputs_after(case).items():
        yield identical(name, after * 1.0, before * 1.0)


def answers_do_not_depend_on_calls_before(
    layer, case: LayerCase
) -> Comparisons:
    """The same input gets the same answer, however often, and new numbers
    in the same arrays get an answer of their own."""
    first = layer.of(case)
    for _ in range(CALLS_IN_A_ROW):
        yield identical("output", layer.of(case), first)
    turned = replace(case, x=-case.x)
    layer.of(case, reuse=True)
    again = layer.of(turned, reuse=True)
    yield identical("new numbers", again, layer.of(turned))


def a_later_token_changes_no_earlier_output(
    layer, case: LayerCase
) -> Comparisons:
    """A later token changes no earlier output."""
    tokens = case.x.shape[-2]
    begin = case.seed % tokens
    other = case.x.copy()
    other[..., begin:, :] = 1 - other[..., begin:, :]
    error, moved = expected(layer, case).error, replace(case, x=other)
    yield same(
        "earlier outputs",
        layer.of(moved)[..., :begin, :],
        layer.of(case)[..., :begin, :],
        2 * error[..., :begin, :],
    )


def tokens_have_no_order(layer, case: LayerCase) -> Comparisons:
    """Without a causal mask and positions, permuted tokens give outputs
    permuted alike."""
    order = np.random.default_rng(case.seed).permutation(case.x.shape[-2])
    moved = replace(case, x=case.x[..., order, :])
    error = expected(layer, case).error
    yield same(
        "outputs",
        layer.of(moved),
        layer.of(case)[..., order, :],
        2 * error[..., order, :],
    )


def texts_do_not_mix(layer, case: LayerCase) -> Comparisons:
    """A text gives the same alone as in a batch."""
    if case.x.ndim == 2:
        return
    at = slice(case.seed % len(case.x), case.seed % len(case.x) + 1)
    alone = replace(
        case,
        x=case.x[at],
        key=None if case.key is None else case.key[at],
        value=None if case.value is None else case.value[at],
    )
    error = expected(layer, case).error[at]
    yield same("one text", layer.of(alone), layer.of(case)[at], 2 * error)


def more_tokens_than_a_tile_are_no_different(
    layer, case: LayerCase
) -> Comparisons:
    """With more tokens than a tile holds, the reference still gives the
    same output."""
    yield from equals_the_reference(layer, case)
    masks = later_keys(layer, case)
    if masks and not layer.causal:
        yield from equals_the_reference(
            layer, masked_by(layer, case, masks)
        )
        # Far below zero, behind whole tiles that are masked.
        last = np.arange(case.shape[-1]) == case.shape[-1] - 1
        alone = {
            name: mask & last if (mask & last).any() else mask
            for name, mask in masks.items()
        }
        loud = masked_by(layer, replace(case, x=LOUD * case.x), alone)
        yield from equals_the_reference(layer, loud)


def large_tokens_stay_finite(layer, case: LayerCase) -> Comparisons:
    """Tokens so large that exp of a score overflows give what the
    reference gives."""
    key = None if case.key is None else LOUD * case.key
    loud = replace(case, x=LOUD * case.x, key=key)
    yield from equals_the_reference(layer, loud)
    masks = later_keys(layer, loud)
    if masks and not layer.causal and loud.shape[-1] > 1:
        yield from equals_the_reference(
            layer, masked_by(layer, loud, masks)
        )


def its_causal_form_sees_no_later_token(
    layer, case: LayerCase
) -> Comparisons:
    """In its causal form a token sees those up to itself, and no others;
    with another mask, what both allow."""
    alone = replace(case, key=None, value=None, causal=True)
    if layer.causal_names_the_mask:
        masks = {layer.understood[0]: causal_mask(*alone.shape[-2:])}
        yield from equals_the_reference(
            layer, masked_by(layer, alone, masks)
        )
        return
    yield from equals_the_reference(layer, alone)
    for name in layer.understood[:1]:
        both = with_masks(layer, alone, name)
        own = np.eye(case.x.shape[-2], dtype=bool)
        own[..., 0] = True  # a key for each query, as in the form's own
        masks = {n: mask | own for n, mask in both.masks.items()}
        yield from equals_the_reference(
            layer, masked_by(layer, both, masks)
        )


def decoding_with_its_cache_is_the_same_as_all_at_once(
    layer, case: LayerCase
) -> Comparisons:
    """Decoding token by token, or in parts, with its cache, gives what the
    whole text gives at once."""
    exact, begin = expected(layer, case), 0
    for got in layer.decoded(case, layer.cache):
        part = np.s_[..., begin : begin + got.shape[-2], :]
        yield equals_exact(
            f"output from token {begin} on",
            got,
            exact.moved(lambda a, part=part: a[part]),
        )
        begin += got.shape[-2]


def its_rotary_table_turns_queries_and_keys(
    layer, case: LayerCase
) -> Comparisons:
    """Queries and keys are turned by the angles of their positions, and
    nothing else is."""
    yield from equals_the_reference(layer, replace(case, turned=True))


FURTHER = 7  # positions


def only_the_distance_of_tokens_counts(
    layer, case: LayerCase
) -> Comparisons:
    """Moved on by some positions, all tokens together, they give the same
    outputs."""
    here = replace(case, turned=True)
    output = layer.of(here)
    if ignores_its_table(layer) and not may_do_without(layer.thing.source):
        raise Broken("looked at no number of its rotary table")
    if not layer.table.is_sure:
        raise NotAsked("its table may be meant otherwise")
    bound = np.full(output.shape, CLOSE_IN_FLOAT32 * np.abs(output).max())
    moved = layer.of(replace(here, begin=FURTHER))
    yield same("moved outputs", moved, output, bound)


def its_scale_begins_at_that_of_a_head(
    layer, case: LayerCase
) -> Comparisons:
    """Before anything is learned, its scores are scaled by 1/√d_head."""
    right = [right_scale(layer, at) for at in range(len(layer.sizes))]
    got, wanted = np.array(first_scales(layer)), np.array(right)
    yield same("first scale", got, wanted, CLOSE_IN_FLOAT32 * wanted)


def one_case(layer) -> list[LayerCase]:
    return [layer.case()]


def long_cases(layer) -> list[LayerCase]:
    """A long text at each of the layer's sizes."""
    counts = map(layer.tokens_at, range(len(layer.sizes)))
    dtype, variant = layer.dtypes[0], layer.recipe.variant
    cases = [
        layer.case(built, min(BEYOND, tokens), built, dtype=dtype)
        for built, tokens in enumerate(counts)
    ]
    if variant and variant.window and variant.window >= BEYOND:
        cases.append(layer.case(0, variant.window + 3, 0, dtype=dtype))
    return cases


def a_requested_bias_is_there(layer, case: LayerCase) -> Comparisons:
    """With a bias it has more parameters than without."""
    built = (
        layer.body.parameters(layer.sizes[0], biased)
        for biased in (True, False)
    )
    with_bias, without = (
        sum(int(np.prod(shape)) for _, shape, _ in parameters)
        for parameters in built
    )
    has_more = np.array([float(with_bias > without)])
    yield identical("more parameters with a bias", has_more, np.ones(1))


def a_mask_hides_what_it_should(layer, case: LayerCase) -> Comparisons:
    """Each text is attended to through its own mask."""
    for name in layer.understood:
        yield from equals_the_reference(
            layer, with_masks(layer, case, name)
        )


def two_masks_hide_what_either_hides(layer, case: LayerCase) -> Comparisons:
    """With two masks at once, a token is attended to where both allow
    it."""
    both = with_masks(layer, case, *layer.understood[:2])
    yield from equals_the_reference(layer, both)


CALLS, TEXTS = 16, 250  # so many calls, with so many copies of a text
FAR = 7  # standard errors from the mean


def evaluated_cases(layer) -> list[LayerCase]:
    """A few texts, each of which is to be dropped from many times."""
    return [
        layer.case(seed, min(4, layer.most_tokens), built)
        for seed in (0, 1)
        for built in range(len(layer.sizes))
    ]


def dropout_keeps_the_mean(layer, case: LayerCase) -> Comparisons:
    """In training, the mean over all dropout masks is the output at
    evaluation: weights are dropped after the softmax, and scaled up."""
    if case.x.ndim == 2 or "norm last" in layer.recipe.inside:
        return
    x = case.x[:1].astype(layer.precision)
    case = LayerCase(x, case.seed, case.built)
    evaluated = layer.of(case)
    texts = replace(case, x=np.repeat(x, TEXTS, axis=0))
    seeds = range(case.seed * CALLS, (case.seed + 1) * CALLS)
    many = np.concatenate(
        [layer.of(texts, training=True, seed=seed) for seed in seeds]
    )
    if not np.isfinite(many).all():
        return  # other properties report that
    # What is dropped changes an output by about its size.
    if np.ptp(many, axis=0).max() <= 1e-6 * np.abs(many).max():
        raise Broken("drops nothing in training, at a rate of a half")
    error = many.std(axis=0, keepdims=True) / np.sqrt(len(many))
    exact = expected(layer, case)
    # The mean of so many numbers is rounded itself.
    summed = len(many) * exact.rounding.u * np.abs(many).max()
    bound = FAR * error + 2 * exact.error + summed
    yield same("mean output", many.mean(0, keepdims=True), evaluated, bound)


@dataclass(frozen=True)
class Slope(Comparison):
    """A slope of a gradient, and along what."""

    along: np.ndarray = field(default_factory=lambda: np.zeros(0))


CLOSE = 1e-8  # a gradient in float64, as a share of the largest one


def gradients_are_the_exact_ones(layer, case: LayerCase) -> Comparisons:
    """The gradients of tokens and weights are the derivatives."""
    random = np.random.default_rng(case.seed)
    own = {n: a.astype(layer.precision) for n, a in case.own_tokens.items()}
    case = replace(case, **own)
    upstreams = []

    def upstream_of(shape):
        upstreams.append(random.integers(-3, 4, shape).astype(np.float64))
        return upstreams[0]

    got = layer.gradients(case, upstream_of)
    arrays = layer.arrays(case)
    slopes = {}
    tokens = tokens_by_argument(layer, case)
    drawn = [n for n in arrays if n not in layer.at_zero]
    for name in [*tokens, *(f"parameter {n}" for n in drawn)]:
        label, moved = name.removeprefix("parameter "), tokens.get(name, ())
        like = case.tokens_by_use[moved[0]] if moved else arrays[label]
        along = random.integers(-3, 4, like.shape).astype(np.float64)
        exact = derivative(layer, case, moved, label, along)
        part = got.get(name)
        by_hand = 0.0 if part is None else float((part * along).sum())
        slope = float((exact * upstreams[0]).sum())
        slopes[name] = by_hand, slope, along
    scale = max(abs(exact) for _, exact, _ in slopes.values())
    for name, (by_hand, exact, along) in slopes.items():
        bound = scale * (CLOSE if layer.in_float64 else CLOSE_IN_FLOAT32)
        numbers = (np.array([n]) for n in (by_hand, exact, bound))
        compared = same(f"slope along {name}", *numbers)
        yield Slope(**vars(compared) | {"scale": scale, "along": along})


def sent_back_cases(layer) -> list[LayerCase]:
    """A few texts at each of the layer's sizes."""
    return [
        layer.case(seed, min(tokens, layer.most_tokens), built)
        for built in range(len(layer.sizes))
        for seed, tokens in enumerate((2, 4))
    ]


def its_backward_gives_the_exact_gradient(
    layer, case: LayerCase
) -> Comparisons:
    """Its own backward, called right after the forward with a gradient of
    the output, returns the derivative along the tokens."""
    upstream = upstream_for(layer, case)
    exact = gradient_of_tokens(layer, case, upstream)
    got = layer.sent_back(case, upstream)
    if got.shape != exact.shape:
        raise Broken(
            f"its backward returned shape {got.shape}, expected "
            f"{exact.shape}"
        )
    bound = np.full(exact.shape, CLOSE_IN_FLOAT32 * np.abs(exact).max())
    yield same("gradient of the tokens", got, exact, bound)


def has_distances(recipe) -> bool:
    """Whether it counts how far apart tokens are."""
    variant = recipe.variant
    is_varied = variant and (variant.window or variant.alibi)
    return bool(recipe.distances or is_varied)


def properties_of(layer) -> Iterator[Property]:
    """Those that it can be asked about, the simplest first."""
    yield Property(equals_the_reference)
    if layer.understood:
        yield Property(a_mask_hides_what_it_should)
    if len(layer.understood) > 1:
        yield Property(two_masks_hide_what_either_hides)
    yield Property(
        more_tokens_than_a_tile_are_no_different, inputs=long_cases
    )
    yield Property(called_twice_it_returns_the_same)
    yield Property(inputs_are_left_as_they_were)
    yield Property(answers_do_not_depend_on_calls_before, inputs=long_cases)
    yield Property(texts_do_not_mix)
    yield Property(large_tokens_stay_finite)
    if layer.causal:
        yield Property(a_later_token_changes_no_earlier_output)
    elif not (layer.turns_inside or has_distances(layer.recipe)):
        yield Property(tokens_have_no_order)
    if begins_right(layer) or mistakes_at_first(layer):
        yield Property(its_scale_begins_at_that_of_a_head, inputs=one_case)
    if layer.body.roles.causal:
        yield Property(its_causal_form_sees_no_later_token)
    if layer.pairs and not layer.turns_inside:
        yield Property(its_rotary_table_turns_queries_and_keys)
    elif layer.table and not layer.turns_inside:
        yield Property(
            only_the_distance_of_tokens_counts, inputs=long_cases
        )
    if layer.cache:
        yield Property(
            decoding_with_its_cache_is_the_same_as_all_at_once,
            inputs=cached_cases,
        )
    if layer.gradients_by == BY_AUTOGRAD:
        yield Property(gradients_are_the_exact_ones)
    if layer.way_back.is_asked:
        yield Property(
            its_backward_gives_the_exact_gradient, inputs=sent_back_cases
        )
    thing = layer.thing
    names = {each.name.lower() for each in thing.parameters}
    if thing.is_class and names & {"qkv_bias", "bias", "use_bias"}:
        yield Property(a_requested_bias_is_there)
    if thing.is_class and thing.is_module and takes(thing, "dropped"):
        yield Property(dropout_keeps_the_mean, inputs=evaluated_cases)
