"""Checkpoints of any model: out and back, and what is wrong with one."""

import json
import os
import pickle
import platform
import subprocess
import sys

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from numpy_ref.checkpoints.names import (
    Name,
    for_blocks,
    their_shape,
    to_ours,
    to_theirs,
)
from numpy_ref.checkpoints.tensors import (
    check_names,
    check_stored,
    stored_tensors,
    write,
)

SIZES = {"d": 3, "inner": 5}
NAMES = (
    Name("wte.weight", "token.weight", "inner d"),
    Name("h.{}.mlp.weight", "blocks.{}.inner.weight", "inner d", True),
    Name(
        "h.{}.c_attn.weight",
        tuple(f"blocks.{{}}.{part}.weight" for part in "qkv"),
        "d d",
        True,
    ),
    Name(
        "h.{}.c_attn.bias",
        tuple(f"blocks.{{}}.{part}.bias" for part in "qkv"),
        "d",
    ),
)


def random_tensors(dtype: str = "float32") -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        name.theirs: rng.normal(size=their_shape(name, SIZES)).astype(dtype)
        for name in for_blocks(NAMES, 2)
    }


def read(folder) -> dict[str, np.ndarray]:
    return {name: t.read() for name, t in stored_tensors(folder).items()}


def expect_same_bytes(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert (ours[name].dtype, ours[name].shape) == (
            tensor.dtype,
            tensor.shape,
        )
        assert ours[name].tobytes() == tensor.tobytes(), name


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_transposed_and_joined_tensors_go_out_and_back(tmp_path, dtype):
    names, theirs = for_blocks(NAMES, 2), random_tensors(dtype)
    ours = to_ours(names, theirs)
    write(tmp_path / "model.safetensors", to_theirs(names, ours))
    expect_same_bytes(read(tmp_path), theirs)


def test_a_joined_tensor_holds_its_parts_one_after_the_other():
    theirs = random_tensors()
    ours = to_ours(for_blocks(NAMES, 2), theirs)
    # As transformers' GPT-2 has it: x @ c_attn.weight, then split.
    x = np.random.default_rng(1).normal(size=(4, 3)).astype("float32")
    parts = np.split(x @ theirs["h.1.c_attn.weight"], 3, axis=-1)
    for letter, part in zip("qkv", parts, strict=True):
        mine = x @ ours[f"blocks.1.{letter}.weight"].T
        np.testing.assert_array_max_ulp(mine, part, 8)
        assert ours[f"blocks.1.{letter}.bias"].shape == (3,)


def test_what_we_write_pytorch_reads_and_the_other_way(tmp_path):
    theirs = random_tensors()
    write(tmp_path / "model.safetensors", theirs)
    by_torch = load_file(tmp_path / "model.safetensors")
    expect_same_bytes({n: t.numpy() for n, t in by_torch.items()}, theirs)
    save_file(by_torch, tmp_path / "model.safetensors")
    expect_same_bytes(read(tmp_path), theirs)


def test_a_tensor_is_converted_when_it_is_read(tmp_path):
    theirs = random_tensors("float16")
    write(tmp_path / "model.safetensors", theirs)
    for name, tensor in stored_tensors(tmp_path).items():
        assert tensor.dtype == "F16"
        array = tensor.read("float64")
        assert array.dtype == np.float64
        np.testing.assert_array_equal(array, theirs[name])


def test_nothing_is_left_of_a_file_that_could_not_be_written(
    tmp_path, monkeypatch
):
    path = tmp_path / "model.safetensors"
    write(path, random_tensors())
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write(path, random_tensors("float64"))
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_bytes() == before


@pytest.fixture
def shards(tmp_path):
    """Two files and their index, as transformers writes them."""
    tensors = random_tensors()
    places = {}
    for index, half in enumerate((0, 1)):
        file = f"model-0000{index + 1}-of-00002.safetensors"
        own = dict(list(tensors.items())[half::2])
        write(tmp_path / file, own)
        places |= dict.fromkeys(own, file)
    write_index(tmp_path, places)
    return tmp_path, tensors, places


def write_index(folder, places):
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))


def test_a_model_in_several_files_is_read_as_one(shards):
    folder, tensors, _ = shards
    expect_same_bytes(read(folder), tensors)


