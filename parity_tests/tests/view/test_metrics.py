"""Metrics of heads against an independent definition and known values."""

from itertools import compress
from math import exp, fsum, log, log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr
from scipy.stats import entropy as scipy_entropy

from bert_viz import from_arrays
from bert_viz.measures.head_map import head_distances
from bert_viz.measures.metric_table import metric_table
from bert_viz.measures.metrics import (
    BY_NAME,
    METRICS,
    baseline,
    js_distance,
    mass,
    metric_named,
    offset_score,
)
from parity_tests.bounds.rounding import Rounding

from .cases import (
    DTYPES,
    PUNCTUATION,
    attentions,
    expect_near,
    heads_and_rows,
    mean,
    one_head,
)

# --- every metric, by its definition -------------------------------------


# Which weights are counted: the tokens and segments of the text, i, j.
COUNTED = {
    "[CLS]": lambda tokens, segments, i, j: tokens[j] == "[CLS]",
    "[SEP]": lambda tokens, segments, i, j: tokens[j] == "[SEP]",
    "punctuation": lambda tokens, segments, i, j: tokens[j] in PUNCTUATION,
    "same token": lambda tokens, segments, i, j: (
        i != j and tokens[i] == tokens[j]
    ),
    "other text": lambda tokens, segments, i, j: segments[i] != segments[j],
}


def share_of(row):
    """The entropy divided by its largest; SciPy normalises rows."""
    return scipy_entropy(row) / log(len(row))


def flat(rows):
    return [a for row in rows for a in row]


def weighted_distances(rows):
    return [
        [a * abs(i - j) for j, a in enumerate(row)]
        for i, row in enumerate(rows)
    ]


# Rows end where a causal model sees no further.
DEFINITIONS = {
    "previous token": lambda rows: mean(
        rows[i][i - 1] for i in range(1, len(rows))
    ),
    "self": lambda rows: mean(row[i] for i, row in enumerate(rows)),
    "next token": lambda rows: mean(
        rows[i][i + 1] for i in range(len(rows) - 1)
    ),
    "first token": lambda rows: mean(row[0] for row in rows[1:]),
    "entropy": lambda rows: mean(
        share_of(row) for row in rows if len(row) > 1
    ),
    "effective keys": lambda rows: mean(
        exp(scipy_entropy(row)) for row in rows
    ),
    "confidence": lambda rows: mean(max(row) for row in rows),
    "distance": lambda rows: (
        fsum(flat(weighted_distances(rows))) / fsum(flat(rows))
    ),
}
ONLY_CAUSAL, NEVER_CAUSAL = {"first token"}, {"next token"}


def by_definition(name, attention, rows):
    """What a metric must be, or None where it does not apply."""
    n = len(rows)
    if name in COUNTED:
        counts = [
            [
                COUNTED[name](attention.tokens, attention.segments, i, j)
                for j in range(n)
            ]
            for i in range(n)
        ]
        if not any(map(any, counts)):
            return None
        return mean(
            fsum(compress(row, yes))
            for row, yes in zip(rows, counts, strict=True)
        )
    if name in (NEVER_CAUSAL if attention.causal else ONLY_CAUSAL):
        return None
    if attention.causal:
        rows = [row[: i + 1] for i, row in enumerate(rows)]
    return DEFINITIONS[name](rows)


def size_of(name, value, n):
    """The size that roundings are relative to.

    A row whose weights are off by n roundings has an entropy that is off
    by as many of H + 1; so is ours, by its sum and the logarithms. Over
    ln 2, the least that it is divided by, 1 is less than 2; and e to the
    entropy is off by a factor.
    """
    factors = {"entropy": 1 + 2 / value} if value else {"entropy": 1}
    factors["effective keys"] = log(n) + 1
    return value * factors.get(name, 1)


def test_what_a_roberta_begins_and_ends_with_counts_as_bert_s():
    rows = np.random.default_rng(0).dirichlet(np.ones(4), 4)
    bert, roberta = (
        metric_table(one_head(rows, tokens)).values
        for tokens in (
            ["[CLS]", "a", "b", "[SEP]"],
            ["<s>", "a", "b", "</s>"],
        )
    )
    assert {"[CLS]", "[SEP]"} < bert.keys() == roberta.keys()
    for name, values in bert.items():
        assert values == roberta[name], name


