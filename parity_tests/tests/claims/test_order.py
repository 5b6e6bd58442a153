"""Claims about causality, order, bytes and counts, tested.

`leak` is held against autograd as well, through the twin.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from numpy_ref import attention, self_attention
from numpy_ref.checkpoints.gpt2_config import parameter_count
from numpy_ref.parameters import state_dict
from numpy_ref.training.initial_weights import initial_gpt2
from parity_tests.claims.order import (
    KEEP_ALL,
    SIZES,
    gpt2_config,
    gpt2_vocabulary,
    honest_counts,
    influence,
    leak,
    order,
    random_head,
    random_text,
    round_trips,
    triangular_weights,
)
from parity_tests.exact import exact_steps
from parity_tests.tests.conftest import expect_holds
from parity_tests.twins.comparing import within
from torch_impl.self_attention import CausalAttention

POSITIONS, D_MODEL = 7, 5


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("since", [1, 3, 6])
def test_nothing_comes_through_from_the_future(since):
    leaked = leak(generator(), POSITIONS, D_MODEL, since)
    assert (leaked.earlier, leaked.later_gradient) == (0, 0)
    assert leaked.later > 0.1
    assert leaked.earlier_gradient > 0.1


def test_without_the_mask_it_does():
    leaked = leak(generator(), POSITIONS, D_MODEL, 4, masked=False)
    assert leaked.earlier > 0.1
    assert leaked.later_gradient > 0.1


def test_a_token_moves_its_own_output_and_later_ones_only():
    moved = influence(generator(), POSITIONS, D_MODEL)
    future = np.triu(np.ones((POSITIONS, POSITIONS), dtype=bool), 1)
    assert not moved[future].any()
    assert (moved[~future] > 1e-3).all()
    unmasked = influence(generator(), POSITIONS, D_MODEL, masked=False)
    assert (unmasked > 1e-3).all()


@pytest.mark.parametrize("since", [1, 3, 6])
def test_autograd_finds_no_way_back_from_the_past_either(since):
    random = generator()
    x, d_context = torch.from_numpy(
        random.normal(size=(2, POSITIONS, D_MODEL))
    )
    twin = CausalAttention(D_MODEL, D_MODEL).to(torch.float64)
    arrays = state_dict(random_head(random, D_MODEL))
    twin.load_state_dict(
        {name: torch.from_numpy(array) for name, array in arrays.items()}
    )
    x.requires_grad_(True)
    keep = torch.ones(1, 1, dtype=torch.bool)
    context = twin(x, keep, 0.0)
    context[:since].backward(d_context[:since])
    assert not x.grad[since:].any()
    assert x.grad[:since].any(dim=-1).all()


def test_an_upper_triangle_of_minus_infinities_is_the_same_mask():
    scores = 3 * generator().normal(size=(2, POSITIONS, POSITIONS))
    theirs, ours = triangular_weights(scores)
    mask = np.tril(np.ones((POSITIONS, POSITIONS), dtype=bool))
    arguments = {"scores": scores, "mask": mask}
    exact = exact_steps("masked_softmax", arguments)["weights"]
    expect_holds(
        "NumPy and an added upper triangle, float64",
        within("masked_softmax[0]/weights", ours, theirs, 2 * exact.error),
    )
    assert not ours[:, ~mask].any()
    assert not theirs[:, ~mask].any()


def rounding(step: str, **more) -> float:
    """How far rounding may move an output of the first layer of `order`."""
    random = generator()
    x = random.normal(size=(POSITIONS, D_MODEL))
    params = random_head(random, D_MODEL)
    exact = exact_steps(step, {"x": x} | more, params)["context"]
    return 2 * exact.error.max()


def test_without_positions_unmasked_attention_cannot_tell_the_order():
    moved = order(generator(), POSITIONS, D_MODEL)
    assert moved.unmasked <= rounding("self_attention") < 1e-12


def test_one_causal_layer_cannot_at_its_last_output():
    moved = order(generator(), POSITIONS, D_MODEL)
    bound = rounding("causal_attention", dropout_mask=KEEP_ALL, rate=0.0)
    assert moved.one_layer <= bound < 1e-12


def test_two_causal_layers_can():
    moved = order(generator(), POSITIONS, D_MODEL)
    assert moved.two_layers > 0.05 * moved.size


def test_a_query_is_indifferent_to_the_order_of_what_it_meets():
    random = generator()
    query, key, value = random.normal(size=(3, POSITIONS, D_MODEL))
    mask = np.ones((1, POSITIONS), dtype=bool)
    arguments = {"query": query, "key": key, "value": value, "mask": mask}
    exact = exact_steps("scaled_dot_product_attention", arguments)
    order = random.permutation(POSITIONS)
    before, after = (
        attention.scaled_dot_product_attention(query, k, v, mask)
        for k, v in ((key, value), (key[order], value[order]))
    )
    path = "scaled_dot_product_attention[0]/context"
    bound = 2 * exact["context"].error
    expect_holds(
        "NumPy and keys in another order, float64",
        within(path, before, after, bound),
    )


def test_attention_is_equivariant_and_not_invariant():
    random = generator()
    x = random.normal(size=(POSITIONS, D_MODEL))
    params = random_head(random, D_MODEL)
    back = x[::-1].copy()
    moved = self_attention.self_attention(back, params)
    stays = self_attention.self_attention(x, params)
    assert abs(moved - stays).max() > 0.1


def test_any_bytes_have_ids_and_come_back():
    trips = round_trips(generator(), count=40, length=40)
    assert trips.byte_strings == 256 + 40
    assert trips.byte_strings_same == trips.byte_strings
    assert trips.texts_same == trips.texts == 40


def test_the_texts_are_from_all_of_unicode():
    text = random_text(generator(), 20_000)
    numbers = np.array([*map(ord, text)])
    assert numbers.max() > 0x100000
    assert 0.4 < (numbers < 128).mean() < 0.6
    assert not ((numbers >= 0xD800) & (numbers < 0xE000)).any()
    text.encode()


def test_gpt2_s_vocabulary_is_bytes_merges_and_one_more():
    vocabulary = gpt2_vocabulary()
    assert vocabulary == (256, 50_000, 1, 50_257)
    assert 256 + 50_000 + 1 == 50_257


COUNTS = {
    "small": 124_439_808,
    "medium": 354_823_168,
    "large": 774_030_080,
    "xl": 1_557_611_200,
}


@pytest.mark.parametrize("size", SIZES)
def test_so_many_parameters_has_a_gpt2(size):
    assert honest_counts(size)["all"] == COUNTS[size]
    (layers, d), vocabulary, positions = SIZES[size], 50_257, 1024
    assert COUNTS[size] == (
        vocabulary * d
        + positions * d
        + layers * (12 * d * d + 13 * d)
        + 2 * d
    )


def test_the_parameters_of_a_small_one_counted_one_by_one():
    config = replace(
        gpt2_config("small", heads=2),
        vocabulary=11,
        positions=7,
        d_model=6,
        d_ff=24,
        layers=3,
    )
    arrays = state_dict(initial_gpt2(config, generator()))
    counted = sum(array.size for array in arrays.values())
    assert parameter_count(config) == counted
    assert parameter_count(replace(config, heads=1)) == counted


def test_117m_is_none_of_the_honest_counts():
    counts = honest_counts("small")
    assert counts == {
        "all": 124_439_808,
        "without query, key and value biases": 124_412_160,
        "with a head of its own": 163_037_184,
        "both": 163_009_536,
        "without biases of linear layers": 124_356_864,
        "without any bias": 124_337_664,
        "without positions": 123_653_376,
        "12 L d² alone": 84_934_656,
    }
    assert min(abs(count - 117_000_000) for count in counts.values()) > 6e6
