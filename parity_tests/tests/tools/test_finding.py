"""Twins are found by their path in the tree, also in a room of it."""

import sys

import pytest

import numpy_ref
import torch_impl
from parity_tests.twins.finding import namesake, twin_files, twins_of
from parity_tests.twins.rules import file_has_twin, reason_without_twin

STEP = "def turn(x):\n    turned = -x\n    return turned\n"


@pytest.fixture
def a_room(tmp_path, monkeypatch):
    """Both trees with nothing in them but a room and its one file."""
    for tree in (numpy_ref, torch_impl):
        room = tmp_path / tree.__name__ / "attic"
        room.mkdir(parents=True)
        (room / "__init__.py").touch()
        (room / "rotary.py").write_text(STEP, encoding="utf-8")
        monkeypatch.setattr(tree, "__path__", [str(room.parent)])
    yield tmp_path
    for name in [name for name in sys.modules if ".attic" in name]:
        del sys.modules[name]


def test_a_file_in_a_room_is_found_by_its_path(a_room):
    assert twin_files() == ["attic/rotary.py"]
    (twin,) = twins_of("attic/rotary.py")
    assert twin.name == "turn"
    assert twin.reference.__module__ == "numpy_ref.attic.rotary"
    assert twin.torch.__module__ == "torch_impl.attic.rotary"


def test_a_file_on_one_side_only_is_listed_as_well(a_room):
    (a_room / "torch_impl" / "attic" / "alibi.py").touch()
    assert twin_files() == ["attic/alibi.py", "attic/rotary.py"]


def test_a_whole_room_can_be_without_twins():
    assert not file_has_twin("tokenizers/pretokens.py")
    assert not file_has_twin("checked.py")
    assert file_has_twin("attention.py")
    assert file_has_twin("variants/tokenizers.py")
    assert "files" in reason_without_twin("checkpoints/tensors.py", "x")
    with pytest.raises(LookupError, match=r"attention\.py:softmax"):
        reason_without_twin("attention.py", "softmax")


def test_a_named_tuple_has_its_namesake_in_the_other_tree():
    from numpy_ref.sublayers import DropoutMasks
    from torch_impl.sublayers import DropoutMasks as Theirs

    assert namesake(DropoutMasks, "torch_impl") is Theirs
    assert namesake(Theirs, "numpy_ref") is DropoutMasks
    assert namesake(tuple, "torch_impl") is tuple
