"""Training beside PyTorch's: autograd and torch.optim.AdamW."""

from dataclasses import replace
from math import log

import numpy as np
import pytest
from hypothesis import settings as profile

from numpy_ref.parameters import state_dict
from numpy_ref.tokenizers.bpe_tokenizer import BytePairTokenizer
from numpy_ref.tokenizers.bpe_training import train_bpe
from numpy_ref.training.architectures import IGNORED
from numpy_ref.training.initial_weights import initial_gpt2
from numpy_ref.training.steps import (
    TrainingSettings,
    draw_batch,
    initial_state,
    train,
    training_step,
)
from parity_tests.oracles.training import both_trained, config_of

THOROUGH = profile.get_current_profile_name() == "thorough"
STEPS = 20 if THOROUGH else 5

CONFIG = config_of()
SETTINGS = TrainingSettings(
    context_length=16,
    batch_size=4,
    steps=STEPS,
    warm_up=2,
    highest=1e-2,
    lowest=1e-3,
)


@pytest.fixture(scope="module")
def verdict_ids(the_verdict):
    merges = train_bpe(the_verdict, CONFIG.vocabulary)
    return BytePairTokenizer(merges).encode(the_verdict)


@pytest.fixture(scope="module")
def both(verdict_ids):
    return list(both_trained(verdict_ids, CONFIG, SETTINGS))


def beginning(config=CONFIG, seed=0, dtype="float64"):
    """A training state, and the generator that goes on."""
    generator = np.random.default_rng(seed)
    return initial_state(initial_gpt2(config, generator, dtype)), generator


IDS = np.random.default_rng(0).integers(0, CONFIG.vocabulary, 99)


def test_every_loss_is_pytorchs(both):
    for step in both:
        ours, theirs = step.losses
        assert abs(ours - theirs) <= 1e-9 * theirs
        ours, theirs = step.norms
        assert abs(ours - theirs) <= 1e-9 * theirs
    first, last = both[0].losses[0], both[-1].losses[0]
    assert last < first - 0.3 <= log(CONFIG.vocabulary) + 0.3


def test_every_entry_of_every_parameter_is_pytorchs(both):
    for count, step in enumerate(both, start=1):
        assert step.ours.keys() == step.theirs.keys()
        for name, ours in step.ours.items():
            theirs = step.theirs[name]
            # A step of AdamW moves an entry by about the learning rate.
            room = abs(theirs).max() + SETTINGS.highest * count
            assert abs(ours - theirs).max() <= 1e-9 * room, name


def test_of_a_key_bias_a_relative_measure_says_nothing(both):
    """Its gradient is 0, so that all of it is rounding, made into steps."""
    worst = {
        name: relative(ours, both[-1].theirs[name])
        for name, ours in both[-1].ours.items()
    }
    biases = {name for name in worst if name.endswith("key.bias")}
    assert len(biases) == CONFIG.layers
    for name, distance in worst.items():
        size = abs(both[-1].theirs[name]).max()
        if name in biases:
            assert distance > 0.01
            assert 0 < size < 1e-6 * SETTINGS.highest
        else:
            assert distance <= 1e-9
            assert size > SETTINGS.highest


def relative(ours, theirs):
    return abs(ours - theirs).max() / abs(theirs).max()


def test_the_rate_rises_and_falls(both):
    rates = [step.rate for step in both]
    assert rates[0] == SETTINGS.highest / 2
    assert rates[1] == max(rates) == pytest.approx(SETTINGS.highest)
    assert rates[-1] == min(rates) == pytest.approx(SETTINGS.lowest)


def test_a_step_changes_nothing_that_it_was_given():
    state, generator = beginning()
    before = {n: a.copy() for n, a in state_dict(state.params).items()}
    batch = draw_batch(IDS, generator, CONFIG, SETTINGS)
    after, _ = training_step(state, batch, CONFIG, SETTINGS)
    assert (state.step, after.step) == (0, 1)
    for name, array in state_dict(state.params).items():
        np.testing.assert_array_equal(array, before[name])
        assert not state.moments.mean[name].any()
        assert (state_dict(after.params)[name] != array).any()


