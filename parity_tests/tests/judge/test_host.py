"""The host that calls a file: what it keeps between calls."""

import numpy as np
import pytest

from parity_tests.judge.candidate import host as hosts
from parity_tests.judge.candidate.host import Host
from parity_tests.judge.candidate.values import OBJECT
from parity_tests.judge.candidate.wire import Record


@pytest.fixture
def met():
    """A host of a function, and the ids of the inputs that it met."""
    ids = []

    def remember(keys):
        ids.append(id(keys))
        return keys

    return Host.of("remember", remember), ids


def test_no_id_of_an_input_comes_back_within_a_judgement(met):
    host, ids = met
    for _ in range(200):
        host.call("remember", {"keys": np.zeros((3, 4))}, {})
    assert len({*ids}) == 200


def test_inputs_that_are_reused_have_the_same_id(met):
    host, ids = met
    for _ in range(3):
        host.call("remember", {"keys": np.zeros(3)}, {"reuse": True})
    assert len({*ids}) == 1


def test_no_more_is_kept_than_there_is_room_for(met, monkeypatch):
    monkeypatch.setattr(hosts, "KEPT_BYTES", 1000)
    host, _ = met
    for size, inputs in ((50, 1), (60, 2), (20, 2), (200, 0)):
        host.call("remember", {"keys": np.zeros(size)}, {})
        kept = sum(each["keys"].nbytes for each in host.alive)
        assert host.alive_bytes == kept <= 1000
        assert len(host.alive) == inputs


def test_jax_gets_its_own_arrays_and_keeps_them_as_they_are():
    jax = pytest.importorskip("jax")
    kinds = []

    def attend(x, mask):
        kinds.append(isinstance(x, jax.Array))
        return x.at[0].set(0) * mask

    host = Host.of("attend", attend)
    for how in ({}, {"reuse": True}, {"reuse": True}):
        arguments = {"x": np.ones((2, 3), np.float32), "mask": np.ones(3)}
        answer = host.call("attend", arguments, {"library": "jax"} | how)
        assert answer["value"].tolist() == [[0, 0, 0], [1, 1, 1]]
    assert kinds == [True] * 3


class Entries(dict):
    __getattr__ = dict.__getitem__


class Required:
    width = 5

    def __init__(self, words, **others):
        self.words, self.others = words, others


class Anything:
    def __init__(self, **others):
        self.words = self.width = 64
        vars(self).update(others)
        self.others = {"width": self.width}


class Known:
    """It takes no name that it does not know."""

    words = width = 64

    def __init__(self, **others):
        if not all(hasattr(Known, name) for name in others):
            raise TypeError(*others)
        vars(self).update(others)
        self.others = {"width": self.width}


def test_a_configuration_may_refuse_names_that_it_does_not_know():
    host = Host.of("Known", Known)
    sizes = {"words": 3, "width": 7, "heads": 2}
    made = host.configured(Record("Known", False, **sizes))
    assert (made.words, made.width, made.heads) == (3, 7, 2)


@pytest.mark.parametrize("kind", [Entries, Required, Anything])
def test_a_configuration_is_one_of_the_files_own(kind):
    host = Host.of("Required", Required)
    sizes = {"words": 3, "width": 7}
    made = host.configured(Record(kind.__name__, False, **sizes))
    assert isinstance(made, kind)
    assert (made.words, made.width) == (3, 7)
    if kind is Entries:
        assert made == sizes
    else:
        assert made.others == {"width": 7}


class Kept(list):
    """What a file keeps between calls."""


def test_calls_share_one_object_of_a_class_of_the_file():
    def count(kept):
        kept.append(1)
        return len(kept)

    def times(number):
        record = Record(OBJECT, False, made_by="Kept", number=number)
        return host.call("count", {"kept": record}, {})["value"]

    host = Host.of("count", count)
    assert [*map(times, (1, 1, 2, 2, 2, 3))] == [1, 2, 1, 2, 3, 1]
