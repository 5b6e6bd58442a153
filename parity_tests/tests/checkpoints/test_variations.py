"""Checkpoints as people have them, beside the model that they came from.

Each is written by transformers, or by safetensors from its weights: in
another dtype, in several files, behind a wrapper, under either name of a
tied tensor. The model that wrote it is the oracle, at every layer and
head, in float64 to 1e-10 of the largest value.
"""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file, save_model
from torch import nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
)

import parity_tests.oracles.bert as bert_oracle
import parity_tests.oracles.gpt2 as gpt2_oracle
from numpy_ref.checkpoints.bert import load_bert
from numpy_ref.checkpoints.gpt2 import load_gpt2
from numpy_ref.gpt2 import gpt2
from parity_tests.tests.conftest import one_in

FILE = "model.safetensors"

# What is tied: the first name of each tensor that is stored once or twice.
FIRST = {
    "bert": {"bert.embeddings.word_embeddings.weight"}
    | {"cls.predictions.bias"},
    "gpt2": {"transformer.wte.weight"},
}


def random_model(kind: str) -> nn.Module:
    """A small model of transformers, no parameter of it 0 or 1."""
    torch.manual_seed(0)
    eager = {"attn_implementation": "eager"}
    if kind == "bert":
        model = BertForMaskedLM(
            BertConfig(
                vocab_size=11,
                hidden_size=6,
                num_hidden_layers=2,
                num_attention_heads=3,
                intermediate_size=5,
                max_position_embeddings=7,
                **eager,
            )
        )
    else:
        sizes = gpt2_oracle.SMALL | {"n_layer": 2, "n_inner": 5}
        ends = {"bos_token_id": 30, "eos_token_id": 30}
        model = GPT2LMHeadModel(GPT2Config(**sizes, **ends, **eager))
    for parameter in model.parameters():
        parameter.data = 0.3 * torch.randn(parameter.shape)
    model.tie_weights()
    return model.eval()


def expect_read_as(folder, kind: str, oracle: nn.Module) -> None:
    """Raise AssertionError unless the folder holds the oracle's model."""
    ids = np.random.default_rng(0).integers(0, 11, (2, 7))
    oracle = oracle.double()
    if kind == "bert":
        batch = bert_oracle.Batch(ids, ids % 2, np.array([7, 4]))
        our_run = bert_oracle.ours(load_bert(folder, "float64"), batch)
        oracle_run = bert_oracle.theirs(oracle, batch)
    else:
        ours = load_gpt2(folder, "float64")
        sizes = ours.config.heads, ours.config.epsilon
        our_run = gpt2_oracle.ours(*gpt2(ids, ours.model, *sizes))
        oracle_run = gpt2_oracle.theirs(oracle, ids)
    assert our_run.keys() == oracle_run.keys()
    for name, value in oracle_run.items():
        assert our_run[name].shape == value.shape, name
        distance = abs(our_run[name] - value).max()
        assert distance <= 1e-10 * abs(value).max(), name


def saved(dtype, **more):
    """As transformers writes it in that dtype."""

    def save(model, folder):
        model.to(dtype).save_pretrained(folder, **more)

    return save


def with_norms_in_float32(model, folder):
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data = parameter.data.bfloat16()
    model.save_pretrained(folder)


def stored(model, folder, rename=lambda name: name, left_out=()):
    """All tensors, tied ones under both names, but for some."""
    model.config.save_pretrained(folder)
    tensors = {
        rename(name): tensor.clone()
        for name, tensor in model.state_dict().items()
        if name not in left_out
    }
    save_file(tensors, folder / FILE)


def behind(prefix):
    return lambda model, folder: stored(
        model, folder, lambda name: prefix + name
    )


def under_the_head_only(model, folder):
    stored(model, folder, left_out=FIRST[model.config.model_type])


def once_as_the_header_says(model, folder):
    model.config.save_pretrained(folder)
    save_model(model, folder / FILE)


def once_and_in_parallel(model, folder):
    model.config.save_pretrained(folder)
    save_model(nn.DataParallel(model), folder / FILE)


def with_a_layer_used_twice(model, folder):
    base = model.base_model
    if model.config.model_type == "gpt2":
        first, second = (block.mlp.c_fc for block in base.h)
    else:
        first, second = (
            block.intermediate.dense for block in base.encoder.layer
        )
    second.weight = first.weight
    once_as_the_header_says(model, folder)


