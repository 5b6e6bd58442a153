"""Properties of half precision: rounding, sums, and attention in 16 bits.

What is expected comes from the formats alone: how many bits they have, and
where their numbers begin and end (`FORMATS`).
"""

import numpy as np

from parity_tests.bounds.half_gradients import (
    BackwardProfile,
    attention_gradient_bounds,
)
from parity_tests.bounds.half_precision import (
    FORMATS,
    HalfBound,
    HalfFormat,
    Profile,
    attention_bound,
)

from .property import (
    Comparisons,
    Gradient,
    Property,
    Step,
    generator_for,
    gradients_of,
    identical,
    inputs,
    same,
)
from .softmax import mask_of_scores

SUMS = ("add_in_half", "sum_in_half")
ONCE, WITHIN = "attention_inside_float32", "attention_rounded_within"
ATTENTIONS = (ONCE, WITHIN)
FLOAT64_BITS = 53
FEW = 8  # numbers that lie half way between two others
MOST_KEYS = 64
# What float32 may make of a weight, where its scores are exact.
FLOAT32_ERROR = 2.0**-18
# How far from the middle between two halves, as a share of their distance.
CLEAR = 1 / 16
# Where a step rounds, as its definition says, and where its gradient does.
PLACES = {
    ONCE: {},
    WITHIN: {
        "score_roundings": 1,
        "weights": "rounded",
        "normalised": True,
    },
}
BACKWARD_PLACES = {
    ONCE: BackwardProfile(),
    WITHIN: BackwardProfile(d_weights_roundings=1, d_scores_roundings=1),
}


# --- rounding to so many bits --------------------------------------------


def between(numbers: np.ndarray, bits: int) -> np.ndarray:
    """How far numbers of so many bits are apart, where these stand."""
    return np.spacing(np.abs(numbers)) * 2.0 ** (FLOAT64_BITS - bits)


def a_number_moves_by_half_a_step_at_most(
    step: Step, arguments: dict
) -> Comparisons:
    """No number of so many bits is nearer: what is rounded moves by half
    the distance between two of them at most."""
    x = arguments["x"].astype(np.float64)
    allowed = between(x, arguments["bits"]) / 2
    yield same("rounded", step(**arguments), x, allowed)


def what_is_rounded_has_so_many_bits(
    step: Step, arguments: dict
) -> Comparisons:
    """A rounded number is a whole number of b bits, times a power of 2."""
    rounded = step(**arguments).astype(np.float64)
    whole = rounded / between(rounded, arguments["bits"])
    yield identical("whole number", whole, np.rint(whole))


def rounding_twice_changes_nothing(
    step: Step, arguments: dict
) -> Comparisons:
    """What was rounded to so many bits stays as it is."""
    once = step(**arguments)
    yield identical("rounded twice", step(**arguments | {"x": once}), once)


def a_tie_goes_to_the_even_number(
    step: Step, arguments: dict
) -> Comparisons:
    """Half way between two numbers of b bits, the one whose last bit is 0
    is taken."""
    whole, sign, power = ties(arguments, arguments["bits"])
    size = sign * 2.0**power
    dtype = arguments["x"].dtype
    x = ((whole + 0.5) * size).astype(dtype)
    got = step(**arguments | {"x": x})
    yield identical("rounded", got, (whole + whole % 2) * size)


def ties(arguments: dict, bits: int):
    """Whole numbers of so many bits, signs and powers, a few of each."""
    random = generator_for(arguments)
    whole = random.integers(2 ** (bits - 1), 2**bits, FEW)
    sign = random.choice([-1, 1], FEW)
    return whole, sign, random.integers(-4, 4, FEW)


def a_number_and_its_negative_are_rounded_alike(
    step: Step, arguments: dict
) -> Comparisons:
    """The sign has no part in rounding."""
    got = step(**arguments | {"x": -arguments["x"]})
    yield identical("rounded", got, -step(**arguments))


def the_order_of_numbers_is_kept(
    step: Step, arguments: dict
) -> Comparisons:
    """A larger number is rounded to no smaller one: not below a power of
    2 either, where the last bit is carried on."""
    x, bits = arguments["x"], arguments["bits"]
    powers = np.exp2(np.arange(-3, 4))
    below = powers - powers * 2.0 ** -(bits + 2)
    numbers = np.concatenate([x.ravel(), powers, below])
    rounded = step(**arguments | {"x": np.sort(numbers).astype(x.dtype)})
    yield identical("rounded", rounded, np.maximum.accumulate(rounded))


