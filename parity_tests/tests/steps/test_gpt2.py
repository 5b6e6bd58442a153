"""GPT-2 beside transformers' own, from checkpoints that it writes."""

import json
import re
from dataclasses import replace
from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from numpy_ref.checkpoints.gpt2 import load_gpt2, names_in
from numpy_ref.checkpoints.gpt2_config import Gpt2Config, parameter_count
from numpy_ref.checkpoints.names import to_theirs
from numpy_ref.embeddings import TokenEmbedding
from numpy_ref.gpt2 import gpt2
from numpy_ref.key_value_cache import KeyValueCache
from numpy_ref.parameters import state_dict
from parity_tests.oracles.gpt2 import (
    oracle_and_ours,
    random_ids,
    random_oracle,
)

# Layers, d_model, heads, positions; then the parameters.
SIZES = {
    "small": ((12, 768, 12, 1024), 124_439_808),
    "medium": ((24, 1024, 16, 1024), 354_823_168),
    "large": ((36, 1280, 20, 1024), 774_030_080),
    "XL": ((48, 1600, 25, 1024), 1_557_611_200),
    "GPT-3": ((96, 12_288, 96, 2048), 174_604_259_328),
}

THOROUGH = settings.get_current_profile_name() == "thorough"


def expect_near(ours, theirs):
    """float64, end to end: 1e-10 of the largest value."""
    theirs = theirs.detach().numpy()
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    assert abs(ours - theirs).max() <= 1e-10 * abs(theirs).max()


def run(checkpoint, ids):
    config = checkpoint.config
    return gpt2(ids, checkpoint.model, config.heads, config.epsilon)


