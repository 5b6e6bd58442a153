"""GGUF files; `gguf` is the oracle, as writer and as reader."""

import re
import struct
import sys

import numpy as np
import pytest
from gguf import (
    GGMLQuantizationType,
    GGUFReader,
    GGUFWriter,
    dequantize,
    quantize,
)

from numpy_ref.checkpoints.gguf_files import open_gguf

VALUES = {
    "uint8": 200,
    "int8": -3,
    "uint16": 60_000,
    "int16": -300,
    "uint32": 4_000_000_000,
    "int32": -70_000,
    "uint64": 2**63,
    "int64": -(2**40),
    "float32": 0.1,
    "float64": 0.1,
    "bool": True,
    "string": "Zoë's café ☕",
    "array": ["a", "", "né"],
}
KINDS = ("F32", "F16", "BF16", "Q8_0", "Q4_1", "Q4_0", "Q5_1")


def write_gguf(path, values=(), tensors=(), alignment=None):
    """A file as gguf writes it: tensors by name, with a quantisation."""
    writer = GGUFWriter(path, "llama")
    if alignment is not None:
        writer.add_custom_alignment(alignment)
    for kind, name, value in values:
        getattr(writer, f"add_{kind}")(name, value)
    for name, tensor, kind in tensors:
        quantisation = GGMLQuantizationType[kind]
        writer.add_tensor(
            name, quantize(tensor, quantisation), raw_dtype=quantisation
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def of_all_kinds(path, alignment=None):
    rng = np.random.default_rng(0)
    tensors = [
        (f"t.{kind}", rng.normal(size=(3, 64)).astype("float32"), kind)
        for kind in KINDS
    ]
    tensors.append(("vector", np.arange(5, dtype="float32"), "F32"))
    values = [(kind, f"v.{kind}", VALUES[kind]) for kind in VALUES]
    values += [
        ("array", "v.ints", [1, -2, 3]),
        ("array", "v.floats", [0.5]),
    ]
    return write_gguf(path, values, tensors, alignment)


@pytest.mark.parametrize("alignment", [None, 64, 8])
def test_a_file_is_what_gguf_reads(tmp_path, alignment):
    path = of_all_kinds(tmp_path / "a.gguf", alignment)
    ours, theirs = open_gguf(path), GGUFReader(path)
    assert ours.metadata == {
        name: field.contents()
        for name, field in theirs.fields.items()
        if not name.startswith("GGUF.")
    }
    assert ours.metadata["v.string"] == VALUES["string"]
    assert [*ours.tensors] == [tensor.name for tensor in theirs.tensors]
    for expected in theirs.tensors:
        tensor = ours.tensors[expected.name]
        assert tensor.shape == tuple(expected.shape.tolist()[::-1])
        for dtype in (None, "float32", "float64"):
            array = tensor.read(dtype)
            assert array.dtype == (dtype or "float32")
            np.testing.assert_array_equal(
                array, dequantize(expected.data, expected.tensor_type)
            )


def test_a_file_that_has_changed_is_read_again(tmp_path):
    path = of_all_kinds(tmp_path / "a.gguf")
    first = open_gguf(path)
    assert open_gguf(path) is first
    write_gguf(path, [("string", "a", "b")])
    assert open_gguf(path).metadata["a"] == "b"
    assert not open_gguf(path).tensors
    path.unlink()
    with pytest.raises(ValueError, match=r"got No such file"):
        open_gguf(path)


def test_a_file_that_is_cut_short_anywhere_is_refused(tmp_path):
    whole = of_all_kinds(tmp_path / "a.gguf").read_bytes()
    path = tmp_path / "cut.gguf"
    end = len(whole) - 32  # before what fills the last tensor up
    for size in [*range(0, end, 7), end]:
        path.write_bytes(whole[:size])
        message = f"expected {re.escape(str(path))} to be a whole GGUF file"
        with pytest.raises(ValueError, match=message) as error:
            open_gguf(path)
        assert "\n" not in str(error.value)


HEADER = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)


def text(content: bytes) -> bytes:
    return struct.pack("<Q", len(content)) + content


ONE_TENSOR = b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + text(b"t")
ODD = {
    "does not begin with GGUF": b"PK\3\4" + bytes(90),
    "version 1,": b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
    "big-endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    "of the unknown kind 99": HEADER + text(b"a") + struct.pack("<I", 99),
    # A list of lists, of more members than there are atoms.
    "of the unknown kind 9": HEADER
    + text(b"a")
    + struct.pack("<IIQ", 9, 9, 2**62),
    "should stand 4611686018427387904 numbers": HEADER
    + text(b"a")
    + struct.pack("<IIQ", 9, 10, 2**62),
    "should stand a text of 4611686018427387904": HEADER
    + struct.pack("<Q", 2**62),
    "can't decode byte 0xff": HEADER + text(b"\xff\xfe"),
    "with 7 axes of t": ONE_TENSOR + struct.pack("<I", 7) + bytes(99),
    "gguf does not know, number 77": ONE_TENSOR
    + struct.pack("<IQIQ", 1, 4, 77, 0),
    "(33) is not a multiple of Q8_0 block size": ONE_TENSOR
    + struct.pack("<IQIQ", 1, 33, 8, 0)
    + bytes(99),
    "has a twice": b"GGUF"
    + struct.pack("<IQQ", 3, 0, 2)
    + 2 * (text(b"a") + struct.pack("<IB", 0, 5)),
    "the alignment 0": HEADER
    + text(b"general.alignment")
    + struct.pack("<II", 4, 0),
}


@pytest.mark.parametrize("reason", ODD)
def test_a_file_that_is_odd_is_refused_with_the_reason(tmp_path, reason):
    path = tmp_path / "odd.gguf"
    path.write_bytes(ODD[reason])
    with pytest.raises(ValueError, match=re.escape(reason)) as error:
        open_gguf(path)
    assert str(error.value).startswith(f"expected {path} to be a whole")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none.gguf"):
        with pytest.raises(ValueError, match=r"got (Is a|No such)"):
            open_gguf(path)


def test_without_gguf_it_is_said_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ModuleNotFoundError) as error:
        open_gguf(tmp_path / "none.gguf")
    assert error.value.name == "gguf"


def test_a_quantisation_that_gguf_cannot_undo_is_named(tmp_path):
    writer = GGUFWriter(tmp_path / "a.gguf", "llama")
    writer.add_tensor("ids", np.arange(4, dtype="int32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    tensor = open_gguf(tmp_path / "a.gguf").tensors["ids"]
    with pytest.raises(ValueError, match=r"expected ids in .*, got I32"):
        tensor.read()
