"""The neuron view's steps, for one query of one head, equal Python's."""

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
  }, head, query, allowed);
})()"""


def arithmetic_of(script, attention, layer, head, query) -> dict:
    vectors = {
        name: getattr(attention, name)[layer].ravel().tolist()
        for name in ("queries", "keys", "values")
    } | {"tokens": len(attention.tokens), "size": D_HEAD}
    steps = script(
        ARITHMETIC,
        vectors=vectors,
        head=head,
        query=query,
        allowed=attention.mask[query].tolist(),
    )
    return {
        name: np.array(numbers) if isinstance(numbers, list) else numbers
        for name, numbers in steps.items()
    }


def one_query(attention, layer, head, query):
    """The query, all keys and all values, in 64 bits."""
    arrays = attention.queries, attention.keys, attention.values
    q, k, v = (array[layer, head].astype(np.float64) for array in arrays)
    return q[query : query + 1], k, v


@pytest.mark.parametrize(("head", "query"), [(0, 0), (1, 2), (2, 5)])
def test_products_dot_products_and_scores_are_exact_in_64_bits(
    script, attention, head, query
):
    steps = arithmetic_of(script, attention, 1, head, query)
    q, k, v = one_query(attention, 1, head, query)
    for name, expected in {"query": q[0], "keys": k, "values": v}.items():
        np.testing.assert_array_equal(steps[name], expected)
    # A product of two float32 has no rounding in 64 bits; sums are taken
    # from the first to the last, and a root is rounded as it must be.
    np.testing.assert_array_equal(steps["products"], q * k)
    dots = np.cumsum(q * k, axis=-1)[:, -1]
    np.testing.assert_array_equal(steps["dots"], dots)
    np.testing.assert_array_equal(steps["scores"], dots / np.sqrt(D_HEAD))


@pytest.mark.parametrize(("head", "query"), [(0, 0), (1, 2), (2, 5)])
def test_the_steps_of_a_query_equal_the_references(
    script, attention, head, query
):
    steps = arithmetic_of(script, attention, 1, head, query)
    q, k, v = one_query(attention, 1, head, query)
    count = len(attention.tokens)
    earlier = np.arange(count) <= (query if attention.causal else count)
    mask = (earlier & (np.array(attention.tokens) != "[PAD]"))[None]
    np.testing.assert_array_equal(steps["allowed"], mask[0])
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
            name, ours[0], steps[name], 2 * exact.error[0]
        )
        expect_holds("the page's arithmetic", comparison)
    # What the page shows along the way follows from what it shows.
    allowed = steps["scores"][mask[0]]
    assert steps["largest"] == allowed.max()
    exponentials = np.where(
        mask[0], np.exp(steps["scores"] - allowed.max()), 0
    )
    np.testing.assert_allclose(
        steps["exponentials"], exponentials, rtol=1e-14
    )
    assert steps["total"] == np.cumsum(steps["exponentials"])[-1]
    weighted = steps["weights"][:, None] * v
    np.testing.assert_array_equal(steps["weighted"], weighted)
    np.testing.assert_array_equal(
        steps["output"], np.cumsum(weighted, axis=0)[-1]
    )
    np.testing.assert_array_equal(
        steps["weights"], steps["exponentials"] / steps["total"]
    )
    assert (steps["weights"][~mask[0]] == 0).all()
