import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from numpy_ref.checkpoints.gpt2 import load_gpt2
from numpy_ref.gpt2 import gpt2
from numpy_ref.key_value_cache import KeyValueCache, cached_gpt2
from parity_tests.oracles.gpt2 import oracle_and_ours, random_ids

POSITIONS = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("gpt2")


@pytest.fixture(scope="module")
def oracle_and_model(folder):
    return oracle_and_ours(folder, n_layer=3)


def steps(checkpoint, ids, parts):
    """What each step finds, and how much of the text it has then seen."""
    heads, epsilon = checkpoint.config.heads, checkpoint.config.epsilon
    cache = KeyValueCache.of_gpt2(checkpoint.model, heads, len(ids))
    for new in np.split(ids, np.cumsum(parts)[:-1]):
        layers, logits = cached_gpt2(
            new, *cache.past, checkpoint.model, heads, epsilon
        )
        cache.extend(layers)
        yield cache, layers, logits


def whole(checkpoint, ids):
    config = checkpoint.config
    return gpt2(ids, checkpoint.model, config.heads, config.epsilon)


def expect_near(ours, expected):
    assert ours.shape == expected.shape
    assert abs(ours - expected).max() <= 1e-10 * abs(expected).max()


PARTS = st.lists(st.integers(1, 6), min_size=1, max_size=12).filter(
    lambda parts: sum(parts) <= POSITIONS
)


@given(parts=PARTS, seed=st.integers(0, 99))
def test_with_the_cache_equals_without_at_every_step(
    oracle_and_model, parts, seed
):
    _, checkpoint = oracle_and_model
    ids = random_ids(sum(parts), seed=seed)
    _, expected, all_logits = whole(checkpoint, ids)
    end = 0
    for part, (cache, layers, logits) in zip(
        parts, steps(checkpoint, ids, parts), strict=True
    ):
        begin, end = end, end + part
        expect_near(logits, all_logits[end - 1])
        for index, layer in enumerate(layers):
            full, new = expected[index], np.s_[..., begin:end, :]
            expect_near(layer.query, full.query[new])
            expect_near(layer.hidden, full.hidden[new])
            expect_near(layer.weights, full.weights[new][..., :end])
            kept = np.s_[..., :end, :]
            expect_near(cache.past[0][index], full.key[kept])
            expect_near(cache.past[1][index], full.value[kept])


@given(parts=PARTS)
@settings(max_examples=5)
def test_each_step_is_that_of_transformers_with_its_cache(
    oracle_and_model, parts
):
    oracle, checkpoint = oracle_and_model
    ids, past, end = random_ids(sum(parts)), None, 0
    for part, (_, _, logits) in zip(
        parts, steps(checkpoint, ids, parts), strict=True
    ):
        new = torch.from_numpy(ids[None, end : end + part])
        with torch.no_grad():
            output = oracle(new, past_key_values=past, use_cache=True)
        past, end = output.past_key_values, end + part
        expect_near(logits, output.logits[0, -1].numpy())


def test_in_float32_each_step_strays_no_further_than_pytorch(
    oracle_and_model, folder
):
    _, exact = oracle_and_model
    single = load_gpt2(folder)
    ids = random_ids(POSITIONS)
    logits = whole(exact, ids)[-1]
    oracle = torch_logits(folder, ids)
    distance = abs(oracle - logits).max()
    for place, (*_, new_logits) in enumerate(
        steps(single, ids, [1] * len(ids))
    ):
        assert new_logits.dtype == np.float32
        assert 0 < abs(new_logits - logits[place]).max() <= 4 * distance


def torch_logits(folder, ids):
    from transformers import GPT2LMHeadModel

    oracle = GPT2LMHeadModel.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32
    ).eval()
    with torch.no_grad():
        return oracle(torch.from_numpy(ids[None])).logits[0].numpy()


def test_the_cache_is_made_once_and_never_copied(oracle_and_model):
    _, checkpoint = oracle_and_model
    places = set()
    for cache, _, _ in steps(checkpoint, random_ids(9), [4, 1, 1, 3]):
        key, value = cache.past
        assert np.shares_memory(key, cache.keys)
        assert np.shares_memory(value, cache.values)
        places.add((cache.keys.ctypes.data, cache.values.ctypes.data))
    assert len(places) == 1
    assert cache.length == 9


def test_several_texts_can_go_on_at_once(oracle_and_model):
    _, checkpoint = oracle_and_model
    ids = random_ids(2, 7)
    config = checkpoint.config
    _, layers, logits = whole(checkpoint, ids)
    past_key, past_value = (
        np.stack([getattr(layer, name)[..., :5, :] for layer in layers])
        for name in ("key", "value")
    )
    _, new_logits = cached_gpt2(
        ids[:, 5:],
        past_key,
        past_value,
        checkpoint.model,
        config.heads,
        config.epsilon,
    )
    expect_near(new_logits, logits[:, -1])