def twice_a_number_is_rounded_to_twice(
    step: Step, arguments: dict
) -> Comparisons:
    """Significant bits are counted, wherever the point stands: 2 x, 16 x
    and x / 8 are rounded as x is."""
    once = step(**arguments)
    for factor in (2.0, 16.0, 0.125):
        got = step(
            **arguments | {"x": arguments["x"] * once.dtype.type(factor)}
        )
        yield identical(f"rounded, times {factor:g}", got, once * factor)


# --- sums in half precision ----------------------------------------------


def format_of(array: np.ndarray) -> HalfFormat:
    return FORMATS[array.dtype.name]


def apart(half: HalfFormat, numbers: np.ndarray) -> np.ndarray:
    """How far halves are apart where these numbers stand."""
    _, power = np.frexp(np.maximum(np.abs(numbers), half.normal))
    return half.u * np.exp2(power)


def nearest(half: HalfFormat, numbers: np.ndarray) -> np.ndarray:
    """The halves next to these numbers, ties to even ones."""
    steps = apart(half, numbers)
    return np.rint(numbers / steps) * steps


def bits_of(half: HalfFormat) -> int:
    return round(-np.log2(half.u))


def added(step: Step, total, term) -> np.ndarray:
    """What a step makes of a total and one term."""
    if step.name == "add_in_half":
        return step(total=total, term=term)
    return step(total=total, terms=term[..., None, :])


def one_term(arguments: dict) -> tuple[np.ndarray, np.ndarray]:
    """The total, and the term or the first of them."""
    if "term" in arguments:
        return arguments["total"], arguments["term"]
    return arguments["total"], arguments["terms"][..., 0, :]


def no_half_is_nearer_to_a_sum(step: Step, arguments: dict) -> Comparisons:
    """A sum of two is off by half the distance between two halves at
    most."""
    total, term = one_term(arguments)
    exact = total.astype(np.float64) + term.astype(np.float64)
    half, allowed = format_of(total), apart(format_of(total), exact) / 2
    is_too_large = np.abs(exact) >= half.greatest + allowed
    expected = np.where(is_too_large, np.copysign(np.inf, exact), exact)
    yield same("total", added(step, total, term), expected, allowed)


def a_sum_half_way_goes_to_the_even_half(
    step: Step, arguments: dict
) -> Comparisons:
    """A sum that lies half way between two halves becomes the one whose
    last bit is 0."""
    dtype = arguments["total"].dtype
    bits = bits_of(format_of(arguments["total"]))
    whole, sign, _ = ties(arguments, bits)
    total = (whole * sign).astype(dtype)
    got = added(step, total, (sign / 2).astype(dtype))
    yield identical("total", got, (whole + whole % 2) * sign)


def a_sum_and_its_negative_are_rounded_alike(
    step: Step, arguments: dict
) -> Comparisons:
    """Where all signs change, the sum changes its sign and nothing
    else."""
    turned = {name: -array for name, array in arguments.items()}
    yield identical("total", step(**turned), -step(**arguments))


def a_sum_that_is_too_large_is_infinite(
    step: Step, arguments: dict
) -> Comparisons:
    """From half a step above the greatest number on a sum is infinite, and
    below it is that number."""
    dtype = arguments["total"].dtype
    greatest = format_of(arguments["total"]).greatest
    last = apart(format_of(arguments["total"]), np.array(greatest))
    total = np.array([greatest, -greatest, greatest, greatest])
    term = np.array([greatest, -greatest, last / 2, last / 4])
    with np.errstate(over="ignore"):
        got = added(step, total.astype(dtype), term.astype(dtype))
    yield identical(
        "total", got, np.array([np.inf, -np.inf, np.inf, greatest])
    )


def small_sums_keep_the_last_of_their_bits(
    step: Step, arguments: dict
) -> Comparisons:
    """Below the normal numbers of float16, sums are exact: none becomes
    0.

    Those of bfloat16 are too small for float32, too, and a machine may
    take them for 0.
    """
    dtype = arguments["total"].dtype
    if dtype != np.float16:
        return
    smallest = format_of(arguments["total"]).smallest
    total = np.array([1, 3, 1024, -5]) * smallest
    term = np.array([1, -1, -1, 2]) * smallest
    got = added(step, total.astype(dtype), term.astype(dtype))
    yield identical("total", got, total + term)


def terms_may_change_places(step: Step, arguments: dict) -> Comparisons:
    """a + b is b + a, to the last bit."""
    total, term = arguments["total"], arguments["term"]
    got = step(total=term, term=total)
    yield identical("total", got, step(**arguments))


