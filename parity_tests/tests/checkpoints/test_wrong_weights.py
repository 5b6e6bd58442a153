"""Checkpoints made wrong on purpose: each is refused in words that help.

A table of what was done to a folder that is right, and what the message
must say.
"""

import json
import math
import tempfile
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from numpy_ref.checkpoints.bert import load_bert
from numpy_ref.checkpoints.gpt2 import load_gpt2
from numpy_ref.checkpoints.names import Name, check_finite, check_layers

from .test_variations import FILE, random_model

LOADERS = {"bert": load_bert, "gpt2": load_gpt2}
HEAD, TABLE = "lm_head.weight", "transformer.wte.weight"
BIAS = "h.1.ln_2.bias"
QUERY = "bert.encoder.layer.0.attention.self.query.bias"
FIRST, LAST = "model-00001.safetensors", "model-00002.safetensors"


def tensors(change):
    """Change the tensors of the one file, in a dict."""

    def spoil(folder):
        stored = load_file(folder / FILE)
        change(stored)
        save_file(stored, folder / FILE, {"format": "pt"})

    return spoil


def config(**changes):
    """Change fields of the configuration."""

    def spoil(folder):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return spoil


def converted(name, dtype):
    return tensors(
        lambda stored: stored.update({name: stored[name].to(dtype)})
    )


def filled(number, *names):
    def change(stored):
        for name in names:
            stored[name].view(-1)[-1] = number

    return tensors(change)


def renamed(rename):
    def change(stored):
        for name in [*stored]:
            stored[rename(name)] = stored.pop(name)

    return tensors(change)


def too_large_for_float32(stored):
    stored[QUERY] = stored[QUERY].double() * 1e300


def with_another_head(stored):
    stored[HEAD] = stored[TABLE] + 1


def with_a_head_of_its_own(folder):
    tensors(with_another_head)(folder)
    config(tie_word_embeddings=False)(folder)


def in_two_files(change):
    """The same in two files; then change the index and the files."""

    def spoil(folder):
        stored = load_file(folder / FILE)
        (folder / FILE).unlink()
        names = sorted(stored)
        places = dict.fromkeys(names[:9], FIRST)
        places |= dict.fromkeys(names[9:], LAST)
        for file in (FIRST, LAST):
            own = {n: stored[n] for n in names if places[n] == file}
            save_file(own, folder / file)
        change(folder, places)
        index = folder / f"{FILE}.index.json"
        index.write_text(json.dumps({"weight_map": places}))

    return spoil


def one_fewer(folder: Path, places):
    stored = load_file(folder / FIRST)
    del stored[min(stored)]
    save_file(stored, folder / FIRST)


def cut_off(folder):
    whole = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(whole[:-8])


def a_pointer(folder):
    (folder / FILE).write_text("version https://git-lfs.github.com/spec/v1")


def pickled(folder):
    (folder / FILE).unlink()
    torch.save({}, folder / "pytorch_model.bin")


