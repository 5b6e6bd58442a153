"""What is passed to a layer as an object: an attention, when it is built,
and a mask, when it is called."""

import numpy as np
import pytest
from torch import nn

from parity_tests.judge.candidate.host import Host
from parity_tests.judge.candidate.things import (
    described,
    parameters_to_build,
)
from parity_tests.judge.candidate.values import HOLDER, Converter
from parity_tests.judge.candidate.wire import Record
from parity_tests.judge.classes.building import (
    FIRST,
    arguments_for,
    is_unknown,
    takes,
)
from parity_tests.judge.subject.forms import MaskForm, is_held, open_forms
from parity_tests.judge.subject.masks import meaning_of_triangle


class SparseAttention(nn.Module):
    def forward(self, queries, keys, values):
        return values


class PlainAttention(nn.Module):
    def __init__(self, scale=None, mask_flag=False, dropout=0.1):
        super().__init__()
        self.scale, self.mask_flag = scale, mask_flag
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries, keys, values, attn_mask):
        return values.masked_fill(attn_mask.mask, 0)


class AttentionOfTokens(nn.Module):
    def forward(self, x):
        return x


class Layer(nn.Module):
    def __init__(self, attention, d_model):
        super().__init__()
        self.inner = attention

    def forward(self, queries, keys, values, attn_mask):
        return self.inner(queries, keys, values, attn_mask)


LAYER = described("Layer", Layer)


def test_attentions_of_query_key_and_value_may_be_passed_on():
    names = [each.name for each in LAYER.attentions]
    assert names == ["SparseAttention", "PlainAttention"]
    assert described("PlainAttention", PlainAttention).attentions == ()


def test_a_plain_attention_is_built_with_its_mask_switched_on():
    arguments = arguments_for(LAYER, FIRST[1], 4)
    inner = arguments["attention"]
    assert inner.record_name == "PlainAttention"
    assert inner.members == {"mask_flag": True, "dropout": 0.5}
    assert arguments["d_model"] == 12


def test_it_is_no_unknown_size_and_its_dropout_is_the_layers():
    (attention, _) = LAYER.parameters
    assert not is_unknown(LAYER, attention)
    assert takes(LAYER, "dropped")
    assert not takes(LAYER, "heads")


def test_the_host_makes_it_of_the_files_own_class():
    host = Host.of("Layer", Layer)
    arguments = arguments_for(LAYER, FIRST[1], 4)
    host.build("Layer", arguments, {"instance": "Layer#1"})
    inner = host.instances["Layer#1"].inner
    assert type(inner) is PlainAttention
    assert inner.mask_flag is True
    assert inner.dropout.p == 0.5


def test_a_mask_whose_attribute_is_looked_at_is_held():
    assert is_held(LAYER, "attn_mask")  # by what it passes it to
    assert not is_held(LAYER, "mask")
    assert not is_held(
        described("AttentionOfTokens", AttentionOfTokens), "x"
    )


def test_a_held_mask_is_an_attribute_of_an_object():
    form = MaskForm("True is masked", held=True)
    seen = np.array([[True, False]])
    passed = form.passed(seen, (1, 2), "float32")
    assert passed.record_name == HOLDER
    assert np.array_equal(Converter("numpy").given(passed).mask, ~seen)
    assert "as .mask of an object" in str(form)
    (first, *_) = open_forms(("attn_mask",), None, 1, held=True)
    assert first["attn_mask"].held


def test_an_object_that_is_given_has_tensors_for_a_module():
    held = Record(HOLDER, False, mask=np.ones(2))
    assert Converter("torch").given(held).mask.sum().item() == 2


@pytest.mark.parametrize(
    ("source", "meaning"),
    [
        ("ones(n, n).triu(1)", "hidden"),
        ("torch.tril(ones(n, n))", "attends"),
        ("tril(x) + triu(y)", None),
        ("x == 0", None),
    ],
)
def test_the_triangle_of_a_file_says_what_its_masks_mean(source, meaning):
    assert meaning_of_triangle(source) == meaning


# --- what a constructor leaves to that of its base -----------------------


class Base:
    def __init__(self, d_model, n_heads=4, bias=True): ...

    def forward(self, x): ...


class All(Base):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)


class Beside(Base):
    def __init__(self, rate, **kwargs):
        super().__init__(bias=False, **kwargs)


class Again(Beside):
    def __init__(self, name, **others):
        super().__init__(**others)


class ByPlace(Base):
    def __init__(self, width, **kwargs):
        super().__init__(width, **kwargs)


class Nothing(Base):
    def __init__(self, width, **kwargs):
        super().__init__(width, width)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (Base, ["d_model", "n_heads", "bias"]),
        (All, ["d_model", "n_heads", "bias"]),
        (Beside, ["rate", "d_model", "n_heads"]),
        (Again, ["name", "rate", "d_model", "n_heads"]),
        (ByPlace, ["width", "kwargs"]),
        (Nothing, ["width", "kwargs"]),
    ],
)
def test_a_constructor_takes_what_it_passes_on_to_its_base(kind, names):
    assert [each.name for each in parameters_to_build(kind)] == names


def test_a_class_is_read_with_what_it_inherits_and_does_not_replace():
    source = described("Again", Again).source
    assert "super().__init__(bias=False, **kwargs)" in source
    assert "def __init__(self, d_model, n_heads=4" in source
    assert "def forward(self, x)" in source
    assert "named_parameters" not in described("Layer", Layer).source

    class Other(Base):
        def forward(self, tokens): ...

    assert "def forward(self, x)" not in described("Other", Other).source
