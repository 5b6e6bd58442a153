"""The norms that the page computes are Python's."""

import numpy as np
import pytest

from bert_viz.measures.norms import norm_shares, norms
from bert_viz.page.packing import ERROR
from parity_tests.bounds.rounding import Rounding

from .cases import ATTENTION, expect_near, state_of
from .cases import script as script


@pytest.mark.parametrize("special", [True, False])
def test_norms_are_pythons_and_shares_sum_to_1(script, special):
    script.hold(ATTENTION)
    found = script(
        "(({ handed, shares, largestMoves, rows, sizes }) => ({ handed: "
        "Array.from(handed), shares: Array.from(shares), largestMoves, "
        "rows, sizes }))(normsOf(panelsOf(data, 'first')[0], state))",
        state=state_of(layer=1, heads=[2], special=special, words=True),
    )
    kept = np.flatnonzero(special | ~ATTENTION.special)
    sizes = ATTENTION.value_norms[1, 2][kept]
    u = Rounding.of(np.float32).gamma(4)
    expect_near("sizes", sizes, found["sizes"], u * sizes)
    weights = ATTENTION.weights[1, 2][kept][:, kept]
    handed = norms(ATTENTION)[1, 2][kept][:, kept]
    np.testing.assert_allclose(handed, weights * sizes, rtol=1e-5)
    bound = (ERROR + u) * sizes + u * handed
    expect_near("handed", handed, found["handed"], bound)
    shares = np.array(found["shares"]).reshape(handed.shape)
    np.testing.assert_allclose(shares.sum(axis=-1), 1, rtol=1e-6)
    if special:
        apart = abs(shares - norm_shares(ATTENTION)[1, 2]).max()
        worst = (bound.sum(-1) / handed.sum(-1)).max()
        assert apart <= 2 * worst + u
    moves = weights.argmax(axis=-1) != handed.argmax(axis=-1)
    assert found["largestMoves"] == moves.sum()
    assert found["rows"] == len(kept)
