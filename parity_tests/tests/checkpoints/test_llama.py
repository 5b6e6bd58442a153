"""Llama's checkpoints: out and back, and each way one can be wrong."""

import re

import gguf
import numpy as np
import pytest
import torch
import transformers

from numpy_ref.checkpoints.llama import (
    GGUF_NAMES,
    TABLE,
    llama_file,
    load_llama,
    names_in,
    prefix_of,
)
from numpy_ref.checkpoints.llama_config import (
    MISSING_PARTS,
    llama_parameter_count,
    read_llama_config,
)
from numpy_ref.checkpoints.names import (
    for_blocks,
    to_ours,
    to_theirs,
    transposed_heads,
)
from numpy_ref.checkpoints.tensors import write
from numpy_ref.parameters import state_dict
from numpy_ref.variants.rotary import neighbours_to_halves
from parity_tests.oracles.llama import random_oracle
from parity_tests.tests.steps.test_llama import TIED, UNTIED, write_llama

from .test_bert import changed, configured
from .test_tensors import expect_same_bytes, read

ONE_LAYER = {"num_hidden_layers": 1}
KINDS = [("Llama", TIED), ("Llama", UNTIED), ("Qwen2", UNTIED)]


@pytest.fixture
def folder(tmp_path):
    random_oracle(tmp_path, **ONE_LAYER)
    return tmp_path


@pytest.mark.parametrize(("kind", "tied"), KINDS)
def test_a_checkpoint_goes_out_and_back_byte_for_byte(tmp_path, kind, tied):
    (tmp_path / "back").mkdir()
    random_oracle(tmp_path, kind, **tied)
    theirs = read(tmp_path)
    names = names_in(read_llama_config(tmp_path), prefix_of(theirs))
    back = to_theirs(names, to_ours(names, theirs))
    write(tmp_path / "back" / "model.safetensors", back)
    expect_same_bytes(read(tmp_path / "back"), theirs)


def test_so_do_the_weights_of_a_gguf(tmp_path):
    oracle = random_oracle(tmp_path)
    path = write_llama(tmp_path / "model.gguf", oracle)
    theirs = {
        tensor.name: np.array(tensor.data)
        for tensor in gguf.GGUFReader(path).tensors
    }
    names = for_blocks(GGUF_NAMES, 3)
    arrays = to_ours(names, theirs, d_head=8)
    expect_same_bytes(to_theirs(names, arrays, d_head=8), theirs)
    key = "decoder.blocks.1.attention_sublayer.attention.key.weight"
    assert not np.array_equal(arrays[key], theirs["blk.1.attn_k.weight"])


def test_rows_are_moved_as_rope_needs_it():
    rows = np.random.default_rng(0).normal(size=(3 * 8, 5))
    moved = transposed_heads(rows, 4, 2)
    heads = rows.reshape(3, 8, 5).swapaxes(-1, -2)
    expected = neighbours_to_halves(heads).swapaxes(-1, -2)
    np.testing.assert_array_equal(moved, expected.reshape(24, 5))


def test_a_tied_output_layer_is_the_very_embedding(tmp_path):
    oracle = random_oracle(tmp_path, **TIED)
    path = write_llama(tmp_path / "model.gguf", oracle)
    for source in (tmp_path, path):
        checkpoint = load_llama(source)
        assert checkpoint.config.tied
        model = checkpoint.model
        assert model.output.weight is model.embedding.weight


def test_one_that_is_not_tied_has_its_own(folder):
    checkpoint = load_llama(folder)
    assert not checkpoint.config.tied
    own = read(folder)["lm_head.weight"]
    np.testing.assert_array_equal(checkpoint.model.output.weight, own)


def test_one_that_is_tied_may_be_stored_twice_if_it_is_the_same(tmp_path):
    random_oracle(tmp_path, **TIED)

    def twice(tensors):
        tensors["lm_head.weight"] = tensors[f"model.{TABLE}"].copy()

    assert load_llama(changed(tmp_path, twice)).ignored == (
        "lm_head.weight",
    )

    def otherwise(tensors):
        tensors["lm_head.weight"] = tensors["lm_head.weight"] + 1

    message = rf"lm_head\.weight to equal model\.{TABLE}, which it is tied"
    with pytest.raises(ValueError, match=message):
        load_llama(changed(tmp_path, otherwise))


