"""Checkpoints of BERT's relatives: out and back, and what is refused."""

import dataclasses
import re

import numpy as np
import pytest
import torch
import transformers

from numpy_ref.checkpoints.bert import blocks_of, load_bert
from numpy_ref.checkpoints.bert_config import read_config
from numpy_ref.checkpoints.gpt2 import load_gpt2
from numpy_ref.checkpoints.relatives import (
    ARCHITECTURES,
    TITLES,
    model_type_of,
    parameter_count,
)
from numpy_ref.checkpoints.tensors import write
from numpy_ref.parameters import state_dict
from parity_tests.tests.conftest import one_in
from parity_tests.tests.steps.test_relatives import RELATIVES, save_relative

from .test_bert import changed, configured, sent_around
from .test_tensors import expect_same_bytes, read

THREE = ("roberta", "distilbert", "albert")
# What a head that is not tied has twice: its decoder has its own.
COMMON_BIAS = {"roberta": {"lm_head.bias"}, "distilbert": set()} | {
    "albert": {"predictions.bias"}
}


def token_table(checkpoint):
    (table,) = (
        array
        for name, array in state_dict(checkpoint.model).items()
        if name.endswith("token.weight")
    )
    return table


@pytest.mark.parametrize("kind", ["Model", "ForMaskedLM"])
@pytest.mark.parametrize("relative", one_in(2, RELATIVES))
def test_a_relative_goes_out_and_back(tmp_path, relative, kind):
    folder = save_relative(tmp_path / "a", relative, kind)
    (tmp_path / "b").mkdir()
    theirs, back = sent_around(folder, tmp_path / "b")
    expect_same_bytes(back, theirs)


@pytest.mark.parametrize("relative", THREE)
def test_so_does_one_whose_head_is_not_tied(tmp_path, relative):
    folder = save_relative(
        tmp_path / "a", relative, "ForMaskedLM", tie_word_embeddings=False
    )
    (tmp_path / "b").mkdir()
    theirs, back = sent_around(folder, tmp_path / "b")
    left_out = theirs.keys() - back.keys()
    assert left_out == COMMON_BIAS[relative]
    expect_same_bytes(
        back, {n: t for n, t in theirs.items() if n not in left_out}
    )
    checkpoint = load_bert(folder)
    assert not np.array_equal(
        checkpoint.head.decoder.weight, token_table(checkpoint)
    )


@pytest.mark.parametrize("relative", THREE)
def test_a_tied_head_of_a_relative_is_the_very_embedding(
    tmp_path, relative
):
    folder = save_relative(tmp_path, relative, "ForMaskedLM")
    checkpoint = load_bert(folder)
    assert checkpoint.head.decoder.weight is token_table(checkpoint)


def test_an_albert_has_one_block_in_memory_for_all_layers(tmp_path):
    checkpoint = load_bert(save_relative(tmp_path, "albert"))
    blocks = blocks_of(checkpoint)
    assert len(blocks) == checkpoint.config.layers == 3
    assert all(block is blocks[0] for block in blocks)
    assert sum("query.weight" in n for n in read(tmp_path)) == 1


def test_a_roberta_loses_the_rows_before_its_first_position(tmp_path):
    folder = save_relative(tmp_path, "roberta, padding 4")
    checkpoint = load_bert(folder)
    stored = read(folder)["embeddings.position_embeddings.weight"]
    ours = checkpoint.model.embedding.position.weight
    assert (len(stored), len(ours)) == (23, 18)
    np.testing.assert_array_equal(ours, stored[5:])


@pytest.mark.parametrize("relative", one_in(3, THREE))
def test_every_tensor_of_a_relative_is_needed_in_its_shape(
    tmp_path, relative
):
    one_layer = {ARCHITECTURES[relative].fields["layers"]: 1}
    folder = save_relative(tmp_path, relative, "ForMaskedLM", **one_layer)
    whole, path = read(folder), folder / "model.safetensors"
    for name, tensor in whole.items():
        write(path, {n: t for n, t in whole.items() if n != name})
        message = f"a tensor named {re.escape(name)}, got none"
        with pytest.raises(ValueError, match=message):
            load_bert(folder)
        write(path, whole | {name: tensor[:-1]})
        message = f"expected {re.escape(name)} to have the shape"
        with pytest.raises(ValueError, match=message):
            load_bert(folder)


@pytest.mark.parametrize("relative", THREE)
def test_what_is_ignored_of_a_relative_is_said(tmp_path, relative):
    folder = save_relative(tmp_path, relative)
    names = [
        name + "weight" * name.endswith(".")
        for name in ARCHITECTURES[relative].ignored
    ]

    def add(tensors):
        tensors |= {name: np.zeros(3, "float32") for name in names}

    assert load_bert(changed(folder, add)).ignored == tuple(sorted(names))


# --- configurations ------------------------------------------------------

OTHER = {
    "roberta": {
        "hidden_act": ("relu", "'gelu', got 'relu'"),
        "position_embedding_type": ("relative_key", "'absolute', got"),
        "is_decoder": (True, "False, got True"),
        "pad_token_id": (22, "an int from 0 to 21, .*, got 22"),
        "layer_norm_eps": (0, "a positive float, got 0"),
    },
    "distilbert": {
        "activation": ("relu", "'gelu', got 'relu'"),
        "dim": ("48", "a positive int, got '48'"),
        "n_layers": (0, "a positive int, got 0"),
    },
    "albert": {
        "hidden_act": ("gelu", "'gelu_new', got 'gelu'"),
        "num_hidden_groups": (2, "1, got 2"),
        "inner_group_num": (2, "1, got 2"),
        "position_embedding_type": ("relative_key", "'absolute', got"),
        "embedding_size": (None, "a positive int, got None"),
    },
}


