"""The wire: values come out as they went in, and frames are only data."""

import json
import os
import threading
import time
from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pytest

from parity_tests.judge.candidate import wire
from parity_tests.judge.candidate.wire import (
    LENGTHS,
    MOST_BYTES,
    MOST_HEAD,
    Broken,
    Closed,
    Other,
    Record,
    Silent,
    framed,
    receive,
    send,
)

Pair = namedtuple("Pair", "left right")


@dataclass
class Params:
    weight: np.ndarray
    name: str = "w"


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        try:
            os.close(descriptor)
        except OSError:  # closed by the test
            continue


def crossed(value):
    """The value as it comes out at the other end."""
    reading, writing = os.pipe()
    thread = threading.Thread(target=send, args=(writing, value))
    thread.start()
    try:
        return receive(reading, time.monotonic() + 10)
    finally:
        thread.join()
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 0, -3, 2**62, 2**80, 0.1, 1e-320, "text", "", b"\0a"),
        [1, [2.5, "x"]],
        (1, (2,), []),
        {"a": 1, 2: (3,), None: "b"},
    ],
)
def test_plain_values_come_out_as_they_went_in(value):
    other = crossed(value)
    assert other == value
    assert type(other) is type(value)


def test_numbers_that_are_none_come_out():
    nan, infinity = crossed([float("nan"), float("-inf")])
    assert np.isnan(nan)
    assert infinity == -np.inf


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.arange(6, dtype=np.float32).reshape(2, 3).T,
        np.asfortranarray(np.ones((2, 3, 4), np.float16)),
        np.arange(24).reshape(4, 6)[::2, 1:5:2],
        np.arange(6)[::-1],
        np.broadcast_to(np.arange(3), (4, 3)),
        np.array(2.5),
        np.zeros((0, 3)),
        np.array([True, False]),
        np.ones(70_000),
    ],
)
def test_arrays_come_out_bit_for_bit_and_in_their_layout(array):
    other = crossed(array)
    assert other.dtype == array.dtype
    assert other.shape == array.shape
    assert np.array_equal(other, array)
    if min(array.strides, default=0) >= 0 and array.size:
        assert other.strides == array.strides


def test_a_scalar_of_numpy_keeps_its_type():
    assert type(crossed(np.float64(0.1))) is np.float64
    assert type(crossed(np.float32(0.1))) is np.float32


def test_dataclasses_and_named_tuples_come_out_as_records():
    record = crossed(Params(np.ones(2)))
    assert (record.record_name, record.is_tuple) == ("Params", False)
    assert record.name == "w"
    assert np.array_equal(record.weight, np.ones(2))
    record = crossed(Pair(1, 2))
    assert record.is_tuple
    assert record.members == {"left": 1, "right": 2}
    odd = Record("Odd", False, record_name=1, is_tuple=2)
    assert crossed(odd).members == {"record_name": 1, "is_tuple": 2}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (object(), "object"),
        ((x for x in "ab"), "generator"),
        (np.array([object()]), "an array of object"),
        (np.array(["text"]), "an array of <U4"),
        (1 << 5000, "a number of 5001 bits"),
        (np.broadcast_to(0.0, (2**20, 2**10)), "an array of 8589934592"),
    ],
)
def test_what_is_not_carried_comes_out_by_name(value, kind):
    other = crossed(value)
    assert isinstance(other, Other)
    assert kind in repr(other)


def test_a_structure_without_end_is_cut_off():
    endless = []
    endless.append(endless)
    for _ in range(40):
        endless = endless[0]
    text = repr(crossed(endless))
    assert "a structure that is too large" in text


def test_a_text_is_cut_off(pipe):
    assert len(crossed("x" * 10**6)) == 20_000
    os.write(pipe[1], frame("x" * 30_000))  # by another sender
    assert len(receive(pipe[0], time.monotonic() + 1)) == 20_000


# --- frames that are none ------------------------------------------------


def frame(head: object, data: bytes = b"") -> bytes:
    text = json.dumps(head).encode()
    return LENGTHS.pack(len(text), len(data)) + text + data


@pytest.mark.parametrize(
    "head",
    [
        {"evil": 1},
        [1, {"list": []}],
        {"list": 3},
        {"a": 1, "b": 2},
        {},
        {"array": ["<f8", [2], None, 0]},  # beyond the bytes
        {"array": ["<f8", [1], None, -8]},
        {"array": ["O", [1], None, 0]},
        {"array": ["V8", [1], None, 0]},
        {"array": ["<f8", [1], [-1], 0]},
        {"array": ["<f8", [2], [100], 0]},
        {"array": ["<f8", [2**40, 2**40], [0, 0], 0]},
        {"array": ["nonsense", [1], None, 0]},
        {"int": "9" * 5000},
        {"dict": [[{"list": []}, 1]]},
        {"bytes": "zz"},
    ],
)
def test_a_frame_that_is_none_is_broken(pipe, head):
    os.write(pipe[1], frame(head, b"\0" * 8))
    with pytest.raises(Broken):
        receive(pipe[0], time.monotonic() + 1)


@pytest.mark.parametrize(
    ("lengths", "error"),
    [
        ((MOST_HEAD + 1, 0), Broken),
        ((2, MOST_BYTES + 1), Broken),
        ((50, 0), Silent),
    ],
)
def test_a_frame_too_large_or_too_late_is_none(pipe, lengths, error):
    os.write(pipe[1], LENGTHS.pack(*lengths) + b"{}")
    with pytest.raises(error):
        receive(pipe[0], time.monotonic() + 0.05)


def test_what_is_no_json_or_too_deep_is_broken(pipe):
    for text in (b"{", b"\xff", b"[" * 50_000 + b"]" * 50_000):
        data = LENGTHS.pack(len(text), 0) + text
        thread = threading.Thread(target=write_whole, args=(pipe[1], data))
        thread.start()
        with pytest.raises(Broken):
            receive(pipe[0], time.monotonic() + 5)
        thread.join()


def write_whole(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def test_the_end_of_the_other_side_is_told(pipe):
    os.close(pipe[1])
    with pytest.raises(Closed):
        receive(pipe[0], time.monotonic() + 1)


def test_what_nobody_reads_is_not_waited_for(pipe):
    began = time.monotonic()
    with pytest.raises(Silent):
        send(pipe[1], np.zeros(10**6), began + 0.05)
    assert time.monotonic() - began < 2
    os.close(pipe[0])
    with pytest.raises(Closed):
        send(pipe[1], 1, time.monotonic() + 1)


def test_a_pipe_that_others_use_is_not_waited_for(pipe, monkeypatch):
    """What is ready may be so no more, and a deadline is kept."""
    for descriptor in pipe:
        os.set_blocking(descriptor, False)
    monkeypatch.setattr(
        wire.select, "select", lambda *descriptors: descriptors
    )
    with pytest.raises(Silent):
        receive(pipe[0], time.monotonic() + 0.05)
    with pytest.raises(Silent):
        send(pipe[1], np.zeros(10**6), time.monotonic() + 0.05)


def test_a_head_too_large_is_refused():
    with pytest.raises(Broken, match="too large"):
        framed(["x" * 20_000] * 1000)
