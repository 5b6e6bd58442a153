"""Plots of training: entropies, and training without the scale."""

import numpy as np
import pytest

from numpy_ref import attention
from numpy_ref.attention import attention_scores
from numpy_ref.parameters import state_dict
from numpy_ref.training.initial_weights import initial_gpt2
from numpy_ref.training.steps import TrainingSettings
from parity_tests.oracles.training import config_of
from study.train.plots import (
    entropy,
    scaled_run,
    smooth,
    unscaled,
    unscaled_run,
    with_deviation,
)

CONFIG = config_of(
    d_model=8, d_ff=16, heads=2, layers=1
)  # d_head 4, its root 2
SETTINGS = TrainingSettings(
    context_length=8, batch_size=2, steps=6, warm_up=2
)
IDS = np.random.default_rng(0).integers(0, CONFIG.vocabulary, 99)
DEVIATION = 0.5


def test_entropy_is_1_for_uniform_weights_and_0_for_one_key():
    causal = np.tril(np.ones((2, 5, 5)))
    uniform = causal / causal.sum(axis=-1, keepdims=True)
    assert entropy(uniform) == pytest.approx(1)
    assert entropy(np.broadcast_to(np.eye(5), (2, 5, 5))) == 0
    assert 0 < entropy((uniform + np.eye(5)) / 2) < 1


def test_without_the_root_the_loss_is_that_of_larger_scores():
    """Twice the query over the root of 4 is the query itself."""
    bare = unscaled_run(IDS, CONFIG, SETTINGS, DEVIATION)
    with_root = scaled_run(IDS, CONFIG, SETTINGS, DEVIATION)
    assert bare.losses[0] != with_root.losses[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            attention,
            "attention_scores",
            lambda query, key: attention_scores(2 * query, key),
        )
        doubled = scaled_run(IDS, CONFIG, SETTINGS, DEVIATION)
    assert bare.losses[0] == doubled.losses[0]


def test_without_the_root_the_gradient_is_still_the_slope():
    generator = np.random.default_rng(1)
    d_scores, query, key = generator.normal(size=(3, 2, 3, 3))
    along = generator.normal(size=(2, 2, 3, 3))
    with unscaled():
        d_query, d_key = attention.attention_scores_backward(
            d_scores, query, key
        )
        ahead, behind = (
            (
                d_scores
                * attention.attention_scores(
                    query + sign * along[0], key + sign * along[1]
                )
            ).sum()
            for sign in (1, -1)
        )
    slope = (d_query * along[0] + d_key * along[1]).sum()
    # Scores are bilinear: a central difference leaves nothing out.
    assert (ahead - behind) / 2 == pytest.approx(slope)


def test_only_queries_and_keys_begin_larger():
    before = initial_gpt2(CONFIG, np.random.default_rng(0))
    after = state_dict(with_deviation(before, 0.04))
    for name, array in state_dict(before).items():
        larger = name.endswith(("query.weight", "key.weight"))
        np.testing.assert_array_equal(after[name], array * (1 + larger))


def test_the_root_is_back_afterwards():
    before = attention.attention_scores
    with unscaled():
        assert attention.attention_scores is not before
    assert attention.attention_scores is before


def test_a_run_records_losses_norms_and_entropies():
    run = scaled_run(IDS, CONFIG, SETTINGS, DEVIATION)
    assert len(run.losses) == len(run.norms) == 6
    assert run.looks == [0, 5]
    assert np.shape(run.entropies) == (2, CONFIG.layers)


def test_smooth_is_a_moving_average():
    smoothed = smooth([1.0, 3.0, 5.0, 11.0], width=2)
    np.testing.assert_allclose(smoothed, [1, 2, 4, 8])