@pytest.mark.parametrize(
    ("relative", "field"),
    [(relative, field) for relative in OTHER for field in OTHER[relative]],
)
def test_a_field_that_changes_the_arithmetic_is_named(
    tmp_path, relative, field
):
    value, message = OTHER[relative][field]
    folder = configured(save_relative(tmp_path, relative), **{field: value})
    expected = f"expected {field} in config.json to be {message}"
    with pytest.raises(ValueError, match=expected):
        load_bert(folder)


@pytest.mark.parametrize("padding", [None, True, "1", 1.0, -1])
def test_an_id_of_padding_that_is_none_is_refused(tmp_path, padding):
    folder = save_relative(tmp_path, "roberta")
    configured(folder, pad_token_id=padding)
    message = f"pad_token_id in .* an int from 0 to 21, .*, got {padding!r}"
    with pytest.raises(ValueError, match=message):
        load_bert(folder)


def test_heads_that_do_not_divide_are_named_in_their_words(tmp_path):
    folder = configured(save_relative(tmp_path, "distilbert"), n_heads=5)
    with pytest.raises(
        ValueError, match=r"n_heads to divide dim 48, got 5"
    ):
        load_bert(folder)


UNKNOWN = (
    *("deberta", "deberta-v2", "electra", "mpnet", "mamba", "t5", "xlnet"),
    *("BERT", "", None, 3, ["bert"]),
)


@pytest.mark.parametrize("model_type", UNKNOWN)
def test_any_other_model_is_refused_before_its_weights(
    tmp_path, model_type
):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_text("no weights, never read")
    configured(tmp_path, model_type=model_type)
    for read_folder, known in (
        (load_bert, [*ARCHITECTURES]),
        (model_type_of, [*TITLES]),
    ):
        with pytest.raises(ValueError) as error:  # noqa: PT011
            read_folder(tmp_path)
        names = ", ".join(map(repr, sorted(known)))
        assert str(error.value) == (
            f"expected model_type in config.json to be one of {names}, "
            f"got {model_type!r}"
        )
    with pytest.raises(ValueError, match=r"json to be 'gpt2', got"):
        load_gpt2(tmp_path)


def test_every_title_is_known_by_its_model_type(tmp_path):
    for model_type, title in TITLES.items():
        (tmp_path / "config.json").write_text("{}")
        configured(tmp_path, model_type=model_type)
        assert model_type_of(tmp_path) == model_type
        assert title.upper().startswith(model_type[:3].upper())


# --- parameters ----------------------------------------------------------

# The base models: where their sizes are not transformers' defaults, and
# their parameters, with the pooler and without.
BASE = {
    "bert": ({}, 109_482_240, 108_891_648),
    "roberta": (
        {
            "vocab_size": 50265,
            "max_position_embeddings": 514,
            "type_vocab_size": 1,
        },
        *(124_645_632, 124_055_040),
    ),
    "distilbert": ({}, 66_362_880, 66_362_880),
    "albert": (
        {
            "hidden_size": 768,
            "num_attention_heads": 12,
            "intermediate_size": 3072,
        },
        *(11_683_584, 11_092_992),
    ),
}


KINDS = {"bert": "Bert"} | {
    relative: RELATIVES[relative][0] for relative in THREE
}


def base_config(relative: str):
    """The configuration of the base model, with transformers' defaults."""
    return getattr(transformers, f"{KINDS[relative]}Config")(
        **BASE[relative][0]
    )


@pytest.mark.parametrize("relative", BASE)
def test_the_base_models_have_the_parameters_that_are_said(
    tmp_path, relative
):
    base_config(relative).save_pretrained(tmp_path)
    config = read_config(tmp_path)
    _, whole, without_pooler = BASE[relative]
    assert parameter_count(config) == whole
    assert parameter_count(config, pooler=False) == without_pooler


@pytest.mark.slow
@pytest.mark.parametrize("relative", BASE)
def test_transformers_counts_the_same(relative):
    kind = getattr(transformers, f"{KINDS[relative]}Model")
    _, whole, without_pooler = BASE[relative]
    with torch.device("meta"):
        model = kind(base_config(relative))
    pooler = getattr(model, "pooler", None)
    count, of_pooler = (
        sum(parameter.numel() for parameter in part.parameters())
        for part in (model, pooler or torch.nn.Identity())
    )
    assert (count, count - of_pooler) == (whole, without_pooler)


@pytest.mark.parametrize("relative", RELATIVES)
def test_the_count_is_that_of_the_arrays(tmp_path, relative):
    checkpoint = load_bert(save_relative(tmp_path, relative))
    parts = [checkpoint.model]
    parts += [] if checkpoint.pooler is None else [checkpoint.pooler]
    count = sum(
        array.size for part in parts for array in state_dict(part).values()
    )
    config = checkpoint.config
    cut = (config.position_rows - config.positions) * config.d_model
    assert parameter_count(config) == count + cut
    deeper = dataclasses.replace(config, layers=config.layers + 1)
    as_many = parameter_count(deeper) == count + cut
    assert as_many is (relative == "albert")
