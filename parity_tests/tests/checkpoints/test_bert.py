"""BERT's checkpoints: out and back, and each way one can be wrong."""

import json

import numpy as np
import pytest
import torch
import transformers

from numpy_ref.checkpoints.bert import load_bert
from numpy_ref.checkpoints.bert_config import read_config
from numpy_ref.checkpoints.bert_names import IGNORED, NAMES, names_in
from numpy_ref.checkpoints.model_folders import find_model
from numpy_ref.checkpoints.names import to_ours, to_theirs
from numpy_ref.checkpoints.tensors import stored_tensors, write
from numpy_ref.parameters import state_dict

from .test_tensors import expect_same_bytes, read

CONFIG = transformers.BertConfig(
    vocab_size=11,
    hidden_size=6,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=5,
    max_position_embeddings=7,
)


def saved(folder, kind="BertForPreTraining", **changes):
    """A folder as transformers writes it."""
    torch.manual_seed(0)
    config = transformers.BertConfig(**CONFIG.to_dict() | changes)
    getattr(transformers, kind)(config).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(tmp_path):
    return saved(tmp_path)


def changed(folder, change):
    """The folder after its tensors were changed."""
    tensors = read(folder)
    change(tensors)
    write(folder / "model.safetensors", tensors)
    return folder