@given(
    heads=st.integers(1, 3),
    d_head=st.integers(1, 5),
    layers=st.integers(1, 3),
    inner=st.none() | st.integers(1, 9),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 20)),
    seed=st.integers(0, 99),
)
@settings(max_examples=max(5, settings().max_examples // 5))
def test_everything_in_the_open_is_what_transformers_computes(
    tmp_path_factory, heads, d_head, layers, inner, shape, seed
):
    oracle, ours = oracle_and_ours(
        tmp_path_factory.mktemp("gpt2"),
        seed=seed,
        n_embd=heads * d_head,
        n_head=heads,
        n_layer=layers,
        n_inner=inner,
    )
    ids = random_ids(*shape, seed=seed)
    x, our_layers, logits = run(ours, ids)
    with torch.no_grad():
        output = oracle(
            torch.from_numpy(ids),
            output_hidden_states=True,
            output_attentions=True,
        )
    expect_near(logits, output.logits)
    # The last of theirs has the last norm behind it.
    hidden = [x, *(layer.hidden for layer in our_layers[:-1])]
    for mine, other in zip(hidden, output.hidden_states[:-1], strict=True):
        expect_near(mine, other)
    for index, layer in enumerate(our_layers):
        expect_near(layer.weights, output.attentions[index])
        cached = output.past_key_values.layers[index]
        expect_near(layer.key, cached.keys)
        expect_near(layer.value, cached.values)


def expect_astray_no_further(ours, theirs, exact):
    """float32, by the yardstick of `test_end_to_end.py`."""
    assert ours.dtype == theirs.dtype == np.float32
    distance = abs(theirs - exact).max()
    assert 0 < abs(ours - exact).max() <= 4 * distance


def test_in_float32_we_stray_no_further_than_transformers(tmp_path):
    oracle, ours = oracle_and_ours(tmp_path, "float32", n_layer=4)
    ids = random_ids(3, 17)
    with torch.no_grad():
        theirs = oracle(torch.from_numpy(ids)).logits.numpy()
    exact = run(load_gpt2(tmp_path, "float64"), ids)[-1]
    expect_astray_no_further(run(ours, ids)[-1], theirs, exact)


@pytest.mark.skipif(not THOROUGH, reason="long: the thorough profile's")
def test_at_its_real_size_it_is_transformers_gpt2(tmp_path):
    real = GPT2Config(attn_implementation="eager")
    torch.manual_seed(0)
    oracle = GPT2LMHeadModel(real).eval()
    oracle.save_pretrained(tmp_path)
    ours = load_gpt2(tmp_path)
    sizes = (array.size for array in state_dict(ours.model).values())
    assert sum(sizes) == oracle.num_parameters() == 124_439_808
    ids = np.random.default_rng(0).integers(0, 50257, (1, 100))
    with torch.no_grad():
        theirs = oracle(torch.from_numpy(ids)).logits.numpy()
        exact = oracle.double()(torch.from_numpy(ids)).logits
    expect_astray_no_further(run(ours, ids)[-1], theirs, exact.numpy())
    del ours
    expect_near(run(load_gpt2(tmp_path, "float64"), ids)[-1], exact)


@pytest.mark.parametrize("name", SIZES)
def test_the_parameters_are_as_many_as_is_known(name):
    (layers, d_model, heads, positions), count = SIZES[name]
    config = Gpt2Config(
        50257, positions, d_model, 4 * d_model, layers, heads, 1e-5
    )
    assert parameter_count(config) == count
    with torch.device("meta"):
        oracle = GPT2LMHeadModel(
            GPT2Config(
                n_positions=positions,
                n_embd=d_model,
                n_layer=layers,
                n_head=heads,
            )
        )
    assert oracle.num_parameters() == count


def test_every_parameter_is_counted_and_held_once(tmp_path):
    oracle, ours = oracle_and_ours(tmp_path, n_inner=7)
    arrays = state_dict(ours.model).values()
    count = parameter_count(ours.config)
    assert sum(array.size for array in arrays) == count
    assert oracle.num_parameters() == count
    owners = {id(owner): owner for owner in map(owner_of, arrays)}
    held = sum(owner.nbytes for owner in owners.values())
    assert held == count * np.dtype("float64").itemsize


def owner_of(array):
    """The array whose memory a view shows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def test_the_cache_of_the_small_model_is_as_large_as_is_known(tmp_path):
    model = oracle_and_ours(tmp_path, n_layer=12)[1].model
    wide = TokenEmbedding(np.zeros((1, 768)))
    embedding = replace(model.embedding, token=wide)
    cache = KeyValueCache.of_gpt2(
        replace(model, embedding=embedding), 12, 1024
    )
    assert cache.keys.size + cache.values.size == 18_874_368


def test_the_head_is_the_table_of_the_tokens(tmp_path):
    _, ours = oracle_and_ours(tmp_path)
    ids = random_ids(5)
    table = ours.model.embedding.token.weight
    before = run(ours, ids)[-1]
    unused = np.setdiff1d(np.arange(len(table)), ids)
    table[unused] *= 2
    after = run(ours, ids)[-1]
    # Twice the row, twice the logit; by a power of two, to the last bit.
    np.testing.assert_array_equal(after[:, unused], 2 * before[:, unused])


def test_a_later_token_changes_nothing_before_it(tmp_path):
    _, ours = oracle_and_ours(tmp_path)
    ids = random_ids(2, 9)
    changed = np.where(np.arange(9) < 5, ids, (ids + 1) % 30)
    before, after = run(ours, ids)[-1], run(ours, changed)[-1]
    np.testing.assert_array_equal(before[:, :5], after[:, :5])
    assert (before[:, 5:] != after[:, 5:]).all()


def test_a_text_longer_than_the_positions_is_refused(tmp_path):
    _, ours = oracle_and_ours(tmp_path)
    run(ours, random_ids(20))
    message = "expected positions from 0 to 19, got 20"
    with pytest.raises(ValueError, match=message):
        run(ours, random_ids(21))


def test_a_checkpoint_goes_out_and_back_byte_for_byte(tmp_path):
    _, ours = oracle_and_ours(tmp_path, "float32", n_inner=7)
    theirs = load_file(tmp_path / "model.safetensors")
    names = names_in(ours.config, "transformer.")
    back = to_theirs(names, state_dict(ours.model))
    assert back.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert back[name].shape == tensor.shape
        assert back[name].tobytes() == tensor.tobytes(), name


def rewrite(folder, change):
    """Change the tensors of a checkpoint."""
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path)


def test_a_model_without_its_head_is_read_too(tmp_path):
    oracle, expected = oracle_and_ours(tmp_path)
    oracle.transformer.save_pretrained(tmp_path)
    ours = load_gpt2(tmp_path, "float64")
    ids = random_ids(4)
    np.testing.assert_array_equal(
        run(ours, ids)[-1], run(expected, ids)[-1]
    )


def test_what_old_checkpoints_hold_besides_is_left_out(tmp_path):
    random_oracle(tmp_path)
    besides = {
        "transformer.h.1.attn.bias": np.ones((1, 1, 20, 20), "float32"),
        "transformer.h.0.attn.masked_bias": np.array(-1e4, "float32"),
    }
    rewrite(
        tmp_path,
        lambda tensors: (
            tensors
            | besides
            | {"lm_head.weight": tensors["transformer.wte.weight"]}
        ),
    )
    ours = load_gpt2(tmp_path)
    assert ours.ignored == tuple(sorted({*besides, "lm_head.weight"}))


WRONG_FIELDS = {
    "model_type": "bert",
    "activation_function": "gelu",
    "scale_attn_weights": False,
    "scale_attn_by_inverse_layer_idx": True,
    "reorder_and_upcast_attn": True,
    "add_cross_attention": True,
    "tie_word_embeddings": False,
    "n_layer": 0,
    "n_embd": "many",
    "n_inner": -1,
    "n_head": 5,
    "vocab_size": None,
    "n_positions": 2.5,
    "layer_norm_epsilon": 0,
}


@pytest.mark.parametrize("field", WRONG_FIELDS)
def test_a_field_that_changes_the_model_is_named(tmp_path, field):
    random_oracle(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text()) | {field: WRONG_FIELDS[field]}
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match=f"expected {field} .*got"):
        load_gpt2(tmp_path)


WRONG_TENSORS = {
    "expected a tensor named transformer.h.1.ln_2.bias, got none": (
        lambda t: t.pop("transformer.h.1.ln_2.bias")
    ),
    "got also transformer.h.2.ln_1.bias": (
        lambda t: t.update({"transformer.h.2.ln_1.bias": t_of(24)})
    ),
    "h.0.attn.c_attn.weight to have the shape (24, 72), got (72, 24)": (
        lambda t: t.update(
            {"transformer.h.0.attn.c_attn.weight": t_of(72, 24)}
        )
    ),
    "expected transformer.wpe.weight to have the shape (20, 24)": (
        lambda t: t.update({"transformer.wpe.weight": t_of(19, 24)})
    ),
    "expected transformer.ln_f.bias to be one of float16": (
        lambda t: t.update({"transformer.ln_f.bias": np.ones(24, "int64")})
    ),
    "expected lm_head.weight to equal transformer.wte.weight": (
        lambda t: t.update({"lm_head.weight": t_of(31, 24)})
    ),
}


def t_of(*shape):
    return np.arange(prod(shape), dtype="float32").reshape(shape)


@pytest.mark.parametrize("message", WRONG_TENSORS)
def test_a_tensor_that_does_not_fit_is_named(tmp_path, message):
    random_oracle(tmp_path)

    def change(tensors):
        WRONG_TENSORS[message](tensors)
        return tensors

    rewrite(tmp_path, change)
    with pytest.raises(ValueError, match=re.escape(message)):
        load_gpt2(tmp_path)


def test_a_pickle_is_refused(tmp_path):
    random_oracle(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="pickles"):
        load_gpt2(tmp_path)


def test_half_precision_is_read_and_not_computed_in(tmp_path):
    oracle = random_oracle(tmp_path)
    oracle.half().save_pretrained(tmp_path)
    assert run(load_gpt2(tmp_path), random_ids(3))[-1].dtype == np.float32
    with pytest.raises(
        ValueError, match="expected float32 or float64, got"
    ):
        load_gpt2(tmp_path, "float16")