def ones_are_counted_as_far_as_the_bits_go(
    step: Step, arguments: dict
) -> Comparisons:
    """Ones that are added up get to 256 in bfloat16, to 2048 in float16,
    and no further."""
    dtype = arguments["total"].dtype
    most = 2 ** bits_of(format_of(arguments["total"]))
    for ones in (2, 3, 4, 9):
        total = np.array([most - 3.0, 3.0 - most])
        terms = np.broadcast_to(np.sign(total), (ones, 2))
        got = step(total=total.astype(dtype), terms=terms.astype(dtype))
        counted = np.sign(total) * min(most - 3 + ones, most)
        yield identical(f"total after {ones}", got, counted)


def a_small_term_counts_only_before_a_large_one(
    step: Step, arguments: dict
) -> Comparisons:
    """2^b + 1 + 1 is 2^b, since each 1 is lost alone; 1 + 1 + 2^b is
    2^b + 2: terms are added one by one, in their order."""
    dtype = arguments["total"].dtype
    large = 2.0 ** bits_of(format_of(arguments["total"]))
    for order, total in (
        ([large, 1, 1], large),
        ([1, 1, large], large + 2),
        ([1, large, 1], large),
    ):
        terms = np.array(order, dtype)[:, None]
        got = step(total=np.zeros(1, dtype), terms=terms)
        yield identical(f"{order}", got, np.array([total]))


def a_sum_may_be_interrupted(step: Step, arguments: dict) -> Comparisons:
    """Some terms, and then the others on top of that sum, give the same
    as all at once: between two terms no more is known than the total."""
    terms, whole = arguments["terms"], step(**arguments)
    for first in range(1, terms.shape[-2]):
        begun = step(**arguments | {"terms": terms[..., :first, :]})
        got = step(total=begun, terms=terms[..., first:, :])
        yield identical(f"total, after {first}", got, whole)


# --- attention in half precision -----------------------------------------


def bound_of(step: Step, arguments: dict) -> HalfBound:
    """The exact output, and what may be lost where the step rounds."""
    *arrays, mask = (
        arguments[name] for name in ("query", "key", "value", "mask")
    )
    profile = Profile(arrays[0].dtype.name, **PLACES[step.name])
    return attention_bound(*arrays, profile, mask=mask)


def an_output_is_off_by_its_roundings_only(
    step: Step, arguments: dict
) -> Comparisons:
    """The output is the exact one, but for what is lost where the step
    rounds: once, at the end, or scores and weights, too."""
    bound = bound_of(step, arguments)
    yield same("context", step(**arguments), bound.value, bound.error)


def a_fully_masked_query_gets_0(step: Step, arguments: dict) -> Comparisons:
    """A query that may attend to no key gets zeros."""
    mask = mask_of_scores(arguments).copy()
    mask[..., 0, :] = False
    got = step(**arguments | {"mask": mask})[..., 0, :]
    yield identical("context", got, np.zeros(got.shape))


def what_a_masked_key_holds_does_not_matter(
    step: Step, arguments: dict
) -> Comparisons:
    """Other numbers in a key that is masked for all, and in its value,
    change nothing."""
    keys = arguments["key"].shape[-2]
    masked = generator_for(arguments).uniform(size=keys) < 0.5
    hidden = arguments | {"mask": mask_of_scores(arguments) & ~masked}
    other = dict(hidden)
    for name in ("key", "value"):
        other[name] = arguments[name].copy()
        other[name][..., masked, :] = -7
    bound = 2 * step.error(hidden)
    yield same("context", step(**other), step(**hidden), bound)


def the_order_of_keys_does_not_matter(
    step: Step, arguments: dict
) -> Comparisons:
    """Keys and values in another order, and the columns of the mask with
    them, give the same, but for rounding."""
    mask, keys = mask_of_scores(arguments), arguments["key"].shape[-2]
    order = generator_for(arguments).permutation(keys)
    other = arguments | {
        "key": arguments["key"][..., order, :],
        "value": arguments["value"][..., order, :],
        "mask": mask[..., order],
    }
    bound = 2 * step.error(arguments)
    yield same("context", step(**other), step(**arguments), bound)


def the_only_key_gives_its_value(
    step: Step, arguments: dict
) -> Comparisons:
    """A query that may attend to one key gets that key's value, to the
    last bit."""
    *_, queries, keys = mask_of_scores(arguments).shape
    seen = np.arange(queries) % keys
    only = mask_of_scores(
        arguments | {"mask": seen[:, None] == range(keys)}
    )
    got = step(**arguments | {"mask": only})
    yield identical("context", got, arguments["value"][..., seen, :])


