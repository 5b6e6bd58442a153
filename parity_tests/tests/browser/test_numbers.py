"""The steps, metrics and norms that a browser shows equal Python's."""

from math import floor, log10, sqrt

import numpy as np
import pytest

from bert_viz.measures.metric_table import metric_table
from bert_viz.measures.metrics import METRICS
from bert_viz.measures.norms import norms
from bert_viz.measures.patterns import named_heads
from bert_viz.page.packing import pack_weights, unpack
from numpy_ref.attention import attention_scores, masked_softmax
from parity_tests.bounds.rounding import (
    Bounded,
    distribution,
    scaled_scores,
    weighted_mean,
)
from parity_tests.tests.page.cases import D_HEAD, WORDS, in_words

from .page import (
    ALONE,
    ONE,
    PAGES,
    STEPS,
    eventually,
    numbers,
    read,
    table,
    texts,
)
from .page import browser as browser
from .page import folder as folder
from .page import opened as opened

pytestmark = pytest.mark.browser


def expect_six_digits(cells) -> None:
    """The text shown is the whole number, rounded to six digits."""
    for whole, shown in (cell for row in cells for cell in row):
        digit = floor(log10(abs(whole))) - 5 if whole else 0
        assert abs(read(shown) - whole) <= 0.500001 * 10.0**digit


@pytest.mark.parametrize(
    ("name", "query", "key"),
    [("one", 2, 4), ("causal", 3, 1), ("padded", 1, 3)],
)
def test_the_steps_equal_pythons_to_the_last_digit_shown(
    opened, name, query, key
):
    held, dimension = PAGES[name][0], 2
    tab = opened(
        name,
        f"view=neuron&heads=1&query={query}&key={key}"
        f"&dimension={dimension}",
    )
    arrays = held.queries, held.keys, held.values
    q, k, v = (array[0, 1].astype(np.float64) for array in arrays)
    q = q[query]
    mask = held.mask[query]
    dots = np.cumsum(q * k, axis=-1)[:, -1]
    scores = dots / sqrt(D_HEAD)

    products = numbers(tab, "products")
    expect_six_digits(products)
    whole = np.array([[cell[0] for cell in row] for row in products])
    np.testing.assert_array_equal(whole.T, [q, k[key], q * k[key]])
    foot = numbers(tab, "products", "tfoot")
    assert [row[0][0] for row in foot] == [dots[key], scores[key]]

    softmax = numbers(tab, "softmax")
    expect_six_digits(softmax)
    whole = np.array([[cell[0] for cell in row] for row in softmax]).T
    np.testing.assert_array_equal(whole[:2], [dots, scores])
    bound = distribution(
        scaled_scores(
            Bounded.exactly(q[None], q[None]), Bounded.exactly(k, k)
        ),
        mask,
    )
    expected = masked_softmax(attention_scores(q[None], k), mask[None])
    assert (abs(whole[3] - expected[0]) <= 2 * bound.error[0]).all()
    masked = [row[3] == "masked: \u2212∞" for row in table(tab, "softmax")]
    assert masked == (~mask).tolist()
    steps = unpack(pack_weights(held.weights))[0, 1, query]
    stored = [read(row[-1]) for row in table(tab, "softmax")]
    assert stored == [round(float(step), 3) for step in steps]

    weighted = numbers(tab, "weighted")
    expect_six_digits(weighted)
    whole = np.array([[cell[0] for cell in row] for row in weighted]).T
    np.testing.assert_array_equal(whole[1], v[:, dimension])
    np.testing.assert_array_equal(whole[2], whole[0] * whole[1])
    output = numbers(tab, "output")
    expect_six_digits(output)
    whole = np.array([row[0][0] for row in output])
    far = weighted_mean(bound, Bounded.exactly(v, v)).error[0]
    assert (abs(whole - (expected @ v)[0]) <= 2 * far).all()


def test_the_page_says_whether_its_vectors_are_exact(opened):
    for name, text in (
        ("one", "are exactly the model"),
        ("wide", "rounded to 32 bits"),
    ):
        tab = opened(name, "view=neuron")
        assert text in tab.inner_text("#view-neuron .pickers .note"), name


def test_the_metrics_equal_pythons(opened):
    tab = opened("one", "view=metrics&layer=1&heads=3")
    measured = metric_table(ONE)
    rows = table(tab, "metrics")
    assert [row[0] for row in rows] == [*measured.values]
    metrics = {metric.name: metric for metric in METRICS}
    for name, definition, source, equal, here, largest in rows:
        values = measured.values[name]
        layer, head = np.unravel_index(values.argmax(), values.shape)
        assert definition == metrics[name].definition
        assert source == metrics[name].source
        assert equal == in_words(measured.baselines[name])
        assert here == in_words(values[1, 3])
        assert largest == f"L{layer} H{head}{in_words(values.max())}"
    tab.click("[data-details] summary")
    every = tab.locator("[data-details] tbody tr")
    eventually(tab, every.count, ONE.layers * ONE.heads)
    cells = every.nth(7).locator("td").all_inner_texts()
    expected = [values[1, 3] for values in measured.values.values()]
    assert cells == [*map(in_words, expected)]


def test_the_named_heads_equal_pythons(opened):
    tab = opened("alone", "view=metrics")
    named = named_heads(metric_table(ALONE))
    rows = table(tab, "patterns")
    assert [row[0] for row in rows] == [*named]
    for row, heads in zip(rows, named.values(), strict=True):
        assert row[2] == "".join(
            f"L{layer} H{head}{in_words(value, 2)}"
            for layer, head, value in heads
        )


def test_the_norms_equal_pythons(opened):
    tab = opened("one", "view=metrics&layer=1&heads=2")
    weights, carried = ONE.weights[1, 2], norms(ONE)[1, 2]
    sizes = ONE.value_norms[1, 2]
    rows = table(tab, "norms")
    assert len(rows) == 8
    order = np.sort(weights, axis=None)[::-1][:8]
    for number, (query, key, weight, size, over) in zip(
        order, rows, strict=True
    ):
        shown, error = map(read, weight.split(" ± "))
        assert abs(shown - number) <= error + 5e-4
        norm, far = map(read, over.split(" ± "))
        entries = [
            (i, j)
            for i, j in np.ndindex(weights.shape)
            if (WORDS[i], WORDS[j]) == (query, key)
        ]
        assert any(
            abs(weights[at] - shown) <= error + 5e-4
            and abs(sizes[at[1]] - read(size)) <= 6e-4
            and abs(carried[at] - norm) <= far + 5e-4
            for at in entries
        )


def test_the_summary_describes_the_chosen_heads(opened):
    tab = opened("one", "view=head&layer=1&several=1&heads=0,2")
    sentences = texts(tab, "#summary p")
    entropy = metric_table(ONE).values["entropy"]
    for head, sentence in zip((0, 2), sentences, strict=True):
        assert sentence.startswith(f"Layer 1, head {head}. ")
        strongest = in_words(STEPS[1, head].max())
        assert f" {strongest} ± 0.002" in sentence
        spread = in_words(entropy[1, head])
        assert f"Entropy over all tokens: {spread}, where" in sentence
