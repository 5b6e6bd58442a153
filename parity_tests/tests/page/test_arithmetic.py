"""The neuron view's arithmetic, of one query of one head, as Python's."""

import numpy as np
import pytest

from numpy_ref.attention import attention_scores, masked_softmax
from parity_tests.bounds.rounding import (
    Bounded,
    distribution,
    scaled_scores,
    weighted_mean,
)
from parity_tests.tests.conftest import expect_holds

from .cases import D_HEAD, compared
from .cases import attention as attention
from .cases import script as script

ARITHMETIC = """(() => {
  const floats = (name) => new Float32Array(vectors[name]);
  return arithmeticOf({
    tokens: vectors.tokens, size: vectors.size, queries: floats("queries"),
    keys: floats("keys"), values: floats("values"),
  }, head, query, causal);
})()"""


def arithmetic_of(script, attention, layer, head, query) -> dict:
    vectors = {
        name: getattr(attention, name)[layer].ravel().tolist()
        for name in ("queries", "keys", "values")
    } | {"tokens": len(attention.tokens), "size": D_HEAD}
    found = script(
        ARITHMETIC,
        vectors=vectors,
        head=head,
        query=query,
        causal=attention.causal,
    )
    return {
        name: np.array(numbers) if isinstance(numbers, list) else numbers
        for name, numbers in found.items()
    }


def one_query(attention, layer, head, query):
    """Its query, the keys and the values, in 64 bits."""
    arrays = attention.queries, attention.keys, attention.values
    q, k, v = (array[layer, head].astype(np.float64) for array in arrays)
    return q[query : query + 1], k, v


@pytest.mark.parametrize(("head", "query"), [(0, 0), (1, 2), (2, 5)])
def test_products_sums_and_scores_are_those_of_64_bits(
    script, attention, head, query
):
    found = arithmetic_of(script, attention, 1, head, query)
    q, k, v = one_query(attention, 1, head, query)
    for name, expected in {"query": q[0], "keys": k, "values": v}.items():
        np.testing.assert_array_equal(found[name], expected)
    # A product of two float32 has no rounding in 64 bits; sums are taken
    # from the first to the last, and a root is rounded as it must be.
    np.testing.assert_array_equal(found["products"], q * k)
    sums = np.cumsum(q * k, axis=-1)[:, -1]
    np.testing.assert_array_equal(found["sums"], sums)
    np.testing.assert_array_equal(found["scores"], sums / np.sqrt(D_HEAD))


@pytest.mark.parametrize(("head", "query"), [(0, 0), (1, 2), (2, 5)])
def test_the_arithmetic_of_a_query_is_the_references(
    script, attention, head, query
):
    found = arithmetic_of(script, attention, 1, head, query)
    q, k, v = one_query(attention, 1, head, query)
    count = len(attention.tokens)
    mask = np.arange(count)[None] <= (query if attention.causal else count)
    np.testing.assert_array_equal(found["allowed"], mask[0])
    scores = attention_scores(q, k)
    weights = masked_softmax(scores, mask)
    query_key = Bounded.exactly(q, q), Bounded.exactly(k, k)
    score_bound = scaled_scores(*query_key)
    bound = distribution(score_bound, mask)
    output = weighted_mean(bound, Bounded.exactly(v, v))
    for name, ours, exact in (
        ("scores", scores, score_bound),
        ("weights", weights, bound),
        ("output", weights @ v, output),
    ):
        comparison = compared(
            name, ours[0], found[name], 2 * exact.error[0]
        )
        expect_holds("the page's arithmetic", comparison)
    # What the page shows along the way is made of what it shows.
    allowed = found["scores"][mask[0]]
    assert found["largest"] == allowed.max()
    powers = np.where(mask[0], np.exp(found["scores"] - allowed.max()), 0)
    np.testing.assert_allclose(found["powers"], powers, rtol=1e-14)
    assert found["total"] == np.cumsum(found["powers"])[-1]
    weighted = found["weights"][:, None] * v
    np.testing.assert_array_equal(found["weighted"], weighted)
    np.testing.assert_array_equal(
        found["output"], np.cumsum(weighted, axis=0)[-1]
    )
    np.testing.assert_array_equal(
        found["weights"], found["powers"] / found["total"]
    )
    assert (found["weights"][~mask[0]] == 0).all()