# What was done; the model; what was done to its folder; what must be said.
WRONG = {
    "whole numbers": (
        "bert",
        converted(QUERY, torch.int64),
        f"expected {QUERY} to be one of float16, bfloat16, float32, "
        "float64, got I64",
    ),
    "float8": (
        "gpt2",
        converted(TABLE, torch.float8_e4m3fn),
        f"expected {TABLE} to be one of float16, bfloat16, float32, "
        "float64, got F8_E4M3",
    ),
    "truth values": (
        "gpt2",
        converted(f"transformer.{BIAS}", torch.bool),
        "float64, got BOOL",
    ),
    "NaN in three tensors": (
        "bert",
        filled(
            math.nan,
            QUERY,
            QUERY.replace("query", "value"),
            "cls.predictions.bias",
        ),
        "expected finite numbers in all tensors, got NaN or an infinity "
        f"in 3 of them, the first {QUERY}",
    ),
    "NaN in the values of a joined tensor": (
        "gpt2",
        filled(math.nan, "transformer.h.0.attn.c_attn.weight"),
        "in 1 of them, the first transformer.h.0.attn.c_attn.weight",
    ),
    "an infinity": (
        "gpt2",
        filled(-math.inf, TABLE),
        f"in 1 of them, the first {TABLE}",
    ),
    "too large for float32": (
        "bert",
        tensors(too_large_for_float32),
        f"in 1 of them, the first {QUERY}",
    ),
    "module. before all names but one": (
        "gpt2",
        renamed(lambda n: n if n == TABLE else f"module.{n}"),
        "expected all names to begin with module., as some do, got "
        f"{TABLE}",
    ),
    "_orig_mod. before a part": (
        "bert",
        renamed(lambda n: "_orig_mod." * n.startswith("cls") + n),
        "expected all names to begin with _orig_mod., as some do, got "
        "bert.embeddings.LayerNorm.bias, and 36 more",
    ),
    "two wrappers before some names, one before others": (
        "gpt2",
        renamed(lambda n: "module." + "_orig_mod." * ("h.1" in n) + n),
        "expected all names to begin with module._orig_mod., as some do, "
        "got module.transformer.h.0.",
    ),
    "a wrapper around a part": (
        "bert",
        renamed(lambda n: n.replace("bert.", "bert.module.")),
        "expected a tensor named bert.embeddings.LayerNorm.bias, got none",
    ),
    "transformer. before all names but one": (
        "gpt2",
        renamed(lambda n: n.replace(f"transformer.{BIAS}", BIAS)),
        f"expected a tensor named transformer.{BIAS}, got none",
    ),
    "another head, though it is tied": (
        "gpt2",
        tensors(with_another_head),
        f"expected {HEAD} to equal {TABLE}, which it is tied to",
    ),
    "a head of its own": (
        "gpt2",
        with_a_head_of_its_own,
        "expected tie_word_embeddings in config.json to be True, got False",
    ),
    "neither table nor head": (
        "gpt2",
        tensors(lambda stored: stored.pop(TABLE)),
        f"expected a tensor named {TABLE}, got none",
    ),
    "neither of a head's two biases": (
        "bert",
        tensors(lambda stored: stored.pop("cls.predictions.bias")),
        "expected a tensor named cls.predictions.bias, got none",
    ),
    "a file of the index is missing": (
        "gpt2",
        in_two_files(lambda folder, _: (folder / LAST).unlink()),
        f"got none named {LAST}",
    ),
    "a file with fewer tensors": (
        "gpt2",
        in_two_files(one_fewer),
        f"expected transformer.h.0.attn.c_attn.bias in {FIRST}, as "
        f"{FILE}.index.json says, got it in none",
    ),
    "a tensor that the index does not know": (
        "gpt2",
        in_two_files(lambda _, places: places.pop(TABLE)),
        f"expected {TABLE} in no file",
    ),
    "ten million layers": (
        "gpt2",
        config(n_layer=10**7),
        "expected n_layer in config.json to be 2, the number of layers in "
        "the tensors' names, got 10000000",
    ),
    "a layer more than there is": (
        "bert",
        config(num_hidden_layers=3),
        "expected num_hidden_layers in config.json to be 2, the number of "
        "layers in the tensors' names, got 3",
    ),
    "a layer fewer": ("gpt2", config(n_layer=1), "n_layer in"),
    "a vocabulary of a billion": (
        "gpt2",
        config(vocab_size=10**9),
        f"expected {TABLE} to have the shape (1000000000, 24), "
        "got (31, 24)",
    ),
    "a million positions": (
        "bert",
        config(max_position_embeddings=10**6),
        "to have the shape (1000000, 6), got (7, 6)",
    ),
    "another width": (
        "bert",
        config(hidden_size=3 * 10**9),
        "to have the shape (11, 3000000000), got (11, 6)",
    ),
    "an epsilon that is none": (
        "gpt2",
        config(layer_norm_epsilon=math.nan),
        "expected layer_norm_epsilon in config.json to be a positive "
        "float, got nan",
    ),
    "an endless epsilon": (
        "bert",
        config(layer_norm_eps=math.inf),
        "to be a positive float, got inf",
    ),
    "tensors of another model": (
        "bert",
        renamed(lambda n: n.replace("encoder.layer", "layers")),
        "expected tensors named encoder.layer.0, got none of a layer",
    ),
    "cut off": ("gpt2", cut_off, "to be a whole safetensors file"),
    "a pointer of Git LFS": (
        "bert",
        a_pointer,
        "to be a whole safetensors file",
    ),
    "a pickle": ("gpt2", pickled, "got pytorch_model.bin: pickles"),
}


@cache
def right_files(kind: str) -> dict[str, bytes]:
    """The files of a folder that loads."""
    with tempfile.TemporaryDirectory() as folder:
        random_model(kind).save_pretrained(folder)
        LOADERS[kind](folder)
        return {p.name: p.read_bytes() for p in Path(folder).iterdir()}


@pytest.mark.parametrize("done", WRONG)
def test_what_was_made_wrong_is_said(tmp_path, done):
    kind, spoil, message = WRONG[done]
    for name, content in right_files(kind).items():
        (tmp_path / name).write_bytes(content)
    spoil(tmp_path)
    begin = time.process_time()
    with pytest.raises(ValueError, match=r"expected .*got") as error:
        LOADERS[kind](tmp_path)
    # Milliseconds; ten million layers once took minutes.
    assert time.process_time() - begin < 1
    assert message in str(error.value)


def test_layers_are_counted_from_the_names():
    names = ["a.h.0.x", "a.h.0.y", "a.h.1.x", "a.h.10.x", "a.h.10.y", "z"]
    for layers in (2, 3):  # two are whole, a third has begun
        check_layers("layers", layers, "h.{}", names)
    for layers in (1, 4):
        with pytest.raises(ValueError, match=f"to be 2, .* got {layers}$"):
            check_layers("layers", layers, "h.{}", names)
    with pytest.raises(ValueError, match=r"tensors named h\.0, got none"):
        check_layers("layers", 1, "h.{}", ["z", "h.x", "0.h"])


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_one_number_that_is_not_finite_is_seen(number):
    names = [Name("b", ("b1", "b2"), "d"), Name("a", "a", "d")]
    arrays = {part: np.zeros((3, 2)) for part in ("a", "b1", "b2")}
    check_finite(names, arrays)
    arrays["b2"][2, 1] = number
    with pytest.raises(ValueError, match=r"1 of them, the first b$"):
        check_finite(names, arrays)