def test_every_metric_has_a_second_definition():
    assert {*COUNTED, *DEFINITIONS} == set(BY_NAME)
    assert len(METRICS) == len(BY_NAME)


@pytest.mark.parametrize("name", BY_NAME)
@given(attention=attentions())
def test_a_metric_follows_its_definition(name, attention):
    n = len(attention.tokens)
    metric = metric_named(name)
    values = (
        metric.measure(attention) if metric.applies(attention) else None
    )
    for head, rows in heads_and_rows(attention):
        expected = by_definition(name, attention, rows)
        if expected is None:
            assert values is None
            continue
        # n for a row, n for SciPy's, n for the mean; the rest for two
        # functions of 8 each, and for products and quotients.
        expect_near(
            name,
            values[head],
            expected,
            3 * n + 24,
            size_of(name, expected, n),
            attention.weights.dtype,
        )


@given(attention=attentions())
def test_every_metric_keeps_within_its_range(attention):
    n = len(attention.tokens)
    table = metric_table(attention)
    assert [*table.values] == [*table.baselines]
    for name, values in table.values.items():
        top = metric_named(name).top or n
        room = Rounding.of(attention.weights.dtype).gamma(3 * n + 24)
        least = {"confidence": 1 / n, "effective keys": 1}.get(name, 0)
        assert values.shape == attention.weights.shape[:2]
        assert values.min() >= least - 2 * room, name
        assert values.max() <= top * (1 + (log(n) + 1) * room), name
        assert 0 <= table.baselines[name] <= top * (1 + room), name


@given(attention=attentions(), seed=st.integers(0, 99))
def test_a_partition_of_the_keys_shares_all_of_the_weight(attention, seed):
    n = len(attention.tokens)
    part = np.random.default_rng(seed).integers(0, 3, n)
    shares = sum(mass(attention, part == label) for label in range(3))
    # n for a row of ours, n for the mean, n for the rows passed in.
    expect_near("partition", shares, np.ones_like(shares), 3 * n + 3)


# --- known values --------------------------------------------------------


@pytest.mark.parametrize("offset", [-2, -1, 0, 1, 3])
def test_a_shift_has_all_of_its_own_offset_and_none_of_others(offset):
    n = 7
    keys = (np.arange(n) + offset) % n
    attention = one_head(np.eye(n)[keys])
    for other in range(-3, 4):
        # Where the shift comes round again, it is another offset.
        round_again = other - offset in (n, -n)
        if not round_again:
            score = offset_score(attention, other)
            assert score.tolist() == [[float(other == offset)]]
    name = {-1: "previous token", 0: "self", 1: "next token"}.get(offset)
    if name:
        assert metric_table(attention).values[name].tolist() == [[1]]


@pytest.mark.parametrize("n", [1, 2, 3, 10, 65])
def test_equal_weights_give_known_values(n):
    table = metric_table(one_head(np.full((n, n), 1 / n)))
    known = {"effective keys": n, "self": 1 / n, "confidence": 1 / n}
    known["distance"] = (n * n - 1) / (3 * n)
    if n > 1:
        known |= {"entropy": 1, "previous token": 1 / n}
        known |= {"next token": 1 / n}
    assert table.values.keys() == known.keys()
    for name, value in known.items():
        size = size_of(name, value, n)
        expect_near(name, table.values[name], [[value]], 3 * n + 24, size)
        assert table.baselines[name] == table.values[name]


@pytest.mark.parametrize("n", [2, 3, 10, 65])
def test_equal_weights_of_a_causal_model_give_known_values(n):
    rows = np.tri(n) / np.arange(1, n + 1)[:, None]
    one_hot = one_head(np.eye(n))
    assert one_hot.causal
    known = {
        "distance": (n - 1) / 4,
        "entropy": 1,
        "effective keys": (n + 1) / 2,
        "confidence": mean(1 / i for i in range(1, n + 1)),
        "self": mean(1 / i for i in range(1, n + 1)),
        "previous token": mean(1 / i for i in range(2, n + 1)),
        "first token": mean(1 / i for i in range(2, n + 1)),
    }
    values = metric_table(one_head(rows)).values
    assert values.keys() == known.keys()
    for name, value in known.items():
        size = size_of(name, value, n)
        expect_near(name, values[name], [[value]], 3 * n + 24, size)
        # The baseline comes from the mask, not from the weights.
        equal = baseline(metric_named(name), one_hot)
        expect_near(name, np.float64(equal), value, 3 * n + 24, size)


