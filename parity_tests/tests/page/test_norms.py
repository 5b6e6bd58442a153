"""The norms that the page computes equal Python's."""

import numpy as np
import pytest

from bert_viz.measures.norms import norm_shares, norms
from bert_viz.page.packing import ERROR
from parity_tests.bounds.rounding import Rounding

from .cases import ATTENTION, expect_near, state_of
from .cases import script as script


@pytest.mark.parametrize("special", [True, False])
def test_norms_equal_pythons_and_shares_sum_to_1(script, special):
    script.hold(ATTENTION)
    page = script(
        "(({ norms, shares, moved, rows, valueNorms }) => ({ norms: "
        "Array.from(norms), shares: Array.from(shares), moved, rows, "
        "valueNorms }))(normsOf(panelsOf(data, 'first')[0], state))",
        state=state_of(layer=1, heads=[2], special=special, words=True),
    )
    kept = np.flatnonzero(special | ~ATTENTION.special)
    sizes = ATTENTION.value_norms[1, 2][kept]
    u = Rounding.of(np.float32).gamma(4)
    expect_near("value norms", sizes, page["valueNorms"], u * sizes)
    weights = ATTENTION.weights[1, 2][kept][:, kept]
    carried = norms(ATTENTION)[1, 2][kept][:, kept]
    np.testing.assert_allclose(carried, weights * sizes, rtol=1e-5)
    bound = (ERROR + u) * sizes + u * carried
    expect_near("norms", carried, page["norms"], bound)
    shares = np.array(page["shares"]).reshape(carried.shape)
    np.testing.assert_allclose(shares.sum(axis=-1), 1, rtol=1e-6)
    if special:
        apart = abs(shares - norm_shares(ATTENTION)[1, 2]).max()
        worst = (bound.sum(-1) / carried.sum(-1)).max()
        assert apart <= 2 * worst + u
    moved = weights.argmax(axis=-1) != carried.argmax(axis=-1)
    assert page["moved"] == moved.sum()
    assert page["rows"] == len(kept)