def a_mean_half_way_goes_to_the_even_half(
    step: Step, arguments: dict
) -> Comparisons:
    """Two keys that weigh the same, with neighbours for values: the output
    is the neighbour whose last bit is 0."""
    query = arguments["query"]
    whole, sign, power = ties(arguments, bits_of(format_of(query)))
    size = sign * np.exp2(power)
    values = np.array([whole, whole + 1]) * size
    got = step(**alike_keys(query.dtype, values, query.shape[-1]))
    yield identical("context", got, ((whole + whole % 2) * size)[None])


def alike_keys(dtype: np.dtype, values: np.ndarray, features=4) -> dict:
    """One query for which all keys weigh the same."""
    return {
        "query": np.zeros((1, features), dtype),
        "key": np.ones((len(values), features), dtype),
        "value": values.astype(dtype),
        "mask": np.ones((1, len(values)), bool),
    }


def a_value_of_all_keys_comes_out_to_the_last_bit(
    step: Step, arguments: dict
) -> Comparisons:
    """Where all keys have the same value, it is the output: weights that
    sum to 1 in float32 change no bit of a half."""
    value, half = arguments["value"], format_of(arguments["value"])
    # A machine may take bfloat16's subnormal numbers for 0.
    small = half.smallest if half.name == "float16" else half.normal * 4
    column = np.array([1 + 2 * half.u, -small, half.greatest / MOST_KEYS])
    row = np.resize(column, value.shape[-1]).astype(value.dtype)
    shared = arguments | {"value": np.broadcast_to(row, value.shape).copy()}
    sees_any = mask_of_scores(arguments).any(-1)[..., None]
    yield identical("context", step(**shared), np.where(sees_any, row, 0))


def two_scores(dtype: np.dtype) -> dict:
    """A query and two keys, whose scores are 4096 and 4096.5: neither half
    has a number between 4096 and 4100."""
    query, key = np.zeros((1, 16)), np.zeros((2, 16))
    query[0, :2] = 128, 2
    key[:, 0], key[1, 1] = 128, 1
    mask = np.ones((1, 2), bool)
    value = np.array([[0.0], [1.0]])
    halves = {"query": query, "key": key, "value": value}
    return {n: a.astype(dtype) for n, a in halves.items()} | {"mask": mask}


def scores_are_finer_than_a_half_could_be(
    step: Step, arguments: dict
) -> Comparisons:
    """Scores of 4096 and 4096.5, which no half tells apart: their weights
    are e^(1/2) to 1, within the last rounding."""
    taken = two_scores(arguments["query"].dtype)
    weight = np.array([[1 / (1 + np.exp(-0.5))]])
    last = apart(format_of(taken["query"]), weight) / 2
    yield same("context", step(**taken), weight, last + FLOAT32_ERROR)


def scores_that_round_to_one_half_weigh_the_same(
    step: Step, arguments: dict
) -> Comparisons:
    """Scores of 4096 and 4096.5 are one number in a half: each key weighs
    1/2."""
    got = step(**two_scores(arguments["query"].dtype))
    yield identical("context", got, np.array([[0.5]]))


def scores_and_weights_become_the_halves_next_to_them(
    step: Step, arguments: dict
) -> Comparisons:
    """Of two keys, one with a score of 0: the other's is rounded to the
    nearest half, and the weight that follows from it, too."""
    dtype, half = arguments["query"].dtype, format_of(arguments["query"])
    query = np.arange(1, 65)[:, None] * [0.0625, 0]
    exact = 3 * query[:, :1] / np.sqrt(2)
    scores, steps = nearest(half, exact), apart(half, exact)
    # Others lie so near the middle that float32 might not know.
    is_clear = np.abs(exact - scores) < (0.5 - CLEAR) * steps
    key = np.array([[0.0, 0], [3, 0]])
    halves = {"query": query, "key": key, "value": np.eye(2)[:, :1]}
    taken = {n: a.astype(dtype) for n, a in halves.items()}
    got = step(**taken | {"mask": np.ones((64, 2), bool)})
    weights = 1 / (1 + np.exp(scores))
    bound = apart(half, weights) / 2 + FLOAT32_ERROR * weights
    parts = (part[is_clear] for part in (got, weights, bound))
    yield same("weights", *parts)