def test_in_float32_everything_stays_float32():
    state, generator = beginning(dtype="float32")
    batch = draw_batch(IDS, generator, CONFIG, SETTINGS)
    after, _ = training_step(state, batch, CONFIG, SETTINGS)
    arrays = state_dict(after.params) | after.moments.mean
    assert {array.dtype.name for array in arrays.values()} == {"float32"}


def test_a_batch_is_windows_and_choices_at_the_rate():
    settings = replace(SETTINGS, dropout=0.25)
    generator = np.random.default_rng(0)
    batch = draw_batch(IDS, generator, CONFIG, settings)
    text = IDS.tobytes()
    for inputs, targets in zip(batch.ids, batch.targets, strict=True):
        assert np.array_equal(inputs[1:], targets[:-1])
        assert np.append(inputs, targets[-1]).tobytes() in text
    for mask in masks_of(batch):
        # The share of a fair draw is this near but once in a million.
        assert abs(mask.mean() - 0.75) < 5 * np.sqrt(0.19 / mask.size)


def masks_of(batch) -> list:
    """All dropout masks of a batch: one, and three of each block."""
    embedded, blocks = batch.dropout_masks
    masks = [embedded, *(mask for block in blocks for mask in block)]
    assert len(masks) == 1 + 3 * CONFIG.layers
    return masks


def test_the_last_window_of_a_text_is_drawn_too():
    settings = replace(SETTINGS, batch_size=1000, dropout=0.0)
    batch = draw_batch(IDS, np.random.default_rng(0), CONFIG, settings)
    ends = {tuple(row) for row in batch.targets[:, -3:]}
    assert tuple(IDS[-3:]) in ends


def test_without_dropout_no_choice_is_drawn():
    settings = replace(SETTINGS, dropout=0.0)
    batch = draw_batch(IDS, np.random.default_rng(0), CONFIG, settings)
    assert all(mask.all() for mask in masks_of(batch))
    assert {mask.size for mask in masks_of(batch)} == {1}


def test_a_text_shorter_than_a_window_is_refused():
    with pytest.raises(
        ValueError, match="window of 16 to be at least 17, got 16"
    ):
        draw_batch(IDS[:16], np.random.default_rng(0), CONFIG, SETTINGS)


def test_a_loss_on_no_target_is_refused():
    state, generator = beginning()
    batch = draw_batch(IDS, generator, CONFIG, SETTINGS)
    nothing = batch._replace(targets=np.full_like(batch.targets, IGNORED))
    with pytest.raises(ValueError, match="targets that count"):
        training_step(state, nothing, CONFIG, SETTINGS)


@pytest.mark.parametrize("rate", [30.0, 1e20])
def test_a_rate_that_makes_it_diverge_is_said_with_the_step(rate):
    state, generator = beginning(dtype="float32")
    wild = replace(SETTINGS, highest=rate, warm_up=0, steps=50)
    steps = train(state, IDS, generator, CONFIG, wild)
    with pytest.raises(ValueError, match=r"at step 1?\d, .*diverged"):
        list(steps)


def test_a_small_model_learns_what_repeats():
    config = config_of(vocabulary=7, layers=1)
    state, generator = beginning(config)
    settings = replace(SETTINGS, steps=40, dropout=0.0, highest=0.02)
    again = np.tile(np.array([0, 3, 1, 4, 2]), 20)
    *_, (_, metrics) = train(state, again, generator, config, settings)
    assert metrics.step == 40
    assert metrics.loss < 0.3 < log(5)


def test_the_first_weights_are_as_gpt2_begins():
    config = config_of(layers=8, d_model=64, d_ff=256)
    params = initial_gpt2(config, np.random.default_rng(0))
    for name, array in state_dict(params).items():
        if array.ndim == 2:
            added = ".output." in name
            expected = 0.02 / 4 if added else 0.02
            # Of n numbers the deviation strays by about 1 / sqrt(2 n).
            room = 5 / np.sqrt(2 * array.size)
            assert abs(array.std() / expected - 1) < room
        else:
            norm = name.endswith("norm.weight")
            assert (array == (1 if norm else 0)).all()