def in_several_files_behind_a_wrapper(model, folder):
    saved(torch.bfloat16, max_shard_size="1KB")(model, folder)
    index = folder / f"{FILE}.index.json"
    places = json.loads(index.read_text())["weight_map"]
    assert len(set(places.values())) > 1
    for file in set(places.values()):
        with safe_open(folder / file, "torch") as opened:
            tensors = {
                f"_orig_mod.{name}": opened.get_tensor(name)
                for name in opened.keys()  # noqa: SIM118
            }
        save_file(tensors, folder / file)
    renamed = {f"_orig_mod.{name}": file for name, file in places.items()}
    index.write_text(json.dumps({"weight_map": renamed}))


def beside_an_older_index(model, folder):
    other = random_model(model.config.model_type)
    for parameter in other.parameters():
        parameter.data.mul_(2)
    other.save_pretrained(folder, max_shard_size="1KB")
    save_file(
        {n: t.clone() for n, t in model.state_dict().items()}, folder / FILE
    )


def without_its_head(model, folder):
    model.base_model.save_pretrained(folder)


VARIATIONS = {
    "float16": saved(torch.float16),
    "bfloat16": saved(torch.bfloat16),
    "float32": saved(torch.float32),
    "float64": saved(torch.float64),
    "bfloat16, norms in float32": with_norms_in_float32,
    "in several files": saved(torch.float32, max_shard_size="1KB"),
    "several files, bfloat16, _orig_mod.": (
        in_several_files_behind_a_wrapper
    ),
    "one file beside an older index": beside_an_older_index,
    "tied, under both names": stored,
    "tied, under the head's name only": under_the_head_only,
    "tied, once, as the header says": once_as_the_header_says,
    "tied, once, module.": once_and_in_parallel,
    "a layer used twice, stored once": with_a_layer_used_twice,
    "module.": behind("module."),
    "_orig_mod.": behind("_orig_mod."),
    "module._orig_mod.": behind("module._orig_mod."),
    "_orig_mod.module.": behind("_orig_mod.module."),
}


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
@pytest.mark.parametrize("variation", one_in(2, VARIATIONS))
def test_a_checkpoint_is_the_model_that_wrote_it(tmp_path, variation, kind):
    model = random_model(kind)
    VARIATIONS[variation](model, tmp_path)
    expect_read_as(tmp_path, kind, model)


def older(name: str) -> str:
    name = name.replace("LayerNorm.weight", "LayerNorm.gamma")
    return name.replace("LayerNorm.bias", "LayerNorm.beta")


def test_the_oldest_names_are_read_in_bfloat16_behind_a_wrapper(tmp_path):
    model = random_model("bert").bfloat16()
    stored(model, tmp_path, lambda name: f"module.{older(name)}")
    expect_read_as(tmp_path, "bert", model)


def test_a_model_may_be_stored_without_its_head(tmp_path):
    model = random_model("bert")
    stored(model.base_model, tmp_path, lambda name: f"module.{name}")
    checkpoint = load_bert(tmp_path)
    assert checkpoint.head is None
    expect_read_as(tmp_path, "bert", model.base_model)
    gpt2_model = random_model("gpt2")
    gpt2_model.base_model.save_pretrained(tmp_path)
    expect_read_as(tmp_path, "gpt2", gpt2_model)


def test_the_judge_of_this_file_sees_one_number_that_differs(tmp_path):
    model = random_model("gpt2")
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        model.transformer.h[1].attn.c_attn.bias[0] += 1e-6
    with pytest.raises(AssertionError, match="logits"):
        expect_read_as(tmp_path, "gpt2", model)


def test_what_is_read_under_its_other_name_is_not_left_out(tmp_path):
    for save in (under_the_head_only, once_as_the_header_says):
        save(random_model("gpt2"), tmp_path)
        assert load_gpt2(tmp_path).ignored == ()
        save(random_model("bert"), tmp_path)
        assert load_bert(tmp_path).ignored == ()


@pytest.mark.slow
def test_what_pytorch_compiles_has_the_prefix_that_is_known(tmp_path):
    model = random_model("gpt2")
    model.config.save_pretrained(tmp_path)
    save_model(torch.compile(model), tmp_path / FILE)
    with safe_open(tmp_path / FILE, "torch") as file:
        assert "_orig_mod.lm_head.weight" in file.keys()  # noqa: SIM118
    expect_read_as(tmp_path, "gpt2", model)
