"""The API reference: public names, signatures, commands, properties."""

import ast
import re

import pytest
from typer.main import get_command

import bert_viz
from parity_tests.judge.steps.all_properties import PROPERTIES
from parity_tests.twins.finding import find_twins
from study.command import app
from study.site.pages.api import (
    Entry,
    api_pages,
    entries_of,
    entry,
    imported_by,
    modules_of,
    option,
    page_of_step,
)

FIELD = "(weight: numpy_ref.layers.Linear, bias: Float[Array, 'd'])"


@pytest.fixture(scope="module")
def pages():
    return dict(api_pages(get_command(app)))


def test_every_twin_is_listed_and_leads_to_its_page(pages):
    text = pages["api/numpy_ref"] + pages["api/torch_impl"]
    for twin in find_twins():
        name = twin.reference.__name__
        assert f"{{py:function}} {name}(" in text, name
        assert f".md#{name.replace('_', '-')})" in text, name
        other = twin.torch.__name__
        assert re.search(rf"{{py:(class|function)}} {other}\(", text), other


def test_public_names_are_listed_and_others_are_not():
    names = {each.name for each in entries_of("numpy_ref.attention")}
    assert {"softmax", "softmax_backward", "masked_softmax"} <= names
    comparing = {e.name for e in entries_of("parity_tests.twins.comparing")}
    assert "compare_step" in comparing
    assert not any(name.startswith("_") for name in comparing)
    assert "numpy_ref.checkpoints.bert" in modules_of("numpy_ref")
    assert "numpy_ref.__init__" not in modules_of("numpy_ref")


def test_a_signature_is_that_of_the_source():
    (softmax,) = (
        each
        for each in entries_of("numpy_ref.attention")
        if each.name == "softmax"
    )
    assert softmax.signature == (
        "(scores: Float[Array, '*batch key']) -> Float[Array, '*batch key']"
    )
    assert softmax.summary.startswith("Softmax: each row of scores")


@pytest.mark.parametrize(
    ("source", "signature"),
    [
        ("class A:\n  weight: Linear\n  bias: Float[Array, 'd']", FIELD),
        ("class A:\n  def __init__(self, x: int = 2): ...", "(x: int=2)"),
        (
            "def f(*, Linear=Linear) -> Linear: ...",
            "(*, Linear=Linear) -> ",
        ),
    ],
)
def test_a_class_is_shown_by_what_makes_it(source, signature):
    (node,) = ast.parse(source).body
    shown = entry("numpy_ref.multi_head", node).signature
    assert shown.startswith(signature)


def test_a_name_from_elsewhere_is_known_in_full():
    names = imported_by("bert_viz.attention")
    assert names["Linear"] == "numpy_ref.layers.Linear"
    assert "Float" not in names


def test_a_gradient_leads_to_its_step_and_a_loader_nowhere():
    def page(module, name, kind="function"):
        return page_of_step(Entry(module, name, kind, "()", ""))

    attention = "../reference/attention.md#softmax"
    assert page("numpy_ref.attention", "softmax_backward") == attention
    module = page("torch_impl.layers", "LayerNorm", "class")
    assert module == "../reference/layers.md#layer-norm"
    assert page("numpy_ref.checkpoints.bert", "load_bert") is None


def test_the_viewers_public_names_are_all_there(pages):
    for name in bert_viz.__all__:
        assert re.search(rf"}} {name}\(", pages["api/bert_viz"]), name


def test_each_property_stands_there_with_its_claim(pages):
    for each in PROPERTIES:
        line = f"- `{each.name}`: {each.claim} ["
        assert line in pages["api/judge"], each.name


def test_each_option_of_each_command_is_there(pages):
    text = pages["api/commands"]
    twice = get_command(app)
    for name, command in twice.commands.items():
        (section,) = re.findall(
            rf"^## twice {name}$(.*?)(?=^## |\Z)", text, re.M | re.S
        )
        options = [name for each in command.params for name in each.opts]
        assert all(option in section for option in options if "-" in option)
    assert "Default: `bpe`." in text


def test_code_in_a_commands_help_stays_one_piece(pages):
    assert "`twice generate --model FOLDER`" in pages["api/commands"]
    assert "list[" not in pages["api/commands"]


def test_an_annotation_is_explained_before_the_first(pages):
    for package in ("numpy_ref", "torch_impl"):
        before, _ = pages[f"api/{package}"].split("## attention.py")
        assert "`*batch` is any number of axes" in before


def test_an_option_keeps_its_two_dashes():
    text = option("--open / --no-open", "With --file. [default: open]")
    assert text == (
        "``````{option} --open, --no-open\nWith `--file`. Default: "
        "`open`.\n``````"
    )