def rounded_weights_need_not_sum_to_1(
    step: Step, arguments: dict
) -> Comparisons:
    """n keys that weigh the same have the half next to 1/n for a weight,
    and n times that is not 1 for some n."""
    dtype, half = arguments["query"].dtype, format_of(arguments["query"])
    totals = {
        keys: nearest(half, keys * nearest(half, np.array([[1 / keys]])))
        for keys in range(1, MOST_KEYS)
    }
    odd = [keys for keys, total in totals.items() if total != 1]
    for keys in odd[:3]:
        got = step(**alike_keys(dtype, np.ones((keys, 1))))
        yield identical(f"context, {keys} keys", got, totals[keys])


# --- gradients in half precision -----------------------------------------


def gradients_are_off_by_their_roundings_only(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """The gradients are exact, but for what is lost where the step and its
    gradient round."""
    upstream, query, key, value, mask = arguments.values()
    batch = np.broadcast_shapes(query.shape[:-2], mask.shape[:-2])
    forward = Profile(query.dtype.name, **PLACES[gradient.name])
    bounds = attention_gradient_bounds(
        *(upstream, query, key, value, forward),
        BACKWARD_PLACES[gradient.name],
        mask=np.broadcast_to(mask, (*batch, *mask.shape[-2:])),
    )
    results = gradient(**arguments)
    names = inputs(arguments)
    for name, got, bound in zip(names, results, bounds, strict=False):
        yield same(f"d_{name}", got, bound.value, bound.error)


def what_is_masked_learns_nothing(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """A query that sees no key, a key that no query sees, and its value
    have gradients of 0."""
    mask = mask_of_scores(arguments).copy()
    mask[..., 0, :] = mask[..., :, -1] = False
    gradients = gradient(**arguments | {"mask": mask})
    rows = (np.s_[..., 0, :], np.s_[..., -1, :], np.s_[..., -1, :])
    names = inputs(arguments)
    for name, got, row in zip(names, gradients, rows, strict=False):
        yield identical(f"d_{name}", got[row], np.zeros(got[row].shape))


PROPERTIES = (
    Property(a_number_moves_by_half_a_step_at_most, of=("round_to",)),
    Property(what_is_rounded_has_so_many_bits, of=("round_to",)),
    Property(rounding_twice_changes_nothing, of=("round_to",)),
    Property(a_tie_goes_to_the_even_number, of=("round_to",)),
    Property(a_number_and_its_negative_are_rounded_alike, of=("round_to",)),
    Property(the_order_of_numbers_is_kept, of=("round_to",)),
    Property(twice_a_number_is_rounded_to_twice, of=("round_to",)),
    Property(no_half_is_nearer_to_a_sum, of=SUMS),
    Property(a_sum_half_way_goes_to_the_even_half, of=SUMS),
    Property(a_sum_and_its_negative_are_rounded_alike, of=SUMS),
    Property(a_sum_that_is_too_large_is_infinite, of=SUMS),
    Property(small_sums_keep_the_last_of_their_bits, of=SUMS),
    Property(terms_may_change_places, of=("add_in_half",)),
    Property(ones_are_counted_as_far_as_the_bits_go, of=("sum_in_half",)),
    Property(
        a_small_term_counts_only_before_a_large_one, of=("sum_in_half",)
    ),
    Property(a_sum_may_be_interrupted, of=("sum_in_half",)),
    Property(an_output_is_off_by_its_roundings_only, of=ATTENTIONS),
    Property(a_fully_masked_query_gets_0, of=ATTENTIONS),
    Property(what_a_masked_key_holds_does_not_matter, of=ATTENTIONS),
    Property(the_order_of_keys_does_not_matter, of=ATTENTIONS),
    Property(the_only_key_gives_its_value, of=ATTENTIONS),
    Property(a_mean_half_way_goes_to_the_even_half, of=ATTENTIONS),
    Property(a_value_of_all_keys_comes_out_to_the_last_bit, of=(ONCE,)),
    Property(scores_are_finer_than_a_half_could_be, of=(ONCE,)),
    Property(scores_that_round_to_one_half_weigh_the_same, of=(WITHIN,)),
    Property(
        scores_and_weights_become_the_halves_next_to_them, of=(WITHIN,)
    ),
    Property(rounded_weights_need_not_sum_to_1, of=(WITHIN,)),
    Property(
        gradients_are_off_by_their_roundings_only,
        of=gradients_of(*ATTENTIONS),
    ),
    Property(what_is_masked_learns_nothing, of=gradients_of(*ATTENTIONS)),
)