def configured(folder, **changes):
    """The folder after fields of its configuration were changed."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def sent_around(folder, to):
    """The tensors under our names, back under theirs, and on disk."""
    theirs = read(folder)
    names = names_in(theirs, read_config(folder))
    back = to_theirs(names, to_ours(names, theirs))
    write(to / "model.safetensors", back)
    return theirs, read(to)


@pytest.mark.slow
def test_a_real_checkpoint_goes_out_and_back(tmp_path):
    theirs, back = sent_around(find_model("bert").path, tmp_path)
    left_out = theirs.keys() - back.keys()
    assert left_out == {"embeddings.position_ids"}
    expect_same_bytes(
        back, {n: t for n, t in theirs.items() if n not in left_out}
    )


@pytest.mark.parametrize("tied", [True, False])
def test_a_random_checkpoint_goes_out_and_back(tmp_path, tied):
    whole = saved(tmp_path / "a", tie_word_embeddings=tied)
    (tmp_path / "b").mkdir()
    theirs, back = sent_around(whole, tmp_path / "b")
    left_out = theirs.keys() - back.keys()
    expected = {f"cls.seq_relationship.{x}" for x in ("weight", "bias")}
    assert left_out == expected | (
        set() if tied else {"cls.predictions.bias"}
    )
    expect_same_bytes(
        back, {n: t for n, t in theirs.items() if n not in left_out}
    )


def test_the_packaged_model_is_read_whole():
    checkpoint = load_bert(find_model("bert").path)
    numbers = sum(a.size for a in state_dict(checkpoint.model).values())
    # V d + T d + 2 d + 2 d + L (4 d d + 2 d i + 9 d + i), by hand
    assert numbers == (30522 + 512 + 2 + 2) * 384 + 6 * (
        4 * 384 * 384 + 2 * 384 * 1536 + 9 * 384 + 1536
    )
    assert checkpoint.pooler.dense.weight.shape == (384, 384)
    assert checkpoint.head is None
    assert checkpoint.ignored == ("embeddings.position_ids",)
    assert (checkpoint.config.heads, checkpoint.config.epsilon) == (
        12,
        1e-12,
    )


def test_a_tied_head_decodes_by_the_very_embedding(folder):
    checkpoint = load_bert(folder)
    embedding = checkpoint.model.embedding.token.weight
    assert checkpoint.head.decoder.weight is embedding


def test_a_head_that_is_not_tied_has_its_own(tmp_path):
    checkpoint = load_bert(saved(tmp_path, tie_word_embeddings=False))
    own = read(tmp_path)["cls.predictions.decoder.weight"]
    np.testing.assert_array_equal(checkpoint.head.decoder.weight, own)
    embedding = checkpoint.model.embedding.token.weight
    assert not np.array_equal(embedding, own)


@pytest.mark.parametrize("stored", ["float16", "float32", "float64"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_array_comes_in_the_dtype_that_was_asked_for(
    folder, stored, dtype
):
    def convert(tensors):
        tensors |= {n: t.astype(stored) for n, t in tensors.items()}

    checkpoint = load_bert(changed(folder, convert), dtype)
    for part in (checkpoint.model, checkpoint.pooler, checkpoint.head):
        for array in state_dict(part).values():
            assert array.dtype == dtype
    np.testing.assert_array_equal(
        checkpoint.pooler.dense.weight,
        read(folder)["bert.pooler.dense.weight"].astype(dtype),
    )


def test_another_dtype_is_refused(folder):
    with pytest.raises(ValueError, match="or float64, got float16"):
        load_bert(folder, "float16")


def test_the_oldest_names_of_a_norm_are_known(folder):
    expected = load_bert(folder)

    def older(tensors):
        for name in [n for n in tensors if "LayerNorm" in n]:
            old = name.replace(".weight", ".gamma").replace("bias", "beta")
            tensors[old] = tensors.pop(name)

    checkpoint = load_bert(changed(folder, older))
    expect_same_bytes(
        state_dict(checkpoint.model), state_dict(expected.model)
    )


def test_what_is_ignored_is_listed_with_its_reason(capsys):
    for name, reason in IGNORED.items():
        print(f"{name:28} {reason}")
    assert len(capsys.readouterr().out.splitlines()) == 4


@pytest.mark.parametrize("name", IGNORED)
def test_what_is_ignored_is_said(folder, name):
    name = name + "weight" * name.endswith(".")

    def add(tensors):
        tensors[name] = np.zeros(3, "int64")

    assert name in load_bert(changed(folder, add)).ignored


def test_what_a_tied_head_has_twice_is_ignored(folder):
    twice = {
        "cls.predictions.decoder.weight": "bert.embeddings."
        "word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }

    def add(tensors):
        for again, name in twice.items():
            tensors[again] = tensors[name]

    assert twice.keys() <= {*load_bert(changed(folder, add)).ignored}


@pytest.mark.parametrize("last", ["weight", "bias"])
def test_a_tied_head_with_other_numbers_is_refused(folder, last):
    again = f"cls.predictions.decoder.{last}"

    def add(tensors):
        shape = (11, 6) if last == "weight" else 11
        tensors[again] = np.ones(shape, "float32")

    with pytest.raises(ValueError, match=f"expected {again} to equal"):
        load_bert(changed(folder, add))


@pytest.mark.parametrize("row", NAMES, ids=lambda row: row.theirs)
def test_any_tensor_that_is_missing_is_named(folder, row):
    prefix = "" if row.theirs.startswith("cls.") else "bert."
    name = prefix + row.theirs.format(1)
    configured(folder, tie_word_embeddings=False)

    def complete(tensors):
        table = tensors["bert.embeddings.word_embeddings.weight"]
        tensors["cls.predictions.decoder.weight"] = table

    def remove(tensors):
        complete(tensors)
        del tensors[name]

    with pytest.raises(ValueError, match=f"a tensor named {name}, got no"):
        load_bert(changed(folder, remove))


@pytest.mark.parametrize("row", NAMES, ids=lambda row: row.theirs)
def test_any_tensor_of_another_shape_is_named(folder, row):
    prefix = "" if row.theirs.startswith("cls.") else "bert."
    name = prefix + row.theirs.format(1)
    configured(folder, tie_word_embeddings=False)

    def cut(tensors):
        table = tensors["bert.embeddings.word_embeddings.weight"]
        tensors["cls.predictions.decoder.weight"] = table
        tensors[name] = tensors[name][:-1]

    with pytest.raises(ValueError) as error:  # noqa: PT011
        load_bert(changed(folder, cut))
    shape = read(folder)[name].shape
    was = (shape[0] + 1, *shape[1:])
    assert str(error.value) == (
        f"expected {name} to have the shape {was}, got {shape}"
    )


@pytest.mark.parametrize(
    "name",
    [
        "bert.encoder.layer.2.output.dense.weight",
        "bert.embeddings.more.weight",
        "embeddings.word_embeddings.weight",
        "cls.predictions.more",
    ],
)
def test_a_tensor_too_many_is_named(folder, name):
    def add(tensors):
        tensors[name] = np.zeros(3, "float32")

    with pytest.raises(ValueError, match=f"got also {name}$"):
        load_bert(changed(folder, add))


def test_a_tensor_that_holds_no_floats_is_named(folder):
    def whole(tensors):
        tensors["bert.pooler.dense.bias"] = np.zeros(6, "int64")

    message = r"bert\.pooler\.dense\.bias to be one of .*, got I64"
    with pytest.raises(ValueError, match=message):
        load_bert(changed(folder, whole))


OTHER = {
    "model_type": ("gpt2", "one of 'albert', 'bert', .*, got 'gpt2'"),
    "hidden_act": ("relu", "'gelu', got 'relu'"),
    "position_embedding_type": ("relative_key", "'absolute', got"),
    "is_decoder": (True, "False, got True"),
    "add_cross_attention": (True, "False, got True"),
    "pruned_heads": ({"0": [1]}, r"\{\}, got \{'0': \[1\]\}"),
    "quantization_config": ({"bits": 4}, "None, got"),
    "vocab_size": ("11", "a positive int, got '11'"),
    "hidden_size": (0, "a positive int, got 0"),
    "num_hidden_layers": (2.5, "a positive int, got 2.5"),
    "max_position_embeddings": (None, "a positive int, got None"),
    "layer_norm_eps": (-1, "a positive float, got -1"),
    "intermediate_size": (10**99, "a positive int, got 1000"),
    "type_vocab_size": (True, "a positive int, got True"),
}


@pytest.mark.parametrize("field", OTHER)
def test_a_field_of_another_architecture_is_named(folder, field):
    value, message = OTHER[field]
    configured(folder, **{field: value})
    expected = f"expected {field} in config.json to be {message}"
    with pytest.raises(ValueError, match=expected):
        load_bert(folder)


def test_heads_that_do_not_divide_are_refused(folder):
    configured(folder, num_attention_heads=4)
    with pytest.raises(ValueError, match="divide hidden_size 6, got 4"):
        load_bert(folder)


def test_fewer_layers_than_there_are_tensors_are_refused(folder):
    configured(folder, num_hidden_layers=1)
    message = "num_hidden_layers in config.json to be 2, .*, got 1"
    with pytest.raises(ValueError, match=message):
        load_bert(folder)


def test_a_folder_without_a_configuration_is_refused(folder):
    (folder / "config.json").unlink()
    with pytest.raises(ValueError, match=r"a file named config\.json in"):
        load_bert(folder)


def test_no_tensor_is_read_before_all_are_known_to_fit(folder):
    tensors = stored_tensors(folder)
    assert all(not isinstance(t, np.ndarray) for t in tensors.values())
