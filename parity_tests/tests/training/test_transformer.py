"""Training of the transformer beside PyTorch's Adam and its schedule."""

from math import sqrt

import numpy as np
import pytest
import torch

from numpy_ref.parameters import state_dict
from numpy_ref.training.steps import initial_state
from numpy_ref.training.transformer import (
    Pairs,
    TransformerConfig,
    TransformerSettings,
    averaged,
    initial_transformer,
    transformer_step,
)
from parity_tests.oracles.transformer import TransformerOracle

CONFIG = TransformerConfig(
    vocabulary=7, d_model=8, d_ff=12, heads=2, layers=2
)
SETTINGS = TransformerSettings(warm_up_steps=2)
PAD = 0
STEPS = 3


def random_pairs(generator) -> Pairs:
    """Two sources of several lengths, and targets with padding."""
    source_ids = generator.integers(1, 7, (3, 5))
    targets = generator.integers(1, 7, (3, 4))
    source_ids[1, 3:] = targets[0, 2:] = PAD
    target_ids = np.roll(targets, 1, axis=1)
    return Pairs(source_ids, target_ids, targets, source_ids != PAD)


def beginning(dtype="float64"):
    generator = np.random.default_rng(0)
    return initial_state(initial_transformer(CONFIG, generator, dtype))


def schedule_of(optimizer):
    """The paper's equation 3, as a factor of a rate of 1."""
    width, warm_up = CONFIG.d_model, SETTINGS.warm_up_steps

    def factor(done):
        step = done + 1
        rate = min(1 / sqrt(step), step / warm_up**1.5)
        return rate / sqrt(width)

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def test_every_step_is_that_of_pytorchs_adam():
    state, generator = beginning(), np.random.default_rng(1)
    oracle = TransformerOracle(state.params, CONFIG.heads, CONFIG.epsilon)
    optimizer = torch.optim.Adam(
        oracle.parameters(),
        lr=1,
        betas=SETTINGS.betas,
        eps=SETTINGS.epsilon,
    )
    schedule = schedule_of(optimizer)
    highest = 0.0
    for _ in range(STEPS):
        pairs = random_pairs(generator)
        optimizer.zero_grad()
        loss = oracle.loss(
            *map(torch.from_numpy, pairs), SETTINGS.smoothing, PAD
        )
        loss.backward()
        gradients = oracle.gradients()
        rate = schedule.get_last_lr()[0]
        optimizer.step()
        schedule.step()
        state, metrics = transformer_step(
            state, pairs, CONFIG, SETTINGS, PAD
        )
        highest = max(highest, rate)
        assert abs(metrics.rate - rate) <= 1e-15
        assert abs(metrics.loss - loss.item()) <= 1e-9 * loss.item()
        norm = sqrt(sum((part**2).sum() for part in gradients.values()))
        assert abs(metrics.norm - norm) <= 1e-9 * norm
        theirs = oracle.weights()
        for name, ours in state_dict(state.params).items():
            if name.endswith("key.bias"):
                continue  # its gradient is 0, but for rounding
            # A step of Adam moves an entry by about the learning rate.
            room = abs(theirs[name]).max() + highest * metrics.step
            assert abs(ours - theirs[name]).max() <= 1e-9 * room, name


def test_the_settings_are_the_papers():
    """Sections 5.3 and 5.4."""
    ours = TransformerSettings()
    assert (ours.warm_up_steps, ours.smoothing) == (4000, 0.1)
    assert (ours.betas, ours.epsilon) == ((0.9, 0.98), 1e-9)


def test_first_weights_are_glorots_uniform():
    ours = state_dict(beginning("float32").params)
    oracle = TransformerOracle(
        beginning("float32").params, CONFIG.heads, CONFIG.epsilon
    )
    theirs = {
        name: torch.empty(array.shape)
        for name, array in oracle.weights().items()
        if array.ndim == 2 and not name.startswith("embedding")
    }
    for name, array in theirs.items():
        torch.nn.init.xavier_uniform_(array)
        most = sqrt(6 / sum(array.shape))
        for side in (ours[name], array.numpy()):
            assert 0.8 * most < abs(side).max() <= most
        assert abs(ours[name].std() / (most / sqrt(3)) - 1) < 0.25
    assert {a.dtype.name for a in ours.values()} == {"float32"}
    rows = np.linalg.norm(ours["embedding.token.weight"], axis=1)
    assert 0.7 < rows.mean() < 1.3


def test_a_step_changes_nothing_in_place():
    state, pairs = beginning(), random_pairs(np.random.default_rng(2))
    before = {n: a.copy() for n, a in state_dict(state.params).items()}
    once, again = (
        transformer_step(state, pairs, CONFIG, SETTINGS, PAD)[0]
        for _ in range(2)
    )
    for name, array in state_dict(state.params).items():
        np.testing.assert_array_equal(array, before[name])
    for name, array in state_dict(once.params).items():
        np.testing.assert_array_equal(array, state_dict(again.params)[name])
        assert name.endswith("key.bias") or (array != before[name]).any()


def test_a_training_that_has_diverged_stops_in_one_line():
    state = beginning()
    table = state.params.embedding.token.weight
    table *= 1e3  # logits of the order of a thousand
    pairs = random_pairs(np.random.default_rng(3))
    with pytest.raises(ValueError, match="training has diverged") as error:
        transformer_step(state, pairs, CONFIG, SETTINGS, PAD)
    assert "\n" not in str(error.value)
    assert "at step 1" in str(error.value)


def test_the_mean_of_models_is_pytorchs():
    models = [
        initial_transformer(CONFIG, np.random.default_rng(seed), "float64")
        for seed in range(3)
    ]
    first, *others = (
        TransformerOracle(model, CONFIG.heads, CONFIG.epsilon)
        for model in models
    )
    theirs = torch.optim.swa_utils.AveragedModel(first)
    for oracle in (first, *others):
        theirs.update_parameters(oracle)
    ours = state_dict(averaged(models))
    for name, array in theirs.module.weights().items():
        assert abs(ours[name] - array).max() <= 1e-14
    with pytest.raises(ValueError, match="models to be at least 1, got 0"):
        averaged([])