def test_in_several_files_it_is_the_same(tmp_path):
    oracle = random_oracle(tmp_path / "one")
    oracle.float().save_pretrained(tmp_path / "many", max_shard_size="9KB")
    assert len([*(tmp_path / "many").glob("*.safetensors")]) > 3
    arrays = state_dict(load_llama(tmp_path / "one").model)
    others = state_dict(load_llama(tmp_path / "many").model)
    expect_same_bytes(others, arrays)


def test_a_model_without_its_head_is_read_where_it_is_tied(tmp_path):
    for kind in (TIED, UNTIED):
        oracle = random_oracle(tmp_path / "whole", **kind)
        oracle.float().model.save_pretrained(tmp_path / "base")
        if kind is TIED:
            whole, base = (
                state_dict(load_llama(tmp_path / name).model)
                for name in ("whole", "base")
            )
            expect_same_bytes(base, whole)
    message = r"a tensor named lm_head\.weight, got none"
    with pytest.raises(ValueError, match=message):
        load_llama(tmp_path / "base")


@pytest.mark.parametrize("stored", ["float16", "float32", "float64"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_array_comes_in_the_dtype_that_was_asked_for(
    folder, stored, dtype
):
    def convert(tensors):
        tensors |= {n: t.astype(stored) for n, t in tensors.items()}

    model = load_llama(changed(folder, convert), dtype).model
    assert {a.dtype.name for a in state_dict(model).values()} == {dtype}
    np.testing.assert_array_equal(
        model.norm.weight, read(folder)["model.norm.weight"].astype(dtype)
    )


def test_bfloat16_is_read_as_the_float32_that_it_is(tmp_path):
    oracle = random_oracle(tmp_path, **ONE_LAYER).to(torch.bfloat16)
    oracle.save_pretrained(tmp_path)
    expected = oracle.model.norm.weight.detach().float().numpy()
    ours = load_llama(tmp_path).model.norm.weight
    np.testing.assert_array_equal(ours, expected)


def test_the_powers_of_the_base_in_old_checkpoints_are_left_out(folder):
    name = "model.layers.0.self_attn.rotary_emb.inv_freq"

    def add(tensors):
        tensors[name] = np.ones(4, "float32")

    assert load_llama(changed(folder, add)).ignored == (name,)


@pytest.mark.parametrize("kind", ["Llama", "Qwen2"])
def test_parameters_are_counted_as_transformers_counts_them(tmp_path, kind):
    for tied in (TIED, UNTIED):
        oracle = random_oracle(tmp_path, kind, **tied)
        config = read_llama_config(tmp_path)
        assert llama_parameter_count(config) == oracle.num_parameters()


# --- tensors -------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Llama", "Qwen2"])
def test_every_tensor_is_needed_in_its_shape(tmp_path, kind):
    random_oracle(tmp_path, kind, **ONE_LAYER)
    whole, path = read(tmp_path), tmp_path / "model.safetensors"
    for name, tensor in whole.items():
        write(path, {n: t for n, t in whole.items() if n != name})
        message = f"a tensor named {re.escape(name)}, got none"
        with pytest.raises(ValueError, match=message):
            load_llama(tmp_path)
        write(path, whole | {name: tensor[:-1]})
        message = f"expected {re.escape(name)} to have the shape"
        with pytest.raises(ValueError, match=message):
            load_llama(tmp_path)


def test_biases_of_a_llama_are_too_many(folder):
    name = "model.layers.0.self_attn.q_proj.bias"

    def add(tensors):
        tensors[name] = np.ones(48, "float32")

    with pytest.raises(ValueError, match=f"also {re.escape(name)}"):
        load_llama(changed(folder, add))


def test_weights_that_are_not_finite_are_named(folder):
    def spoil(tensors):
        tensors["model.norm.weight"][3] = np.nan

    with pytest.raises(ValueError, match=r"first model\.norm\.weight"):
        load_llama(changed(folder, spoil))


def test_ids_for_weights_are_refused(folder):
    def convert(tensors):
        tensors["model.norm.weight"] = np.ones(24, "int64")

    with pytest.raises(
        ValueError, match=r"norm\.weight to be one of .*I64"
    ):
        load_llama(changed(folder, convert))


# --- configurations ------------------------------------------------------

SCALED = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0}
BY_LAYER = {"full_attention": {"rope_theta": 1e4, "rope_type": "default"}}
REFUSED = {
    "hidden_act": ("gelu", "'silu', got 'gelu'"),
    "attention_bias": (True, "False, got True"),
    "mlp_bias": (True, "False, got True"),
    "quantization_config": ({"bits": 4}, r"None, got \{'bits': 4\}"),
    "partial_rotary_factor": (0.5, "1.0, got 0.5"),
    "head_dim": (7, "even, got 7"),
    "num_attention_heads": (0, "a positive int, got 0"),
    "num_key_value_heads": (4, "num_attention_heads 6, got 4"),
    "num_hidden_layers": (2, "1, the number of layers in .*, got 2"),
    "vocab_size": ("31", "a positive int, got '31'"),
    "rms_norm_eps": (0, "a positive float, got 0"),
    "rope_parameters": (SCALED, "'default', got 'llama3'"),
    "layer_types": (["sliding_attention"], "only, got 'sliding_attention'"),
}


@pytest.mark.parametrize("field", REFUSED)
def test_a_field_that_changes_the_arithmetic_is_named(folder, field):
    value, message = REFUSED[field]
    configured(folder, **{field: value})
    expected = rf"^expected (the type of )?{field}\b.*{message}$"
    with pytest.raises(ValueError, match=expected):
        load_llama(folder)


@pytest.mark.parametrize(
    ("rope", "message"),
    [
        ({"type": "linear", "factor": 2.0}, "'default', got 'linear'"),
        ({"rope_type": "yarn"}, "'default', got 'yarn'"),
        (BY_LAYER, "one set of numbers, got"),
        ([1], r"one set of numbers, got \[1\]"),
        ({"partial_rotary_factor": 0.5}, "1.0, got 0.5"),
        ({"rope_theta": -1.0}, "a positive float, got -1.0"),
    ],
)
@pytest.mark.parametrize("field", ["rope_scaling", "rope_parameters"])
def test_angles_that_are_scaled_are_refused(folder, field, rope, message):
    none = {"rope_scaling": None, "rope_parameters": None}
    configured(folder, **none | {field: rope})
    with pytest.raises(ValueError, match=f"expected .*{message}"):
        load_llama(folder)


def test_the_base_is_read_in_its_old_spelling_too(folder):
    given = {"rope_theta": 500.0, "rope_parameters": None}
    for rope, base in (
        (given, 500.0),
        (given | {"rope_scaling": {"type": "default"}}, 500.0),
        ({"rope_theta": None, "rope_parameters": None}, 10_000.0),
        ({"rope_parameters": {"rope_theta": 7}, "rope_theta": 5.0}, 7.0),
    ):
        configured(folder, **rope)
        assert read_llama_config(folder).base == base


def test_windows_are_refused_where_they_are_used(folder):
    configured(folder, model_type="mistral", sliding_window=39)
    message = "sliding_window .* no less than the 40 positions, got 39"
    with pytest.raises(ValueError, match=message):
        load_llama(folder)
    configured(folder, sliding_window="39")
    with pytest.raises(ValueError, match="a positive int, got '39'"):
        load_llama(folder)
    for window in (40, None):
        configured(folder, sliding_window=window)
        load_llama(folder)
    configured(folder, model_type="qwen2", use_sliding_window=True)
    message = "use_sliding_window .* False, got True"
    with pytest.raises(ValueError, match=message):
        load_llama(folder)


@pytest.mark.parametrize("model_type", MISSING_PARTS)
def test_a_relative_with_other_parts_is_refused_with_them(
    folder, model_type
):
    configured(folder, model_type=model_type)
    (folder / "model.safetensors").write_text("no weights, never read")
    known = "'llama', 'mistral', 'qwen2'"
    message = re.escape(
        f"expected model_type in config.json to be one of {known}, got "
        f"{model_type!r}, which needs what is not here: "
        f"{MISSING_PARTS[model_type]}"
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
        load_llama(folder)
    assert model_type in transformers.CONFIG_MAPPING


@pytest.mark.parametrize("model_type", ["gpt2", "", None, 3, ["llama"]])
def test_any_other_model_is_refused_by_its_name(folder, model_type):
    configured(folder, model_type=model_type)
    message = re.escape(f"'llama', 'mistral', 'qwen2', got {model_type!r}")
    with pytest.raises(ValueError, match=message):
        load_llama(folder)


def test_another_dtype_and_a_folder_of_nothing_are_refused(tmp_path):
    with pytest.raises(ValueError, match="or float64, got float16"):
        load_llama(tmp_path, "float16")
    with pytest.raises(ValueError, match=r"named config\.json in"):
        load_llama(tmp_path)


# --- a GGUF --------------------------------------------------------------

GGUF_REFUSED = {
    "vocab_size": (None, "a positive int, got None"),
    "context_length": (0, "a positive int, got 0"),
    "attention.head_count": (5, "divide llama.attention.head_count 5"),
    "attention.head_count_kv": ([2, 2], r"a positive int, got \[2, 2\]"),
    "attention.key_length": (7, "even, got 7"),
    "attention.value_length": (4, "8, got 4"),
    "attention.causal": (False, "True, got False"),
    "attention.sliding_window": (16, "None, got 16"),
    "rope.dimension_count": (4, "8, got 4"),
    "rope.scaling.type": ("yarn", "'none', got 'yarn'"),
    "rope.scale_linear": (2.0, "1.0, got 2.0"),
    "expert_count": (8, "0, got 8"),
    "block_count": (2, "in the GGUF to be 1, .*, got 2"),
}


@pytest.mark.parametrize("field", GGUF_REFUSED)
def test_a_value_that_changes_the_arithmetic_is_named(tmp_path, field):
    value, message = GGUF_REFUSED[field]
    oracle = random_oracle(tmp_path, **ONE_LAYER)
    path = write_llama(tmp_path / "a.gguf", oracle, **{field: value})
    expected = rf"^expected llama\.{field}.*{message}"
    with pytest.raises(ValueError, match=expected):
        load_llama(path)


def test_a_byte_that_is_changed_is_refused_in_one_line_or_harmless(
    tmp_path,
):
    oracle = random_oracle(tmp_path, **ONE_LAYER)
    path = write_llama(tmp_path / "a.gguf", oracle)
    whole, refused = path.read_bytes(), []
    head = gguf.GGUFReader(path).data_offset
    for place in range(0, head, 9):
        path.write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
        try:
            load_llama(path)
        except ValueError as error:
            refused.append(str(error))
    assert all(said.startswith("expected ") for said in refused)
    assert "\n" not in "".join(refused)
    assert len(refused) > head / 9 / 2


def test_a_gguf_of_another_architecture_is_refused(tmp_path):
    oracle = random_oracle(tmp_path, **ONE_LAYER)
    path = write_llama(tmp_path / "a.gguf", oracle, architecture="gemma")
    message = "general.architecture in the GGUF to be 'llama', got 'gemma'"
    with pytest.raises(ValueError, match=message):
        load_llama(path)


def test_a_gguf_with_all_kinds_of_weights_is_read(tmp_path):
    sizes = {"hidden_size": 64, "head_dim": 32, "intermediate_size": 96}
    oracle = random_oracle(
        tmp_path, **sizes, num_attention_heads=2, num_key_value_heads=1
    )
    whole = state_dict(load_llama(tmp_path).model)
    largest = max(abs(array).max() for array in whole.values())
    for kind, off in (("F16", 1e-3), ("BF16", 1e-2), ("Q8_0", 1e-2)):
        path = write_llama(tmp_path / f"{kind}.gguf", oracle, kind=kind)
        for name, array in state_dict(load_llama(path).model).items():
            assert array.dtype == "float32"
            assert abs(array - whole[name]).max() <= off * largest


def test_a_quantisation_that_cannot_be_undone_is_named(tmp_path):
    oracle = random_oracle(tmp_path, **ONE_LAYER)
    writer = gguf.GGUFWriter
    add = writer.add_tensor

    def as_ids(self, name, rows, raw_dtype):
        if name == "blk.0.ffn_up.weight":
            rows, raw_dtype = rows.astype("int32"), None
        add(self, name, rows, raw_dtype=raw_dtype)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "add_tensor", as_ids)
        path = write_llama(tmp_path / "a.gguf", oracle)
    message = "blk.0.ffn_up.weight in a quantisation .*, got I32"
    with pytest.raises(ValueError, match=message):
        llama_file(path)


def test_every_tensor_of_a_gguf_is_needed(tmp_path):
    oracle = random_oracle(tmp_path, **TIED | ONE_LAYER)
    whole = oracle.state_dict()
    for name in whole:
        if name in ("lm_head.weight", "model.embed_tokens.weight"):
            continue
        part = {n: t for n, t in whole.items() if n != name}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(oracle, "state_dict", part.copy)
            path = write_llama(tmp_path / "a.gguf", oracle)
        with pytest.raises(
            ValueError, match=r"a tensor named .*, got none"
        ):
            load_llama(path)
    longer = {
        n: torch.cat([t, t]) if n == "model.norm.weight" else t
        for n, t in whole.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(oracle, "state_dict", longer.copy)
        path = write_llama(tmp_path / "a.gguf", oracle)
    message = r"output_norm.weight to have the shape \(24,\), got \(48,\)"
    with pytest.raises(ValueError, match=message):
        load_llama(path)