@pytest.mark.parametrize("n", [2, 3, 10])
def test_a_head_that_looks_at_one_key_has_no_entropy(n):
    table = metric_table(one_head(np.eye(n)[::-1]))
    assert table.values["entropy"].tolist() == [[0]]
    assert table.values["effective keys"].tolist() == [[1]]
    assert table.values["confidence"].tolist() == [[1]]
    assert "-0" not in table.as_csv().split(",")


def test_a_row_with_one_key_does_not_count_for_the_entropy():
    rows = [[1, 0, 0], [1 / 2, 1 / 2, 0], [0, 0, 1]]
    assert metric_table(one_head(rows)).values["entropy"] == 1 / 2


def test_metrics_that_do_not_apply_are_left_out():
    rows = np.full((3, 3), 1 / 3)
    names = {*metric_table(one_head(rows)).values}
    assert not names & {*COUNTED, "first token"}
    alone = metric_table(one_head([[1]]))
    assert not np.isnan([*alone.values.values()]).any()
    assert "entropy" not in alone.values


def test_a_special_token_is_no_punctuation():
    rows = np.full((1, 1, 3, 3), 1 / 3)
    tokens = ["a", "!", "."]
    attention = from_arrays(tokens, rows, special=[False, False, True])
    values = metric_table(attention).values["punctuation"]
    assert values.tolist() == [[1 / 3]]


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="a metric: previous token, self,"):
        metric_named("attention")


# --- the distance of two heads -------------------------------------------


def js_by_definition(p, q):
    """Mean divergence of two rows from their middle, in bits."""

    def to_middle(a, b):
        return a * log2(2 * a / (a + b)) if a else 0

    return fsum(map(to_middle, p + q, q + p)) / 2


def js_by_scipy(p, q):
    """What SciPy's `jensenshannon` sums, before it takes a square root."""
    middle = np.add(p, q) / 2
    return fsum([*rel_entr(p, middle), *rel_entr(q, middle)]) / 2 / log(2)


@pytest.mark.parametrize("other", [js_by_definition, js_by_scipy])
@given(attention=attentions(dtype="float64"))
def test_the_distance_of_heads_is_jensen_shannon(other, attention):
    n = len(attention.tokens)
    heads = [rows for _, rows in heads_and_rows(attention)]
    distances = head_distances(attention)
    expected = [
        [0 if p is q else mean(map(other, p, q)) for q in heads]
        for p in heads
    ]
    # The parts of a row are no more than 2 together; n for the sum and n
    # for the mean, 8 for a logarithm, and the rest for its argument.
    expect_near("JS", distances, expected, 3 * n + 24, 2)


@given(attention=attentions())
def test_the_distance_of_heads_is_symmetric_and_from_0_to_1(attention):
    room = Rounding.of(float).gamma(3 * len(attention.tokens) + 24)
    distances = head_distances(attention)
    assert distances.dtype == np.float64
    # Not to the last bit: NumPy's log may depend on an entry's position.
    assert abs(distances - distances.T).max() <= 4 * room
    assert not distances.diagonal().any()
    assert distances.min() >= -2 * room
    assert distances.max() <= 1 + 2 * room


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_weight_that_is_almost_0_is_no_distance(dtype):
    """Half of it would be rounded to 0."""
    least = np.finfo(dtype).smallest_subnormal
    p, q = np.array([[[1, least]], [[1, 0]]], dtype)
    assert js_distance(p, q) == js_distance(q, p) == 0


def test_heads_that_never_look_at_the_same_are_1_apart():
    assert js_distance(np.eye(3), np.eye(3)[[1, 2, 0]]) == 1