def test_a_missing_file_of_several_is_named(shards):
    folder, _, places = shards
    file = places["wte.weight"]
    (folder / file).unlink()
    with pytest.raises(ValueError, match=f"got none named {file}"):
        stored_tensors(folder)


def test_a_file_outside_of_the_folder_is_not_read(shards):
    folder, _, places = shards
    inner = folder / "inner"
    inner.mkdir()
    places = {name: f"../{file}" for name, file in places.items()}
    write_index(inner, places)
    with pytest.raises(ValueError, match=r"got none named \.\./model"):
        stored_tensors(inner)


def test_an_index_that_is_wrong_names_the_tensor(shards):
    folder, _, places = shards
    write_index(folder, places | {"more": places["wte.weight"]})
    with pytest.raises(ValueError, match=r"expected more in model-.*none"):
        stored_tensors(folder)
    del places["wte.weight"]
    write_index(folder, places)
    with pytest.raises(ValueError, match=r"expected wte.weight in no file"):
        stored_tensors(folder)


def test_an_index_may_leave_out_the_other_names_of_a_tensor(shards):
    folder, tensors, places = shards
    file = places["wte.weight"]
    own = {name: tensors[name] for name in places if places[name] == file}
    write(folder / file, own, {"lm_head.weight": "wte.weight"})
    expected = tensors | {"lm_head.weight": tensors["wte.weight"]}
    expect_same_bytes(read(folder), expected)
    write_index(folder, places | {"lm_head.weight": file})
    expect_same_bytes(read(folder), expected)


def test_an_index_without_a_map_is_refused(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    for text, message in (
        ("{}", "expected weight_map in .*, got None"),
        ("[]", "to hold an object, got list"),
        ("{", "to be JSON, got"),
    ):
        index.write_text(text)
        with pytest.raises(ValueError, match=message):
            stored_tensors(tmp_path)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_file_that_was_cut_off_is_refused(tmp_path, kept):
    path = tmp_path / "model.safetensors"
    write(path, random_tensors())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match="to be a whole safetensors file"):
        stored_tensors(tmp_path)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was read",))


@pytest.mark.parametrize("file", ["pytorch_model.bin", "a.pt", "b.ckpt"])
def test_a_pickle_is_refused_and_not_read(tmp_path, file):
    (tmp_path / file).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match=f"got {file}: pickles"):
        stored_tensors(tmp_path)


def test_a_pickle_under_the_right_name_is_refused_too(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps([Bomb()] * 9))
    with pytest.raises(ValueError, match="to be a whole safetensors file"):
        stored_tensors(tmp_path)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="got neither"):
        stored_tensors(tmp_path)


def test_a_tensor_of_another_shape_or_dtype_is_named(tmp_path):
    write(
        tmp_path / "model.safetensors",
        {"a.weight": np.ones((2, 3), "int64")},
    )
    (tensor,) = stored_tensors(tmp_path).values()
    shape = r"a\.weight to have the shape \(3, 2\), got \(2, 3\)"
    with pytest.raises(ValueError, match=shape):
        check_stored(tensor, (3, 2))
    dtype = (
        r"expected a\.weight to be one of float16, bfloat16, float32, "
        "float64, got I64"
    )
    with pytest.raises(ValueError, match=dtype):
        check_stored(tensor, (2, 3))


def test_missing_and_unknown_tensors_are_named():
    check_names({"a"}, {"a", "b"}, {"b", "c"})
    with pytest.raises(ValueError, match=r"named a, got none.*and 1 more"):
        check_names({"a", "b", "c"}, {"c"}, set())
    with pytest.raises(ValueError, match=r"got also b$"):
        check_names({"a"}, {"a", "b"}, set())


FAULTS = """
import resource
import numpy as np
from numpy_ref.checkpoints.tensors import keep_freed_memory

def pages_asked_for():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def forward():
    return [np.ones(120_000) for _ in range(10)]

{}
forward()
before = pages_asked_for()
for _ in range(10):
    forward()
print(pages_asked_for() - before)
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc",
    reason="only glibc returns freed memory like this",
)
def test_freed_memory_is_kept_for_the_next_forward():
    for call, most in (("keep_freed_memory()", 1000), ("", 10**9)):
        run = subprocess.run(
            [sys.executable, "-c", FAULTS.format(call)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert int(run.stdout) <= most
    assert int(run.stdout) > 10_000  # which the call has spared
